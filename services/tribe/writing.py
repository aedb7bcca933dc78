"""What a tribe publishes: content with one revision so far, labelled as advertising where it leads to an offer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Literal

from chassis.decision import InvalidRequest, Refused, find_move
from services.tribe.heard import Offer


class OfferWithdrawn(Refused):
    status, code = 409, "offer_withdrawn"


class ContentWithdrawn(Refused):
    """It was there once."""

    status, code = 410, "content_withdrawn"


@dataclass(frozen=True, slots=True)
class Revision:
    """One state of a document, as its author wrote it: never changed. `content_hash` is SHA-256 over title and body."""

    revision_id: str
    content_id: str
    number: int
    author: str
    title: str
    body: str
    content_hash: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Content:
    """A document of a tribe. `author` is a membership; `revision_id` names the stable revision."""

    content_id: str
    tribe_id: str
    author: str
    revision_id: str
    title: str
    offer_ids: tuple[str, ...]
    ad_label: bool
    state: Literal["published", "withdrawn"]
    published_at: datetime
    version: int


CONTENT_MOVES: Mapping[tuple[str, str], Literal["published", "withdrawn"]] = {("published", "withdraw"): "withdrawn"}


def content_hash(title: str, body: str) -> str:
    return sha256(f"{title}\n{body}".encode()).hexdigest()


def require_on_offer(offers: Iterable[Offer], tribe_id: str) -> None:
    """Raises OfferWithdrawn for what can no longer be bought, InvalidRequest for what is sold in another tribe."""
    for n, offer in enumerate(offers):
        if offer.state == "withdrawn":
            raise OfferWithdrawn
        if offer.tribe_id not in {None, tribe_id}:
            raise InvalidRequest.at(f"/offer_ids/{n}", "this offer belongs to another tribe")


def published(content_id: str, revision: Revision, tribe_id: str, offer_ids: tuple[str, ...]) -> Content:
    """A document and its stable revision. Whatever leads to an offer is labelled: nobody is asked."""
    return Content(
        content_id=content_id,
        tribe_id=tribe_id,
        author=revision.author,
        revision_id=revision.revision_id,
        title=revision.title,
        offer_ids=offer_ids,
        ad_label=bool(offer_ids),
        state="published",
        published_at=revision.at,
        version=1,
    )


def withdrawn(content: Content) -> Content:
    state = find_move(CONTENT_MOVES, content.state, "withdraw")
    return replace(content, state=state, version=content.version + 1)
