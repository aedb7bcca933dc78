"""Products, stock and offers; checkouts and orders from placing to completion; every order deadline."""
