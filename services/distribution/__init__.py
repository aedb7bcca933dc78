"""Distribution: everyone may share; whoever brought a buyer earns from that sale, and nobody earns from anybody else's."""
