"""One function per command: content. Members write; the author or an operator withdraws."""

from dataclasses import replace

from chassis.decision import Applied, NotFound, Said, Unauthenticated, WrongRole, say
from chassis.grants import Grant
from chassis.moment import Moment
from chassis.policy import MEMBERS, OPERATORS, acts_for, belongs_to, require_person
from contracts import tribe as facts
from services.tribe import writing
from services.tribe.commands import PublishContent, WithdrawContent
from services.tribe.domain import Counts, Membership, Seat, Tribe
from services.tribe.handlers import WRITING, require_role
from services.tribe.heard import Offer
from services.tribe.writing import Content, Revision


def publish_content(
    tribe: Tribe,
    grant: Grant | None,
    _seat: Seat | None,
    membership: Membership | None,
    counts: Counts,
    offers: tuple[Offer, ...],
    command: PublishContent,
    at: Moment,
) -> Applied:
    """A member publishes a document: its first revision is the stable one."""
    require_person(command.caller)
    require_role(command.caller, tribe.tribe_id, grant, roles=MEMBERS)
    if membership is None:
        raise NotFound
    writing.require_on_offer(offers, tribe.tribe_id)
    content_id = at.id("cnt")
    revision = Revision(
        revision_id=at.id("rev"),
        content_id=content_id,
        number=1,
        author=membership.membership_id,
        title=command.title,
        body=command.body,
        content_hash=writing.content_hash(command.title, command.body),
        at=at.now,
    )
    content = writing.published(content_id, revision, tribe.tribe_id, command.offer_ids)
    counts = replace(counts, contents=counts.contents + 1)
    return Applied(
        (content, revision, counts),
        (_said(facts.ContentPublished, content),),
        reply=(content, revision, command.language),
        reason="content_published",
    )


def withdraw_content(
    content: Content,
    author: Membership,
    grant: Grant | None,
    counts: Counts,
    command: WithdrawContent,
    _at: Moment,
) -> Applied:
    """Its author, member or not any more, or an operator takes it back. Twice is once."""
    _require_own_or_operator(content, author, grant, command)
    if content.state == "withdrawn":
        return Applied(reply=(content, command.language))
    gone = writing.withdrawn(content)
    counts = replace(counts, contents=counts.contents - 1)
    return Applied(
        (gone, counts),
        (_said(facts.ContentWithdrawn, gone),),
        reply=(gone, command.language),
        reason="content_withdrawn",
    )


def _require_own_or_operator(
    content: Content, author: Membership, grant: Grant | None, command: WithdrawContent
) -> None:
    caller = command.caller
    if caller.person_id is None and caller.party_id is None:
        raise Unauthenticated
    if caller.person_id == author.person_id or acts_for(caller, content.tribe_id, grant, OPERATORS, WRITING):
        return
    raise WrongRole if belongs_to(caller, content.tribe_id, grant) else NotFound


def _said(kind: type[facts.ContentPublished | facts.ContentWithdrawn], content: Content) -> Said:
    fact = kind(
        content_id=content.content_id,
        revision_id=content.revision_id,
        tribe_id=content.tribe_id,
        offer_ids=content.offer_ids,
        ad_label=content.ad_label,
        version=content.version,
    )
    return say(fact, content.tribe_id)
