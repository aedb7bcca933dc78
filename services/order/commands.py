"""What the order service is asked: by sellers, by buyers, and by its own deadlines."""

from dataclasses import dataclass
from datetime import datetime

from chassis.caller import Command
from contracts.money import Money
from services.order.goods import DeliveryKind, ProductState


@dataclass(frozen=True, slots=True)
class NewVariant:
    name: str
    stock: int


@dataclass(frozen=True, slots=True)
class CreateProduct(Command):
    """`return_days` and `ship_by_hours` are None where the platform's number holds."""

    merchant_id: str
    name: str
    description: str
    variants: tuple[NewVariant, ...]
    delivery_kind: DeliveryKind
    return_days: int | None
    returns_excluded: bool
    ship_by_hours: int | None
    state: ProductState


@dataclass(frozen=True, slots=True)
class UpdateProduct(Command):
    """None leaves a member as it is."""

    product_id: str
    version: int
    name: str | None
    description: str | None
    return_days: int | None
    returns_excluded: bool | None
    ship_by_hours: int | None
    state: ProductState | None


@dataclass(frozen=True, slots=True)
class MoveStock(Command):
    """`seller` is None where the stock is the merchant's own."""

    variant_id: str
    seller: str | None
    delta: int
    reason_code: str


@dataclass(frozen=True, slots=True)
class PublishOffer(Command):
    product_id: str
    seller: str
    partnership_id: str | None
    tribe_id: str | None
    price: Money
    angel_bps: int


@dataclass(frozen=True, slots=True)
class WithdrawOffer(Command):
    offer_id: str


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets the goods, as the gateway has signed it: the address itself stays there."""

    recipient_id: str
    person_id: str
    region_code: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of a checkout."""

    offer_id: str
    variant_id: str | None
    quantity: int


@dataclass(frozen=True, slots=True)
class CheckOut(Command):
    """`recipient` is None where none was given or where what was given is not the gateway's."""

    lines: tuple[Wanted, ...]
    recipient: Recipient | None
    touch_token: str | None
    content_id: str | None
    expected_total: Money

    @property
    def offer_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(line.offer_id for line in self.lines))


@dataclass(frozen=True, slots=True)
class Cancel(Command):
    order_id: str
    reason_code: str | None


@dataclass(frozen=True, slots=True)
class Confirm(Command):
    order_id: str


@dataclass(frozen=True, slots=True)
class Ship(Command):
    """`lines` are (line_id, quantity), or None for the whole order."""

    order_id: str
    lines: tuple[tuple[str, int], ...] | None
    carrier: str | None
    tracking: str | None


@dataclass(frozen=True, slots=True)
class SetTracking(Command):
    shipment_id: str
    version: int
    tracking: str


@dataclass(frozen=True, slots=True)
class Deliver(Command):
    shipment_id: str
    version: int


@dataclass(frozen=True, slots=True)
class _Deadline(Command):
    order_id: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class ExpireUnpaid(_Deadline):
    """Nobody has paid by expire_at."""


@dataclass(frozen=True, slots=True)
class CancelUnshipped(_Deadline):
    """Nothing has left by ship_by."""


@dataclass(frozen=True, slots=True)
class ConfirmSilent(_Deadline):
    """The buyer has said nothing by confirm_by."""


@dataclass(frozen=True, slots=True)
class Complete(_Deadline):
    """The return window is over."""
