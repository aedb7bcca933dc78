"""The signed API: parse, apply a rule, answer."""

import asyncio
from typing import TypeVar

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from sandbox import charges, refunds, signing
from sandbox.charges import Charge, ChargeRequest
from sandbox.clock import now_seconds, rfc3339
from sandbox.courier import Courier
from sandbox.faults import FaultPlan, Faults
from sandbox.refunds import Course, Refund, RefundRequest
from sandbox.refusals import Refused
from sandbox.signing import Message
from sandbox.store import Store

HANG_SECONDS = 30
Answer = TypeVar("Answer")


class ChargeView(BaseModel):
    """A charge as the platform sees it."""

    out_no: str
    state: charges.State
    amount: int
    currency: str
    pay_url: str
    transaction_id: str | None
    paid_at: str | None


class RefundView(BaseModel):
    """A refund as the platform sees it."""

    refund_no: str
    out_no: str
    state: refunds.State
    amount: int
    currency: str


class Api:
    """The handlers, with what they work on."""

    def __init__(self, store: Store, faults: Faults, courier: Courier, public_url: str) -> None:
        self._store = store
        self._faults = faults
        self._courier = courier
        self._public_url = public_url.rstrip("/")

    async def create_charge(self, body: ChargeRequest) -> ChargeView:
        """`POST /v1/charges`."""
        return await self._answer(self._charge_view(charges.create(self._store, body)))

    async def read_charge(self, out_no: str) -> ChargeView:
        """`GET /v1/charges/{out_no}`."""
        return self._charge_view(charges.find(self._store, out_no))

    async def close_charge(self, out_no: str) -> ChargeView:
        """`POST /v1/charges/{out_no}/close`."""
        return await self._answer(self._charge_view(charges.close(self._store, out_no)))

    async def create_refund(self, body: RefundRequest) -> RefundView:
        """`POST /v1/refunds`."""
        refund = refunds.known(self._store, body) or refunds.create(self._store, body, self._plan_course)
        self._courier.wake()
        return await self._answer(_refund_view(refund))

    async def read_refund(self, refund_no: str) -> RefundView:
        """`GET /v1/refunds/{refund_no}`."""
        return _refund_view(refunds.find(self._store, refund_no))

    async def replace_faults(self, body: FaultPlan) -> FaultPlan:
        """`PUT /v1/faults`."""
        self._faults.plan = body
        return body

    def _plan_course(self) -> Course:
        plan = self._faults.plan
        completes_at = now_seconds() + plan.refund_delay_seconds
        return Course(self._faults.take("fail_refunds"), completes_at, completes_at + plan.callback_delay_seconds)

    async def _answer(self, view: Answer) -> Answer:
        """Answer, unless the fault strikes by which the caller never learns that its request was applied."""
        if self._faults.take("timeouts_after_applying"):
            await asyncio.sleep(HANG_SECONDS)
            raise Refused(504, "timed_out", "The provider took too long.")
        return view

    def _charge_view(self, charge: Charge) -> ChargeView:
        return ChargeView(
            out_no=charge.out_no,
            state=charge.state(now_seconds()),
            amount=charge.amount,
            currency=charge.currency,
            pay_url=f"{self._public_url}/pay/{charge.token}",
            transaction_id=charge.transaction_id,
            paid_at=None if charge.paid_at is None else rfc3339(charge.paid_at),
        )


def _refund_view(refund: Refund) -> RefundView:
    return RefundView(
        refund_no=refund.refund_no,
        out_no=refund.out_no,
        state=refund.state(now_seconds()),
        amount=refund.amount,
        currency=refund.currency,
    )


def router(api: Api, secret: str) -> APIRouter:
    """Every path under `/v1`, each behind the signature."""

    async def signed(request: Request) -> None:
        path = request.scope["raw_path"].decode("ascii")
        message = Message(request.method, path, await request.body())
        signing.verify(secret, message, request.headers, now_seconds())

    routes = APIRouter(prefix="/v1", dependencies=[Depends(signed)])
    routes.post("/charges")(api.create_charge)
    routes.get("/charges/{out_no}")(api.read_charge)
    routes.post("/charges/{out_no}/close")(api.close_charge)
    routes.post("/refunds")(api.create_refund)
    routes.get("/refunds/{refund_no}")(api.read_refund)
    routes.put("/faults")(api.replace_faults)
    return routes
