"""What the services say to each other: facts, money, ids, terms, error codes. pydantic and stdlib only."""
