"""Payment providers behind one port: a licensed provider holds the real funds, escrow keeps the books and instructs."""
