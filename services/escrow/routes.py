"""Escrow's operations: parse, then the desk or a read; no rules here."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

import structlog
from fastapi import Query, Request, Response

from chassis import web
from chassis.caller import Caller
from chassis.db import Database
from chassis.decision import NotFound
from chassis.desk import KeyReused
from chassis.policy import require_person, require_reader
from chassis.web import AskOnce, CallerOf, who
from contracts.ids import OrderId, PaymentId
from services.escrow import books, store
from services.escrow.commands import Capture, CreatePayment, RefundAnswered
from services.escrow.domain import Hold, Payment
from services.escrow.providers.base import Provider
from services.escrow.schemas import BooksOut, HoldOut, PaymentIn, PaymentOut

log = structlog.get_logger("escrow")
router = web.router()
PAY_URL_WAIT_SECONDS = 3.0
WAIT_SECONDS = 10.0


def _database(request: Request) -> Database:
    database: Database = request.app.state.service.database
    return database


@router.post(
    "/payments",
    operation_id="create_payment",
    status_code=201,
    response_model=PaymentOut,
    openapi_extra=who("buyer", keys=False),
)
async def create_payment(body: PaymentIn, ask: AskOnce, request: Request) -> Response:
    """Pay a checkout. Answers with `pay_url` as soon as the provider has opened the charge (3 s at most)."""
    require_person(ask.caller)
    answer = await ask(CreatePayment(ask.caller, body.checkout_id, body.provider, body.method), body)
    payment_id = PaymentOut.model_validate_json(bytes(answer.body)).id

    async def read() -> PaymentOut:
        return PaymentOut.of(await _payment(request, payment_id, ask.caller))

    opened = await ask.desk.until(Payment, payment_id, read, lambda seen: seen.pay_url, PAY_URL_WAIT_SECONDS)
    headers = {name: answer.headers[name] for name in ("idempotent-replayed",) if name in answer.headers}
    return Response(opened.model_dump_json(), 201, headers, "application/json")


@router.get("/payments/{payment_id}", operation_id="get_payment", openapi_extra=who("buyer", keys=False))
async def get_payment(payment_id: PaymentId, caller: CallerOf, request: Request) -> PaymentOut:
    """A payment of yours."""
    return PaymentOut.of(await _payment(request, payment_id, caller))


async def _payment(request: Request, payment_id: str, caller: Caller) -> Payment:
    person_id = require_person(caller)
    row = await store.payment_of_buyer.read(_database(request), f"{payment_id}|{person_id}")
    if row is None:
        raise NotFound
    payment: Payment = store.PAYMENTS.codec.decode(tuple(row)[1:])
    return payment


@router.get("/holds/{order_id}", operation_id="get_hold", openapi_extra=who("buyer", "seller", "partner"))
async def get_hold(
    order_id: OrderId,
    caller: CallerOf,
    request: Request,
    wait: Annotated[Literal["held", "released", "refunded"] | None, Query(description="answer once it is so")] = None,
) -> HoldOut:
    """The money of an order: for its buyer, its seller and its partner. With `wait`, as soon as it is so or can no
    longer be, after 10 s at the latest."""
    require_reader(caller, "holds")

    async def read() -> SeenHold | None:
        return await _hold(request, order_id, caller)

    seen = await read()
    if wait is not None:
        over = _OVER[wait]
        desk = request.app.state.service.desk
        seen = await desk.until(Hold, order_id, read, lambda now: now and now.hold.state in over, WAIT_SECONDS)
    if seen is None:
        raise NotFound
    return HoldOut.of(seen.hold, seen.entries, seen.own)


_OVER = {
    "held": frozenset({"held", "released", "refunding", "refunded", "void"}),
    "released": frozenset({"released", "refunding", "refunded", "void"}),
    "refunded": frozenset({"refunded", "released", "void"}),
}
"""Waiting ends when the state is reached, or can no longer be."""


class SeenHold(NamedTuple):
    """A hold, its entries, and the ids that its reader is or acts for."""

    hold: Hold
    entries: list[dict[str, Any]]
    own: frozenset[str]


async def _hold(request: Request, order_id: str, caller: Caller) -> SeenHold | None:
    key = f"{order_id}|{caller.person_id or ''}|{caller.party_id or ''}"
    row = await store.hold_of_party.read(_database(request), key)
    if row is None:
        return None
    *columns, party_ids, entries = tuple(row)[1:]
    own = frozenset(filter(None, (caller.person_id, caller.party_id, *party_ids)))
    return SeenHold(store.HOLDS.codec.decode(columns), json.loads(entries), own)


@router.get("/escrow/proof", operation_id="get_proof", openapi_extra=who("any_in_sandbox", "ops"))
async def get_proof(
    caller: CallerOf,
    request: Request,
    by: Annotated[Literal["account"] | None, Query(description="`account` adds the trial balance")] = None,
    starting_after: Annotated[str, Query(max_length=100, pattern="^[A-Za-z0-9_:]*$")] = "",
    limit: web.Limit = 100,
) -> BooksOut:
    """Escrow proves itself, from postings alone: open to anyone in sandbox mode, else to the platform's operators."""
    await books.require_reader(_database(request), caller, request.app.state.service.settings.mode)
    return await books.read(_database(request), by_account=by == "account", after=starting_after, limit=limit)


@router.post(
    "/callbacks/payments/{provider}",
    operation_id="create_callback",
    openapi_extra=who("signed"),
    response_class=Response,
)
async def create_callback(provider: Literal["sandbox"], request: Request) -> Response:
    """A provider's callback: verified on its raw bytes, written down, then acknowledged in the provider's words."""
    providers: Mapping[str, Provider] = request.app.state.providers
    port = providers.get(provider)
    if port is None:
        raise NotFound
    body = await request.body()
    seen = port.read_callback(request.url.path, request.headers, body)
    if isinstance(seen, Capture):
        await _write_down(request, seen, seen.transaction_id, _said(seen))
    elif isinstance(seen, RefundAnswered):
        await _write_down(request, seen, seen.refund_id, b"succeeded")
    return Response(port.acknowledgement(), media_type="application/json")


async def _write_down(request: Request, command: Any, key: str, body: bytes) -> None:
    """Once per number of the provider; the same number with another story is refused, and somebody must look."""
    desk = request.app.state.service.desk
    try:
        await desk.ask(command, operation=f"{request.url.path} {type(command).__name__}", key=key, body=body)
    except KeyReused:
        log.warning("provider_contradicts_itself", path=request.url.path, number=key)
        raise


def _said(seen: Capture) -> bytes:
    return f"{seen.payment_id} {seen.amount} {seen.currency}".encode()
