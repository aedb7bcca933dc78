"""Why the order service says no: named facts with a status and a code."""

from chassis.decision import Refused
from contracts.money import Money

_WITHOUT_CENTS = frozenset({"JPY", "KRW", "VND"})


class SoldOut(Refused):
    status, code = 409, "sold_out"


class PriceChanged(Refused):
    """What the buyer saw is not what it costs now; `amount` is what it does."""

    status, code = 409, "price_changed"

    @classmethod
    def to(cls, total: Money) -> "PriceChanged":
        return cls({"amount": _in_words(total)}, {"amount": total.model_dump()})


class OfferWithdrawnFromSale(Refused):
    status, code = 409, "offer_withdrawn"


class MerchantNotOpen(Refused):
    status, code = 409, "merchant_not_open"


class PartnershipNotActive(Refused):
    status, code = 409, "partnership_not_active"


class RecipientInvalid(Refused):
    status, code = 422, "recipient_invalid"


class RailExceeded(Refused):
    status, code = 422, "rail_exceeded"


class CurrencyMismatch(Refused):
    status, code = 422, "currency_mismatch"


class OneSellerOnly(Refused):
    """A checkout buys from one seller, under one partnership and in one tribe, for now."""

    status, code = 422, "one_seller_only"


class TrackingFinal(Refused):
    status, code = 409, "tracking_final"


def _in_words(money: Money) -> str:
    if money.currency in _WITHOUT_CENTS:
        return f"{money.currency} {money.amount}"
    return f"{money.currency} {money.amount // 100}.{money.amount % 100:02d}"
