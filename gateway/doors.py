"""What the routes work with beside the desk: keys, tokens, services behind; and the two things they do with them."""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Request
from joserfc.jwk import OKPKey

from chassis import signed
from chassis.auth import Issuer
from chassis.caller import Caller
from chassis.decision import Forbidden, NotFound, Refused
from gateway.domain import PersonalDataGone, Recipient
from gateway.settings import GatewaySettings
from gateway.tokens import AccessTokens
from gateway.upstream import Unreachable, Upstream
from gateway.vault import Marks, NotOpened, Vault

DeliverCode = Callable[[str, str], Awaitable[None]]


class UpstreamUnavailable(Refused):
    status, code = 503, "upstream_unavailable"


@dataclass(frozen=True)
class Doors:
    """Made once by build(); the same for every request."""

    settings: GatewaySettings
    signer: OKPKey
    issuer: Issuer
    tokens: AccessTokens
    vault: Vault
    marks: Marks
    upstream: Upstream
    deliver_code: DeliverCode | None
    """`await deliver_code(phone, code)`: how a code reaches a phone; None in a sandbox, which shows it."""

    @classmethod
    def of(cls, settings: GatewaySettings, upstream: Upstream, deliver_code: DeliverCode | None) -> "Doors":
        signer = settings.signer()
        return cls(
            settings, signer, Issuer(signer), AccessTokens(signer, settings.access_lifetime_seconds),
            settings.vault(), settings.marks(), upstream, deliver_code,
        )  # fmt: skip

    def recipient_token(self, recipient_id: str, person_id: str, region_code: str) -> str:
        claims = {"recipient_id": recipient_id, "person_id": person_id, "region_code": region_code}
        return signed.sign(self.signer, "recipient", claims, self.settings.recipient_token_lifetime_seconds)

    def seal_recipient(self, recipient_id: str, details: dict[str, str]) -> bytes:
        return self.vault.seal(json.dumps(details, ensure_ascii=False), f"recipient:{recipient_id}")

    def open_recipient(self, recipient: Recipient) -> dict[str, str]:
        """{name, phone, address}; PersonalDataGone where it was erased or cannot be opened any more."""
        if recipient.sealed is None:
            raise PersonalDataGone
        try:
            details: dict[str, str] = json.loads(
                self.vault.open(recipient.sealed, f"recipient:{recipient.recipient_id}")
            )
        except NotOpened as error:
            raise PersonalDataGone from error
        return details

    async def order_seen_by(self, caller: Caller, order_id: str) -> dict[str, Any]:
        """The order as the order service shows it to this caller now; NotFound or Forbidden where it shows nothing."""
        token = self.issuer.token("order", replace(caller, request_id=""))
        headers = ((b"authorization", f"Bearer {token}".encode()), (b"request-id", caller.request_id.encode()))
        try:
            answer = await self.upstream.fetch("order", f"/v1/orders/{order_id}", headers)
        except Unreachable as error:
            raise UpstreamUnavailable from error
        if answer.status >= 500:
            raise UpstreamUnavailable
        if answer.status == 403:
            raise Forbidden
        if answer.status != 200:
            raise NotFound
        order: dict[str, Any] = json.loads(answer.body)
        return order


def new_code() -> str:
    """Six random digits."""
    return f"{secrets.randbelow(1_000_000):06d}"


def doors_of(request: Request) -> Doors:
    found: Doors = request.app.state.doors
    return found


DoorsOf = Annotated[Doors, Depends(doors_of)]
