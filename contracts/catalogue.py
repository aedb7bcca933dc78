"""Who says what, and who hears it: every fact of the system in one table.

Every process declares all queues and bindings from this table before it publishes, and each service's own list of what
it hears is tested equal to its row here. Removing a hearer is a migration: facts for it may still be under way.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, get_args

from contracts import distribution, escrow, gateway, order, partner, tribe
from contracts.fact import Envelope, Fact

Service = Literal["order", "escrow", "distribution", "tribe", "partner", "gateway"]
SERVICES: tuple[Service, ...] = get_args(Service)


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact: who hears it today, who will once the feature that needs it is built, and what for."""

    fact: type[Fact]
    hearers: frozenset[Service]
    later: frozenset[Service]
    why: str

    @property
    def producer(self) -> str:
        return self.fact.type.partition(".")[0]


def _said(
    *facts: type[Fact], heard: AbstractSet[Service] = frozenset(), later: AbstractSet[Service] = frozenset(), why: str
) -> tuple[Entry, ...]:
    """Entries for facts with the same hearers. The gateway hears all but itself: it records what parties may see."""
    return tuple(
        Entry(
            fact=fact,
            hearers=frozenset(heard) if fact.type.startswith("gateway.") else frozenset({*heard, "gateway"}),
            later=frozenset(later),
            why=why,
        )
        for fact in facts
    )


