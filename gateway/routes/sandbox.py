"""What takes longer than a request; and the sandbox's clock, which is all that does so far."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from chassis.decision import InvalidRequest, NotFound
from chassis.policy import require_person
from chassis.web import (
    AskOnce,
    CallerOf,
    who,
)
from contracts.ids import OperationId
from gateway import domain, store
from gateway.domain import Operation
from gateway.handlers import (
    StartAdvance,
)
from gateway.routes.common import database_of, is_sandbox
from gateway.schemas import (
    AdvanceIn,
    AdvanceOut,
    ClockOut,
    OperationOut,
)

router = APIRouter()


@router.get("/operations/{operation_id}", operation_id="get_operation", openapi_extra=who("person"))
async def get_operation(operation_id: OperationId, caller: CallerOf, request: Request) -> OperationOut:
    """How far something is that takes longer than a request."""
    row = await store.OPERATION.row(database_of(request), operation_id=operation_id, person=require_person(caller))
    if row is None:
        raise NotFound
    operation: Operation = store.OPERATIONS.codec.decode(tuple(row))
    return OperationOut.of(operation)


@router.get("/sandbox/clock", operation_id="get_clock", openapi_extra=who("any"))
async def get_clock(request: Request) -> ClockOut:
    """What time it is in this sandbox, as every deadline sees it."""
    if not is_sandbox(request):
        raise domain.SandboxOnly
    service = request.app.state.service
    return ClockOut(now=await service.now(), offset_seconds=await service.offset_seconds())


@router.post(
    "/sandbox/clock/advance",
    operation_id="create_clock_advance",
    status_code=202,
    response_model=AdvanceOut,
    openapi_extra=who("person"),
)
async def create_clock_advance(body: AdvanceIn, ask: AskOnce, request: Request) -> Response:
    """Let business time pass, step by step, in a sandbox; the operation tells when everything has settled."""
    require_person(ask.caller)
    if not is_sandbox(request):
        raise domain.SandboxOnly
    if (body.to is None) == (body.by_seconds is None):
        raise InvalidRequest.at("", "either to or by_seconds")
    by = timedelta(seconds=body.by_seconds) if body.by_seconds else None
    return await ask(StartAdvance(ask.caller, body.to, by), body)
