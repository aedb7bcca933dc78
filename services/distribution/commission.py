"""What an angel earns from one line. It follows the money: every amount here is what escrow's facts say.

A commission is a join of what has been heard, not a sequence of steps: what was refunded out of the hold, what the leg
was released with, what the leg gave back. So the same facts in any order end in the same commission.
"""

from dataclasses import dataclass, replace
from typing import Literal

from chassis.decision import find_move
from contracts.money import allot

State = Literal["awaiting_payment", "pending", "maturing", "reversed"]

MOVES: dict[tuple[str, str], State] = {
    ("awaiting_payment", "hold"): "pending",
    ("awaiting_payment", "reverse"): "reversed",
    ("pending", "release"): "maturing",
    ("pending", "reverse"): "reversed",
    ("maturing", "reverse"): "reversed",
}


@dataclass(frozen=True, slots=True)
class Commission:
    """One angel's part of one order line, in minor units of `currency`.

    `planned` is its share of `line_amount` by the pinned `weights` (the angel's stands at `place`); `kept` is what is
    left of it now. `refunded` went back out of the hold before release; `released` is the leg, `returned` what the leg
    gave back since.
    """

    commission_id: str
    order_id: str
    line_id: str
    angel: str
    buyer: str
    currency: str
    state: State
    line_amount: int
    weights: tuple[int, ...]
    place: int
    planned: int
    kept: int
    held: bool = False
    refunded: int = 0
    leg_id: str | None = None
    released: int | None = None
    returned: int = 0
    undone: bool = False
    """The whole order's money went back."""

    @property
    def reversed(self) -> int:
        """What was taken from it; allotting what is left of a line can also round it up by one unit."""
        return max(0, self.planned - self.kept)


def hold(commission: Commission) -> Commission:
    """The money is there. A commission that was undone before stays so."""
    held = replace(commission, held=True)
    return _move(held, "hold") if held.state == "awaiting_payment" else held


def release(commission: Commission, leg_id: str | None, amount: int) -> Commission:
    """Escrow has released the line with this leg; none means that nothing was left for it."""
    released = replace(commission, leg_id=leg_id, released=amount)
    return _settle(_move(released, "release") if released.state == "pending" else released)


def refund(commission: Commission, *, from_hold: int, from_leg: int, complete: bool) -> Commission:
    """Money went back to the buyer: out of the line while it was held, or out of the leg after release."""
    return _settle(
        replace(
            commission,
            refunded=commission.refunded + from_hold,
            returned=commission.returned + from_leg,
            undone=commission.undone or complete,
        )
    )


def _settle(commission: Commission) -> Commission:
    """What is kept, computed anew from all that is known; a commission that nothing can come back to is reversed."""
    settled = replace(commission, kept=_kept(commission))
    return _move(settled, "reverse") if _gone(settled) and settled.state != "reversed" else settled


def _gone(commission: Commission) -> bool:
    """Not `kept == 0`: a part that rounds to nothing may round to a unit again, but money that left stays away."""
    if commission.undone or commission.refunded >= commission.line_amount:
        return True
    return commission.released is not None and commission.returned >= commission.released


def _kept(commission: Commission) -> int:
    if commission.undone:
        return 0
    if commission.released is not None:
        return max(0, commission.released - commission.returned)
    return share_of(max(0, commission.line_amount - commission.refunded), commission.weights, commission.place)


def share_of(amount: int, weights: tuple[int, ...], place: int) -> int:
    """The part at `place`, as escrow allots it."""
    return allot(amount, weights)[place]


def _move(commission: Commission, move: str) -> Commission:
    return replace(commission, state=find_move(MOVES, commission.state, move))
