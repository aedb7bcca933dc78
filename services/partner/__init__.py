"""Merchants, partners and what they agree on."""
