"""Load drivers: thin enough that what they measure is the system and not themselves."""
