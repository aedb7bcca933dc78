"""What happens to orders by itself, and where the sweep finds it."""

from chassis.caller import SYSTEM
from chassis.deadlines import Due
from services.order.commands import CancelUnshipped, Complete, ConfirmSilent, ExpireUnpaid

DUE = (
    Due("expire", "orders", "order_id", "expire_at", "state = 'placed'", lambda key, at: ExpireUnpaid(SYSTEM, key, at)),
    Due("cancel", "orders", "order_id", "ship_by", "state = 'paid'", lambda key, at: CancelUnshipped(SYSTEM, key, at)),
    Due(
        "confirm",
        "orders",
        "order_id",
        "confirm_by",
        "state IN ('shipped', 'delivered')",
        lambda key, at: ConfirmSilent(SYSTEM, key, at),
    ),
    Due(
        "complete",
        "orders",
        "order_id",
        "return_until",
        "state = 'received'",
        lambda key, at: Complete(SYSTEM, key, at),
    ),
)
