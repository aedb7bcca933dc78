"""Escrow, assembled: who hears what, who is asked what. Read this first."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import httpx

from chassis import clock, grants, metrics
from chassis.bus.base import Bus
from chassis.caller import Command
from chassis.db import Database
from chassis.decision import Instruction
from chassis.instructions import Port
from chassis.service import Service
from chassis.settings import ChassisSettings
from chassis.touches import Handler, ask, hear, many, maybe, new, one
from contracts.distribution import Attributed
from contracts.fact import Fact
from contracts.order import (
    DeliveryConfirmed,
    LinesCancelled,
    OrderCancelled,
    OrderCompleted,
    OrderExpired,
    OrderPlaced,
)
from services.escrow import books, handlers, refunds, routes, store
from services.escrow.commands import Capture, ChargeOpened, CreatePayment, RefundAnswered
from services.escrow.domain import Checkout, Hold, Payment, Refund, Suspense
from services.escrow.providers.base import Provider
from services.escrow.providers.sandbox import SandboxProvider
from services.escrow.schemas import PaymentOut
from services.escrow.settings import EscrowSettings

HOLD = one(Hold, "order_id")
HEARS: dict[type[Fact], Handler] = {
    **clock.HEARS,
    **grants.HEARS_STAFF,
    **grants.HEARS_ROLES,
    OrderPlaced: hear(
        handlers.open_hold, new(Hold, "order_id"), maybe(Checkout, lambda fact: fact.checkout.checkout_id)
    ),
    Attributed: hear(handlers.name_angels, HOLD),
    DeliveryConfirmed: hear(handlers.release_on_delivery, HOLD),
    OrderCancelled: hear(handlers.end_order, HOLD),
    OrderExpired: hear(handlers.end_order, HOLD),
    LinesCancelled: hear(handlers.refund_cancelled_lines, HOLD),
    OrderCompleted: hear(handlers.complete, HOLD),
}


def asked(providers: frozenset[str]) -> dict[type[Command], Handler]:
    """Commands and answers of instructions; `providers` are the names that a payment may use."""
    return {
        CreatePayment: ask(
            partial(handlers.create_payment, providers),
            one(Checkout, "checkout_id"),
            many(Hold, lambda _, checkout: checkout.order_ids, after=True),
            reply=PaymentOut.of,
        ),
        ChargeOpened: ask(handlers.charge_opened, one(Payment, "payment_id")),
        Capture: ask(
            handlers.capture,
            maybe(Payment, "payment_id"),
            maybe(Checkout, lambda _, payment: payment and payment.checkout_id, after=True),
            many(Hold, lambda _, _payment, checkout: checkout.order_ids if checkout else (), after=True),
        ),
        RefundAnswered: ask(
            refunds.answered,
            one(Refund, "refund_id"),
            maybe(Hold, lambda _, refund: refund and refund.order_id, after=True),
            maybe(Suspense, lambda _, refund, _hold: refund and refund.suspense_id, after=True),
        ),
    }


def build(
    *,
    database: Database,
    bus: Bus,
    chassis: ChassisSettings,
    settings: EscrowSettings | None = None,
    ports: Sequence[Provider] | None = None,
) -> Service:
    """Escrow on its own database. Its payment providers are `ports`, or those that the settings name."""
    if ports is None:
        ports = providers_of(chassis, settings or EscrowSettings())
    providers = {port.name: port for port in ports}
    return Service(
        "escrow",
        stores=store.STORES,
        hears=HEARS,
        asked=asked(frozenset(providers)),
        router=routes.router,
        database=database,
        bus=bus,
        settings=chassis,
        ports=performers(providers),
        closing=[port.aclose for port in ports],
        state={"providers": providers},
        measure=measure,
    )


def providers_of(chassis: ChassisSettings, settings: EscrowSettings) -> list[Provider]:
    """The sandbox provider where its secret is set. Raises ValueError in production: there it would be free money."""
    if settings.sandbox_secret is None:
        return []
    if chassis.mode != "sandbox":
        raise ValueError("BULUO_ESCROW_SANDBOX_SECRET is set, but BULUO_MODE is not sandbox")
    return [
        SandboxProvider(
            url=str(settings.sandbox_url).rstrip("/"),
            callback_url=str(settings.callback_url).rstrip("/") + "/v1/callbacks/payments/sandbox",
            secret=settings.sandbox_secret.get_secret_value(),
            # A proxy of the machine must not see payments.
            client=httpx.AsyncClient(trust_env=False),
            call_seconds=settings.provider_call_seconds,
        )
    ]


def performers(providers: Mapping[str, Provider]) -> dict[str, Port]:
    """Instruction kind -> whoever performs it: the provider that the instruction names."""

    def by(call: Callable[[Provider, Instruction, int], Awaitable[Command]]) -> Port:
        async def perform(instruction: Instruction, attempt: int) -> Command:
            return await call(providers[instruction.body["provider"]], instruction, attempt)

        return perform

    return {
        "open_charge": by(lambda port, instruction, attempt: port.open_charge(instruction, attempt)),
        "refund": by(lambda port, instruction, attempt: port.refund(instruction, attempt)),
    }


async def measure(database: Database) -> None:
    """The two gauges somebody is woken for."""
    for each in await books.proof(database):
        metrics.ESCROW_HELD.labels(each.currency).set(each.held)
        metrics.LEDGER_IMBALANCE.labels(each.currency).set(each.imbalance)
