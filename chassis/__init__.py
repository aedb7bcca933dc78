"""How any Buluo service runs: the desk, its mailbox, the bus, and the edges around them. It knows no business."""
