"""What the tribe service takes and gives: request and response models, never rows, never facts."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints

from chassis.web import In, Out
from contracts.fact import Token
from contracts.ids import OfferId, PartnerId, PartnershipId
from services.tribe.domain import Counts, Invitation, Membership, Role, Tribe
from services.tribe.writing import Content, Revision

# One line and many lines of people's words. PostgreSQL cannot keep a NUL; a name is not blank at its beginning.
Name = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=5000, pattern=r"^[^\x00]*$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$")]
Document = Annotated[str, StringConstraints(min_length=1, max_length=50_000, pattern=r"^[^\x00]*$")]
OfferIds = Annotated[list[OfferId], Field(max_length=20)]

DISCLOSURE = {
    "zh": "广告：文中的商品可以购买，本文的作者与分享者可能从由此产生的订单中获得佣金。",
    "en": "Advertising: goods shown here can be bought; its authors and whoever shares it may earn from such orders.",
}
"""What a reader is told about content that leads to offers, in their language."""


class TribeIn(In):
    name: Name
    partnership_id: PartnershipId
    charter: Words


class TribeChange(In):
    """What is absent or null stays as it is."""

    name: Name | None = None
    charter: Words | None = None


class CountsOut(Out):
    members: int
    contents: int


class BroughtOut(Out):
    """How many of the present members this partner brought. It is remembered, never paid for."""

    partner_id: str
    members: int


class TribeOut(Out):
    """A tribe and how many are in it."""

    id: str
    name: str
    charter: str
    partnership_id: str
    partner_id: str
    founded_at: datetime
    counts: CountsOut
    brought_by: list[BroughtOut]
    version: int

    @classmethod
    def of(cls, both: tuple[Tribe, Counts]) -> Self:
        tribe, counts = both
        return cls(
            id=tribe.tribe_id,
            name=tribe.name,
            charter=tribe.charter,
            partnership_id=tribe.partnership_id,
            partner_id=tribe.partner_id,
            founded_at=tribe.founded_at,
            counts=CountsOut(members=counts.members, contents=counts.contents),
            brought_by=[BroughtOut(partner_id=each.partner_id, members=each.members) for each in counts.brought],
            version=tribe.version,
        )


class RoleIn(In):
    role: Role


class InvitationIn(In):
    partner_id: PartnerId


class InvitationOut(Out):
    """An invitation to hand on: whoever joins with it is remembered as brought by this partner."""

    tribe_id: str
    partner_id: str
    invite_token: str
    expires_at: datetime

    @classmethod
    def of(cls, invitation: Invitation, token: str) -> Self:
        return cls(
            tribe_id=invitation.tribe_id,
            partner_id=invitation.partner_id,
            invite_token=token,
            expires_at=invitation.expires_at,
        )


class MembershipIn(In):
    invite_token: Token | None = None


class MembershipOut(Out):
    """A member, by pseudonym. `mine` tells you which one you are; nobody else is told."""

    id: str
    tribe_id: str
    pseudonym: str
    brought_by: str | None
    state: Literal["joined", "left"]
    role: Role | None
    joined_at: datetime
    mine: bool
    version: int

    @classmethod
    def of(cls, membership: Membership, *, mine: bool) -> Self:
        return cls(
            id=membership.membership_id,
            tribe_id=membership.tribe_id,
            pseudonym=membership.pseudonym,
            brought_by=membership.brought_by,
            state=membership.state,
            role=membership.role,
            joined_at=membership.joined_at,
            mine=mine,
            version=membership.version,
        )


class ContentIn(In):
    title: Title
    body: Document
    offer_ids: OfferIds = Field(default=[])


class ContentOut(Out):
    """A document of a tribe, without its text. `ad_label` (广告) is set wherever it leads to an offer, and then
    `disclosure` must be shown beside it. `author` is a membership."""

    id: str
    tribe_id: str
    title: str
    author: str
    revision_id: str
    offer_ids: list[str]
    ad_label: bool
    disclosure: str | None
    state: Literal["published", "withdrawn"]
    published_at: datetime
    version: int

    @classmethod
    def of(cls, content: Content, language: str) -> Self:
        return cls.model_validate(_head(content, language))


class RevisionOut(Out):
    id: str
    number: int
    author: str
    content_hash: str
    at: datetime

    @classmethod
    def of(cls, revision: Revision) -> Self:
        return cls(
            id=revision.revision_id,
            number=revision.number,
            author=revision.author,
            content_hash=revision.content_hash,
            at=revision.at,
        )


class DocumentOut(ContentOut):
    """A document with the text of its stable revision: plain text, as it was written, to be shown as text."""

    body: str
    revisions: list[RevisionOut]

    @classmethod
    def whole(cls, content: Content, revision: Revision, language: str) -> Self:
        return cls.model_validate(
            {
                **_head(content, language),
                "body": revision.body,
                "revisions": [RevisionOut.of(revision)],
            }
        )


def _head(content: Content, language: str) -> dict[str, object]:
    named = {name: getattr(content, name) for name in ContentOut.model_fields if name not in {"id", "disclosure"}}
    return {"id": content.content_id, **named, "disclosure": DISCLOSURE[language] if content.ad_label else None}
