"""Distribution: everyone may share; whoever brought a buyer earns from that sale, and from nobody else's."""
