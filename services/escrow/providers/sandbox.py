"""The sandbox provider, spoken to over HTTP as a real one is: signed requests out, signed callbacks in."""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from chassis.caller import Caller
from chassis.decision import Instruction, InvalidRequest
from chassis.instructions import Unanswered
from contracts.money import Currency
from services.escrow.commands import Capture, ChargeOpened, RefundAnswered
from services.escrow.providers.base import SignatureInvalid

REPLAY_WINDOW_SECONDS: Final = 300
Number = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{1,64}$")]
Paid = Annotated[int, Field(strict=True, gt=0, le=10**15)]
"""As large as the provider allows, not as we do: what was paid wrongly must still fit into suspense."""


class _ChargeData(BaseModel):
    model_config = ConfigDict(extra="ignore")
    out_no: Number
    transaction_id: Number
    amount: Paid
    currency: Currency


class _RefundData(BaseModel):
    model_config = ConfigDict(extra="ignore")
    refund_no: Number


class _Callback(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    type: str
    data: dict[str, Any]


@dataclass(frozen=True)
class SandboxProvider:
    """`url` is where the provider listens, `callback_url` where it calls back, `secret` what both sign with."""

    url: str
    callback_url: str
    secret: str
    client: httpx.AsyncClient
    call_seconds: float = 5.0
    name: str = "sandbox"

    async def open_charge(self, instruction: Instruction, _attempt: int) -> ChargeOpened:
        body = instruction.body
        charge = await self._call(
            "/v1/charges",
            {
                "out_no": instruction.id,
                "amount": body["amount"],
                "currency": body["currency"],
                "notify_url": self.callback_url,
                "expires_at": body["expires_at"],
            },
        )
        return ChargeOpened(self._caller, instruction.id, charge["pay_url"])

    async def refund(self, instruction: Instruction, _attempt: int) -> RefundAnswered:
        body = instruction.body
        refund = await self._call(
            "/v1/refunds",
            {
                "refund_no": instruction.id,
                "out_no": body["payment_id"],
                "amount": body["amount"],
                "currency": body["currency"],
                "notify_url": self.callback_url,
            },
        )
        outcome: Literal["succeeded", "failed", "pending"] = refund["state"]
        if outcome == "pending":
            raise Unanswered("pending")
        return RefundAnswered(self._caller, instruction.id, outcome)

    def read_callback(self, path: str, headers: Mapping[str, str], body: bytes) -> Capture | RefundAnswered | None:
        self._verify(path, headers, body)
        try:
            seen = _Callback.model_validate_json(body)
            if seen.type == "charge.succeeded":
                charge = _ChargeData.model_validate(seen.data)
                return Capture(
                    self._caller, self.name, charge.out_no, charge.transaction_id, charge.amount, charge.currency
                )
            if seen.type == "refund.succeeded":
                return RefundAnswered(self._caller, _RefundData.model_validate(seen.data).refund_no, "succeeded")
        except ValidationError as error:
            raise InvalidRequest.at("", "not a callback of the sandbox provider") from error
        return None

    def acknowledgement(self) -> bytes:
        return b'{"code": "SUCCESS"}'

    async def aclose(self) -> None:
        await self.client.aclose()

    @property
    def _caller(self) -> Caller:
        return Caller(key_id=f"provider:{self.name}")

    async def _call(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        raw = json.dumps(body).encode()
        try:
            response = await self.client.post(
                self.url + path, content=raw, headers=self._signed("POST", path, raw), timeout=self.call_seconds
            )
        except httpx.HTTPError as error:
            raise Unanswered(type(error).__name__) from error
        if response.status_code != httpx.codes.OK:
            raise Unanswered(f"{path} answered {response.status_code}")
        answer: dict[str, Any] = response.json()
        return answer

    def _signed(self, method: str, path: str, body: bytes) -> dict[str, str]:
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        return {
            "Content-Type": "application/json",
            "Sandbox-Timestamp": timestamp,
            "Sandbox-Nonce": nonce,
            "Sandbox-Signature": self._signature(method, path, timestamp, nonce, body),
        }

    def _signature(self, method: str, path: str, timestamp: str, nonce: str, body: bytes) -> str:
        signed = f"{method}\n{path}\n{timestamp}\n{nonce}\n".encode() + body
        return base64.b64encode(hmac.digest(self.secret.encode(), signed, sha256)).decode()

    def _verify(self, path: str, headers: Mapping[str, str], body: bytes) -> None:
        timestamp, nonce = headers.get("sandbox-timestamp", ""), headers.get("sandbox-nonce", "")
        if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12 or not 1 <= len(nonce) <= 64:
            raise SignatureInvalid
        meant = self._signature("POST", path, timestamp, nonce, body).encode()
        given = headers.get("sandbox-signature", "").encode()
        if not hmac.compare_digest(meant, given) or abs(time.time() - int(timestamp)) > REPLAY_WINDOW_SECONDS:
            raise SignatureInvalid
