"""Payment providers for the tests: one that obeys at once, inside the process; and the real sandbox, called and paid."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any

import httpx

from chassis.caller import Caller
from chassis.decision import Instruction
from chassis.service import Service
from services.escrow.commands import Capture, ChargeOpened, CreatePayment, RefundAnswered
from services.escrow.domain import Payment
from services.escrow.providers.sandbox import SandboxProvider
from services.escrow.store import PAYMENTS
from tests.escrow.orders import Order
from tests.support import hear, key

SECRET = "a-secret-for-the-tests-of-32-characters"
CALLBACK = "/v1/callbacks/payments/sandbox"
SYSTEM = Caller(key_id="provider:sandbox")


class ObedientProvider:
    """Opens every charge and gives every refund back at once, unless `refusals` says how many it refuses first."""

    name = "sandbox"

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.charges: list[str] = []
        self.refunds: list[str] = []
        self._reader = SandboxProvider("http://nowhere", "http://nowhere", SECRET, httpx.AsyncClient())

    async def open_charge(self, instruction: Instruction, _attempt: int) -> ChargeOpened:
        self.charges.append(instruction.id)
        return ChargeOpened(SYSTEM, instruction.id, f"http://pay/{instruction.id}")

    async def refund(self, instruction: Instruction, _attempt: int) -> RefundAnswered:
        self.refunds.append(instruction.id)
        self.refusals -= 1
        return RefundAnswered(SYSTEM, instruction.id, "failed" if self.refusals >= 0 else "succeeded")

    def read_callback(self, path: str, headers: Mapping[str, str], body: bytes) -> Capture | RefundAnswered | None:
        return self._reader.read_callback(path, headers, body)

    def acknowledgement(self) -> bytes:
        return self._reader.acknowledgement()

    async def aclose(self) -> None:
        await self._reader.aclose()


def sign(path: str, timestamp: str, nonce: str, body: bytes, method: str = "POST") -> str:
    """The signature, written again from the provider's README: the tests share no code with either side."""
    text = f"{method}\n{path}\n{timestamp}\n{nonce}\n".encode() + body
    return base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()


def signed(path: str, body: bytes, *, timestamp: int | None = None, method: str = "POST") -> dict[str, str]:
    """The three headers of a request that the shared secret has signed, now or at `timestamp`."""
    stamp, nonce = str(int(time.time()) if timestamp is None else timestamp), secrets.token_hex(16)
    return {
        "Content-Type": "application/json",
        "Sandbox-Timestamp": stamp,
        "Sandbox-Nonce": nonce,
        "Sandbox-Signature": sign(path, stamp, nonce, body, method),
    }


def paid_callback(payment: Payment, **changes: object) -> bytes:
    """What the provider sends when a payment was paid."""
    data = {
        "out_no": payment.payment_id,
        "transaction_id": f"txn_{payment.payment_id[4:]}",
        "amount": payment.amount,
        "currency": payment.currency,
        "paid_at": "2030-01-01T08:00:00Z",
    }
    event = {"id": f"evt_{secrets.token_hex(16)}", "type": "charge.succeeded", "created_at": "2030-01-01T08:00:00Z"}
    return json.dumps({**event, "data": data | changes}).encode()


async def call_back(client: httpx.AsyncClient, body: bytes) -> httpx.Response:
    return await client.post(CALLBACK, content=body, headers=signed(CALLBACK, body))


async def create_payment(service: Service, order: Order) -> Payment:
    """The buyer asks for a payment; as the database has it."""
    command = CreatePayment(Caller(person_id=order.buyer), order.checkout.checkout_id, "sandbox", "page")
    reply = await service.desk.ask(command, operation="test", key=key()["idempotency-key"])
    return await payment_of(service, json.loads(reply.body)["id"])


async def payment_of(service: Service, payment_id: str) -> Payment:
    row = await service.database.pool.fetchrow(
        f"SELECT {', '.join(each.name for each in PAYMENTS.codec.fields)} FROM payments WHERE payment_id = $1",
        payment_id,
    )
    assert row
    found: Payment = PAYMENTS.codec.decode(tuple(row))
    return found


async def capture(service: Service, payment: Payment, **changes: Any) -> None:
    """The provider says that it was paid, once per transaction as the callback route makes sure."""
    given: dict[str, Any] = {
        "provider": payment.provider,
        "payment_id": payment.payment_id,
        "transaction_id": f"txn_{payment.payment_id[4:]}",
        "amount": payment.amount,
        "currency": payment.currency,
    }
    seen = Capture(SYSTEM, **(given | changes))
    await service.desk.ask(seen, operation=CALLBACK, key=seen.transaction_id)


async def hold(service: Service, order: Order) -> Payment:
    """An order that is placed and paid."""
    await hear(service, order.placed())
    payment = await create_payment(service, order)
    await capture(service, payment)
    return payment


async def state_of(service: Service, order: Order) -> str:
    found: str = await service.database.pool.fetchval("SELECT state FROM holds WHERE order_id = $1", order.order_id)
    return found


async def proof(service: Service, currency: str = "CNY") -> dict[str, int]:
    """The books of one currency."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=service.app), base_url="http://service") as client:  # type: ignore[arg-type]
        books = (await client.get("/v1/escrow/proof")).json()["data"]
    (data,) = (each for each in books if each["currency"] == currency)
    found: dict[str, int] = {name: amount for name, amount in data.items() if name != "currency"}
    return found


async def balances(service: Service, order: Order) -> dict[str, int]:
    """Where the money of one order lies: account -> balance, without those at 0."""
    rows = await service.database.pool.fetch(
        "SELECT account, sum(amount)::bigint AS balance FROM postings WHERE order_id = $1 GROUP BY 1 HAVING sum(amount) <> 0",
        order.order_id,
    )
    return {row["account"]: row["balance"] for row in rows}


async def eventually(service: Service, sql: str, *values: object, within_seconds: float = 10) -> bool:
    """Whether the query becomes true in time."""
    give_up_at = time.monotonic() + within_seconds
    while not await service.database.pool.fetchval(sql, *values):
        if time.monotonic() > give_up_at:
            return False
        await asyncio.sleep(0.02)
    return True
