"""Samples of what distribution says."""

from typing import TypedDict

from contracts.distribution import (
    AngelJoined,
    Attributed,
    AttributedLine,
    CommissionPayable,
    CommissionPending,
    CommissionReversed,
    CommissionReviewed,
)
from contracts.fact import Fact
from contracts.samples.story import ANGEL, GOODS, ORDER, SHIPPING, an_id, yuan


class _Commission(TypedDict):
    commission_id: str
    order_id: str
    line_id: str


_COMMISSION = _Commission(commission_id=an_id("com"), order_id=ORDER, line_id=GOODS)

SAMPLES: tuple[Fact, ...] = (
    Attributed(
        order_id=ORDER,
        lines=(
            AttributedLine(line_id=GOODS, angel=ANGEL, touch_id=an_id("tch"), reason_code="last_valid_touch"),
            AttributedLine(line_id=SHIPPING, angel=None, touch_id=None, reason_code="not_goods"),
        ),
    ),
    CommissionReviewed(order_id=ORDER, line_id=GOODS, outcome="cleared", reason_code="reviewed_by_ops"),
    AngelJoined(person_id=ANGEL),
    CommissionPending(**_COMMISSION, amount=yuan(399)),
    CommissionPayable(**_COMMISSION, amount=yuan(399)),
    CommissionReversed(**_COMMISSION, amount=yuan(133)),
)
