"""Tribes: communities, who is in them, and what they write together."""
