"""What the routes share."""

import json
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from chassis import web
from chassis.caller import Command
from chassis.db import Database
from chassis.message import Reply


def database_of(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


def is_sandbox(request: Request) -> bool:
    return bool(request.app.state.service.settings.mode == "sandbox")


async def told(ask: web.Ask, command: Command, repeated: bytes = b"") -> tuple[Any, Reply]:
    """The decision's reply as JSON, for answers that hold more than a desk may remember. `repeated` is what a repeated
    Idempotency-Key must repeat."""
    reply = await ask.desk.ask(command, operation=ask.operation, key=ask.key, body=repeated)
    return json.loads(reply.body), reply


def answer(body: BaseModel, status: int, reply: Reply | None = None) -> Response:
    headers = {"idempotent-replayed": "true"} if reply and reply.replayed else {}
    return Response(body.model_dump_json(), status, headers, "application/json")
