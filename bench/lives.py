"""Lives of orders as load: place, pay on the provider's page, ship, deliver, confirm, released."""

import secrets
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from bench.http import Answer, Connection

PRICE = 3990


class Refused(Exception):  # noqa: N818
    """The system answered a step of a life with something else than success."""


@dataclass(slots=True)
class Client:
    """One person on one connection, signed in."""

    api: Connection
    token: str = ""
    person_id: str = ""

    async def call(self, method: str, path: str, body: Any = None, *, version: int | None = None) -> Any:
        """A call that must succeed; a keyed one is repeated while the answer says to try again."""
        headers = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if method == "POST":
            headers["idempotency_key"] = uuid4().hex
        if version is not None:
            headers["if_match"] = f'"{version}"'
        for _ in range(10):
            answer: Answer = await self.api.request(method, path, body, **headers)
            if answer.status < 400:
                return answer.json() if answer.body else None
            if "retry-after" not in answer.headers:
                break
        raise Refused(f"{method} {path}: {answer.status} {answer.body.decode()}")

    async def sign_in(self) -> None:
        code = await self.call("POST", "/v1/sessions/codes", {"phone": f"+86138{secrets.randbelow(10**8):08d}"})
        session = await self.call("POST", "/v1/sessions", {"code_id": code["code_id"], "code": code["sandbox_code"]})
        self.token, self.person_id = session["access_token"], session["person_id"]


@dataclass(slots=True)
class Shop:
    """A seller whose goods are on sale, as load needs it."""

    owner: Client
    offer_id: str


_VALUES = dict.fromkeys(("frequency", "taste", "feeling", "acting", "mission", "looking_for"), "慢")


async def open_shop(owner: Client, stock: int = 1_000_000) -> Shop:
    """A merchant of its own, open, with one product on sale."""
    await owner.sign_in()
    merchant = await owner.call("POST", "/v1/merchants", {"name": "秋园果业", "categories": ["fruit"]})
    await owner.call(
        "PATCH", f"/v1/merchants/{merchant['id']}", {"values": _VALUES, "state": "open"}, version=merchant["version"]
    )
    product = await owner.call(
        "POST",
        "/v1/products",
        {
            "merchant_id": merchant["id"],
            "name": "脐橙",
            "variants": [{"name": "10 斤", "stock": stock}],
            "delivery_kind": "express",
            "state": "published",
        },
    )
    price = {"amount": PRICE, "currency": "CNY"}
    offer = await owner.call(
        "POST", "/v1/offers", {"product_id": product["id"], "seller": merchant["id"], "price": price, "angel_bps": 500}
    )
    return Shop(owner, offer["id"])


@dataclass(slots=True)
class Buyer:
    """A person who buys, again and again, from one address."""

    client: Client
    pay_page: Connection | None = None
    """The provider's host is known from the first `pay_url`."""
    recipient_token: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)

    async def close(self) -> None:
        if self.pay_page:
            await self.pay_page.close()

    async def settle_in(self) -> None:
        await self.client.sign_in()
        recipient = await self.client.call(
            "POST",
            "/v1/recipients",
            {"name": "收件人", "phone": "13900000000", "region_code": "330100", "address": "西湖区某路 1 号"},
        )
        self.recipient_token = recipient["recipient_token"]

    async def live(self, shop: Shop, seller: Client) -> str:
        """One order from placing to release; its id. How long the parts took is noted in `seconds`."""
        started = time.perf_counter()
        order_id, checkout_id = await self._place(shop)
        await self._pay(checkout_id)
        await self.client.call("GET", f"/v1/orders/{order_id}?wait=paid")
        self._note("place_and_pay", started)
        shipment = await seller.call(
            "POST", f"/v1/orders/{order_id}/shipments", {"carrier": "sf", "tracking": "SF1234567890"}
        )
        await seller.call("PATCH", f"/v1/shipments/{shipment['id']}", {"delivered": True}, version=shipment["version"])
        confirming = time.perf_counter()
        await self.client.call("POST", f"/v1/orders/{order_id}/confirm", {})
        hold = await self.client.call("GET", f"/v1/holds/{order_id}?wait=released")
        if hold["state"] != "released":
            raise Refused(f"{order_id}: {hold['state']}")
        self._note("confirm_to_release", confirming)
        self._note("life", started)
        return order_id

    async def _place(self, shop: Shop) -> tuple[str, str]:
        checkout = await self.client.call(
            "POST",
            "/v1/checkouts",
            {
                "lines": [{"offer_id": shop.offer_id, "quantity": 1}],
                "recipient_token": self.recipient_token,
                "expected_total": {"amount": PRICE, "currency": "CNY"},
            },
        )
        return checkout["orders"][0]["id"], checkout["id"]

    async def _pay(self, checkout_id: str) -> None:
        payment = await self.client.call("POST", "/v1/payments", {"checkout_id": checkout_id, "provider": "sandbox"})
        path = urlsplit(payment["pay_url"]).path
        self.pay_page = self.pay_page or Connection(payment["pay_url"])
        answer = await self.pay_page.request("POST", path)
        if answer.status >= 400:
            raise Refused(f"POST {path}: {answer.status}")

    def _note(self, part: str, started: float) -> None:
        self.seconds.setdefault(part, []).append(time.perf_counter() - started)
