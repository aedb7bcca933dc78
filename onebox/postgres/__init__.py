"""Embedded PostgreSQL: a real server, started and stopped with the processes that use it."""

from onebox.postgres.installation import Installation, embedded_installation, system_installations
from onebox.postgres.server import Postgres

__all__ = ["Installation", "Postgres", "embedded_installation", "system_installations"]
