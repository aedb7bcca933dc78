"""The cast of the samples: one order of oranges in 江南慢食部落.

Ids are the same in every run, so the golden files only change when a promise does.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from contracts.ids import format_id
from contracts.money import Money

START = datetime(2026, 11, 2, 1, 30, tzinfo=UTC)
"""Half past nine on a Monday morning in Suzhou."""


def moment(*, days: int = 0, hours: int = 0, minutes: int = 0) -> datetime:
    return START + timedelta(days=days, hours=hours, minutes=minutes)


def uuid7(name: str) -> UUID:
    """A well-formed UUIDv7 born at START whose random part is the hash of its name."""
    random = int.from_bytes(sha256(name.encode()).digest()[:10])
    milliseconds = int(START.timestamp() * 1000)
    layout = milliseconds << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return UUID(int=layout)


def an_id(prefix: str, name: str = "oranges") -> str:
    return format_id(prefix, uuid7(f"{prefix} {name}"))


def yuan(minor_units: int) -> Money:
    return Money(amount=minor_units, currency="CNY")


BUYER = an_id("per", "buyer")
ANGEL = an_id("per", "angel")
AUTHOR = an_id("per", "author")
STAFF = an_id("per", "staff")
MERCHANT = an_id("mch", "orchard")
PARTNER = an_id("prt", "suzhou")
PARTNERSHIP = an_id("pst")
TRIBE = an_id("trb", "slow food")
MEMBERSHIP = an_id("mbr", "buyer")
CONTENT = an_id("cnt", "the story of the orchard")
REVISION = an_id("rev", "the story of the orchard")
WISH = an_id("wsh")
OFFER = an_id("off")
PRODUCT = an_id("prd")
CHECKOUT = an_id("chk")
ORDER = an_id("ord")
GOODS = an_id("lin", "goods")
SHIPPING = an_id("lin", "shipping")
CAMPAIGN = an_id("cmp")
DISPUTE = an_id("dsp")
SETTLEMENT = an_id("stl", "salon")
SELLER_LEG = an_id("leg", "seller")
PARTNER_LEG = an_id("leg", "partner")
ANGEL_LEG = an_id("leg", "angel")
SHIPPING_LEG = an_id("leg", "shipping")
REGION = "320500"