# A table is read by its columns, so it is laid out by hand.
# fmt: off
_TABLE: tuple[tuple[Entry, ...], ...] = (
    # --- gateway
    _said(gateway.PersonErased,
          later={"tribe", "distribution", "escrow", "partner", "order"}, why="end what is personal"),
    _said(gateway.ClockAdvanced,
          heard={"order", "escrow", "distribution", "tribe", "partner"}, why="one business clock"),
    # --- partner
    _said(partner.MerchantOpened, partner.MerchantChanged,
          heard={"order"}, later={"tribe", "escrow"},
          why="order: may it sell; tribe: accords join different categories; escrow: keep payouts back"),
    _said(partner.StaffChanged,
          heard={"order", "escrow", "distribution", "tribe"}, why="grants: who may act for whom"),
    _said(partner.ApplicationSubmitted, partner.ApplicationDecided, why="notices to both sides"),
    _said(partner.PartnershipActivated, partner.PartnershipAmended,
          partner.PartnershipSuspended, partner.PartnershipEnded,
          heard={"order", "tribe"}, later={"escrow"},
          why="order: offers, ladder group, pinned terms; tribe: who may found and sign; escrow: keep payouts back"),
    _said(partner.PickupPointChanged,
          later={"order"}, why="a checkout may name it"),
    # --- tribe
    _said(tribe.TribeFounded, tribe.MemberJoined, tribe.MemberLeft, why="notices and webhooks"),
    _said(tribe.RoleChanged,
          heard={"order", "escrow"}, why="grants; order: campaigns; escrow: the pool's account"),
    _said(tribe.AccordActivated,
          later={"order", "escrow"}, why="order: who sells here, pinned terms; escrow: the pool as a payee"),
    _said(tribe.TribePartnerLeft,
          later={"order", "distribution"}, why="order: withdraw offers; distribution: end links"),
    _said(tribe.ConsentGiven, tribe.ConsentWithdrawn, tribe.ConsentAcknowledged,
          why="a webhook to that one partner"),
    _said(tribe.ContentPublished, tribe.ContentWithdrawn,
          heard={"distribution", "order"},
          why="distribution: links lead to stable content only; order: a checkout's content exists"),
    _said(tribe.CreditsFrozen,
          later={"escrow"}, why="names the author legs"),
    _said(tribe.WishRipened,
          later={"order"}, why="a campaign may answer it"),
    _said(tribe.CostsApproved,
          later={"escrow"}, why="pay from the pool"),
    # --- order
    _said(order.OfferPublished, order.OfferWithdrawn,
          heard={"distribution", "tribe"}, why="distribution: where links lead; tribe: offers in content, ad label"),
    _said(order.OrderPlaced,
          heard={"escrow", "distribution"}, later={"tribe", "partner"},
          why="escrow: open a hold; distribution: attribute; tribe: credits, repeat purchase; partner: capability"),
    _said(order.OrderPaid, order.OrderDelivered, why="notices and webhooks; money follows escrow.held"),
    _said(order.OrderShipped,
          later={"partner"}, why="share of orders shipped on time"),
    _said(order.DeliveryConfirmed,
          heard={"escrow"}, later={"partner"}, why="escrow: release; partner: promises kept"),
    _said(order.OrderCompleted,
          heard={"escrow"}, later={"tribe", "partner"},
          why="escrow: legs mature; tribe: interaction index; partner: record"),
    _said(order.OrderCancelled, order.OrderExpired,
          heard={"escrow"}, later={"partner", "tribe", "distribution"},
          why="escrow: void or refund; partner: broken promise; tribe: index; distribution: budget back"),
    _said(order.LinesCancelled,
          heard={"escrow"}, later={"partner", "tribe"}, why="escrow: refund by line; partner and tribe: record"),
    _said(order.Repriced, order.ReturnAccepted,
          later={"escrow", "partner", "tribe"}, why="escrow: refund by line; partner and tribe: record"),
    _said(order.DeadlineNear, why="a notice while there is still time"),
    _said(order.CampaignOpened, order.CampaignAmended, order.CampaignSucceeded, order.CampaignFailed,
          later={"tribe", "distribution", "partner"},
          why="tribe: the wish is answered; distribution: links and budget; partner: promises kept"),
    # --- escrow
    _said(escrow.Held,
          heard={"order", "distribution"}, why="order: paid; distribution: commissions pending"),
    _said(escrow.Disputed, escrow.DisputeResolved,
          later={"order", "distribution", "partner", "tribe"},
          why="order: pause, resume, close, restock; distribution: wait; partner and tribe: record"),
    _said(escrow.Released,
          heard={"order", "distribution"}, later={"partner", "tribe"},
          why="order: view; distribution: commissions mature; partner: margin; tribe: pool and authors"),
    _said(escrow.Refunded,
          heard={"order", "distribution"}, later={"partner", "tribe"},
          why="order: view; distribution: commissions reversed; partner and tribe: record"),
    _said(escrow.LegMatured,
          later={"distribution", "tribe", "partner"}, why="distribution: commissions payable; others: income"),
    _said(escrow.PayoutSent, escrow.PayoutSucceeded, escrow.PayoutFailed,
          later={"distribution", "partner", "tribe"}, why="distribution: commissions paid; others: income"),
    _said(escrow.DebtOpened, escrow.ReleaseBlocked,
          later={"partner"}, why="partner: exposure; notices to the payee and to ops"),
    _said(escrow.PoolPaid,
          later={"tribe"}, why="open books"),
    _said(escrow.PayoutAccountChanged,
          later={"distribution"}, why="two angels on one payout account are a risk"),
    # --- distribution
    _said(distribution.Attributed,
          heard={"escrow"}, why="names the angel legs"),
    _said(distribution.CommissionReviewed,
          later={"escrow"}, why="freeze, free or return a leg"),
    _said(distribution.AngelJoined, distribution.CommissionPending,
          distribution.CommissionPayable, distribution.CommissionReversed, why="notices to the angel"),
)
# fmt: on

CATALOGUE: dict[str, Entry] = {entry.fact.type: entry for row in _TABLE for entry in row}


def entry(fact_type: str) -> Entry:
    """The row of a wire type; KeyError for a type that nobody says."""
    return CATALOGUE[fact_type]


def hearers(fact_type: str) -> frozenset[Service]:
    """Who hears this type today; KeyError for a type that nobody says."""
    return CATALOGUE[fact_type].hearers


def heard_by(service: Service) -> frozenset[str]:
    """Every type this service hears today: the bindings of its queue."""
    return frozenset(fact_type for fact_type, row in CATALOGUE.items() if service in row.hearers)


def decode(envelope: Envelope) -> Fact | None:
    """The fact inside; None for a type this code does not know yet: a newer producer is no reason to stop.

    Raises pydantic.ValidationError where a known type carries what it must not: that message is poison.
    """
    row = CATALOGUE.get(envelope.type)
    return row.fact.model_validate(envelope.data) if row else None
