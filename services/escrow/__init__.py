"""Escrow holds the buyer's money until delivery is confirmed. It is the only writer of money."""
