"""The rules alone, without a database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.decision import MoveRefused, Refused
from services.tribe import domain, writing
from services.tribe.domain import AlreadyMember, Brought, Counts, LastOwner, Membership
from services.tribe.heard import Offer
from services.tribe.writing import OfferWithdrawn, Revision

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MEMBER = Membership("mbr_1", "trb_1", "per_1", "橘园白鹭-0412", "prt_1", "joined", "member", NOW, 1)
OWNER = replace(MEMBER, membership_id="mbr_0", person_id="per_0", role="owner")
COUNTS = Counts("trb_1", 2, 1, 0, (Brought("prt_1", 2),))
ROLES = ("owner", "operator", "editor", "member")
STEPS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["join", "leave", *ROLES])), max_size=40)


@given(STEPS)
def test_a_tribe_always_has_an_owner_and_its_counts_are_what_one_would_count(steps):
    people = {0: OWNER}
    counts = domain.recounted(Counts("trb_1", 0, 0, 0, ()), None, OWNER)
    for person, step in steps:
        before = people.get(person)
        try:
            after = _after(before, person, step, counts)
        except Refused:
            continue
        counts = domain.recounted(counts, before, after)
        people[person] = after
        present = [each for each in people.values() if each.state == "joined"]
        assert counts.members == len(present)
        assert counts.owners == sum(each.role == "owner" for each in present) >= 1
        for partner_id in ("prt_0", "prt_1"):
            counted = sum(each.members for each in counts.brought if each.partner_id == partner_id)
            assert counted == sum(each.brought_by == partner_id for each in present)


def _after(before, person, step, counts):
    if before is None:
        if step != "join":
            raise Refused
        brought_by = [None, "prt_0", "prt_1"][person % 3]
        return replace(MEMBER, membership_id=f"mbr_{person}", person_id=f"per_{person}", brought_by=brought_by)
    if step == "join":
        return domain.returned(before)
    if step == "leave":
        return domain.left(before, counts)
    if before.state == "left":
        raise Refused
    return domain.with_role(before, step, counts)


def test_who_returns_is_the_same_member_brought_by_the_same_partner():
    back = domain.returned(replace(MEMBER, state="left", role=None))
    assert back == replace(MEMBER, version=2)
    with pytest.raises(AlreadyMember):
        domain.returned(MEMBER)


def test_nobody_leaves_twice_and_the_last_owner_not_once():
    with pytest.raises(MoveRefused):
        domain.left(replace(MEMBER, state="left", role=None), COUNTS)
    with pytest.raises(LastOwner):
        domain.left(OWNER, COUNTS)
    with pytest.raises(LastOwner):
        domain.with_role(OWNER, "operator", COUNTS)
    assert domain.left(OWNER, replace(COUNTS, owners=2)).role is None


@given(st.integers(0, 2**128))
def test_a_pseudonym_is_short_and_says_nothing(number):
    name = domain.pseudonym(number)
    assert name == domain.pseudonym(number)
    assert 4 < len(name) <= 12


@pytest.mark.parametrize(
    ("offer", "refusal"),
    [
        (Offer("off_1", None, "published", 1), None),
        (Offer("off_1", "trb_1", "published", 1), None),
        (Offer("off_1", None, "withdrawn", 1), OfferWithdrawn),
        (Offer("off_1", "trb_2", "published", 1), Refused),
    ],
)
def test_content_leads_to_what_can_be_bought_here(offer, refusal):
    if refusal is None:
        writing.require_on_offer([offer], "trb_1")
    else:
        with pytest.raises(refusal):
            writing.require_on_offer([offer], "trb_1")


REVISION = Revision("rev_1", "cnt_1", 1, "mbr_1", "题", "文", writing.content_hash("题", "文"), NOW)


@pytest.mark.parametrize("offer_ids", [(), ("off_1",), ("off_1", "off_2")])
def test_whatever_leads_to_an_offer_is_labelled(offer_ids):
    assert writing.published("cnt_1", REVISION, "trb_1", offer_ids).ad_label is bool(offer_ids)


def test_withdrawn_content_stays_withdrawn():
    gone = writing.withdrawn(writing.published("cnt_1", REVISION, "trb_1", ()))
    assert (gone.state, gone.version) == ("withdrawn", 2)
    with pytest.raises(MoveRefused):
        writing.withdrawn(gone)
