"""Everything in one process: all services and the gateway over an embedded PostgreSQL and a local bus."""
