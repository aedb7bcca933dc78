"""Who reads, and from where."""

from typing import Any

from fastapi import Request

from chassis import problems
from chassis.caller import Caller
from chassis.db import Database
from chassis.policy import may_read

GUARDED = problems.documented(412, 428)
"""What an operation with If-Match answers beside the rest."""


def database_of(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


def reader_of(caller: Caller, things: str) -> dict[str, Any]:
    """Who asks to see `things`: a key without the scope sees what everybody sees."""
    return {"person_id": caller.person_id, "party_id": caller.party_id if may_read(caller, things) else None}
