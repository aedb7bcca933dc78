"""Who reads, and from where."""

from typing import Any

from fastapi import Request

from chassis import problems
from chassis.caller import Caller
from chassis.db import Database
from chassis.decision import Unauthenticated, WrongRole

READ_SCOPES = frozenset({"orders:read", "orders:write"})
GUARDED = problems.documented(412, 428)
"""What an operation with If-Match answers beside the rest."""


def database_of(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


def reader_of(caller: Caller) -> dict[str, Any]:
    return {"person_id": caller.person_id, "party_id": caller.party_id}


def require_reader(caller: Caller) -> None:
    """Orders are read by people, and by keys that may."""
    if caller.party_id is not None:
        if not caller.scopes & READ_SCOPES:
            raise WrongRole
    elif caller.person_id is None:
        raise Unauthenticated
