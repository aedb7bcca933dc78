"""The rules alone, without a database."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.decision import MoveRefused, Refused, WrongRole
from services.partner import agreement, domain
from services.partner.agreement import (
    APPLICATION_MOVES,
    MOVERS,
    PARTNERSHIP_MOVES,
    SIDES,
    AgreedTerms,
    Answers,
    Application,
    ApplicationExists,
    MerchantNotOpen,
    NotRecruiting,
    Pair,
    Partnership,
    Proposal,
)
from services.partner.domain import LastOwner, Merchant, OfferedTerms, Recruiting, Roster, Values, ValuesMissing

NOW = datetime(2026, 5, 1, tzinfo=UTC)
SAID = Values("a", "b", "c", "d", "e", "f")
TERMS = OfferedTerms(800, "standard", None, "CNY")
DRAFT = Merchant("mch_1", "果园", ("fruit",), "draft", Values(), 0, Recruiting(), 1)
OPEN = replace(DRAFT, state="open", values=SAID, values_version=1, recruiting=Recruiting(True, ("320500",), TERMS))
ASKED = Application(
    "apl_1", "mch_1", "prt_1", "partner", "draft", Answers("a", "b", "c", "d"), "x", None, None, None, 1
)
STATES = sorted({state for state, _, _ in APPLICATION_MOVES} | set(APPLICATION_MOVES.values()))
ENDED = ("agreed", "rejected", "withdrawn")


@pytest.mark.parametrize("missing", ["frequency", "taste", "feeling", "acting", "mission", "looking_for"])
def test_a_merchant_with_one_value_unsaid_neither_opens_nor_recruits(missing):
    merchant = replace(DRAFT, values=replace(SAID, **{missing: None}))
    for forbidden in (
        lambda: domain.opened(merchant),
        lambda: domain.recruiting(merchant, Recruiting(True, (), TERMS)),
    ):
        with pytest.raises(ValuesMissing) as refusal:
            forbidden()
        assert refusal.value.extra == {"missing": [missing]}


def test_what_a_merchant_has_said_can_be_changed_and_never_unsaid():
    merchant = domain.with_values(OPEN, Values(taste="z"))
    assert merchant.values == replace(SAID, taste="z")
    assert merchant.values_version == 2
    assert domain.with_values(OPEN, Values()) is OPEN


def test_opening_what_is_open_changes_nothing():
    assert domain.opened(OPEN) is OPEN


def test_a_call_for_partners_names_its_terms():
    with pytest.raises(Refused) as refusal:
        domain.recruiting(replace(OPEN, recruiting=Recruiting()), Recruiting(True))
    assert refusal.value.extra["errors"][0]["pointer"] == "/recruiting/terms"


def test_closing_the_call_keeps_its_terms():
    closed = domain.recruiting(OPEN, Recruiting(False, None, None))
    assert closed.recruiting == Recruiting(False, ("320500",), TERMS)


PEOPLE = st.sampled_from(["per_1", "per_2", "per_3"])


@given(st.lists(st.tuples(PEOPLE, st.sampled_from(["owner", "staff", "pickup", None])), max_size=30))
def test_whoever_is_appointed_or_dismissed_a_party_keeps_an_owner(changes):
    roster, roles = Roster("mch_1", ("per_1",)), {"per_1": "owner"}
    for person, role in changes:
        try:
            roster = domain.appointed(roster, person, role)
        except LastOwner:
            assert role != "owner"
            assert [who for who, has in roles.items() if has == "owner" and who != person] == []
        else:
            roles[person] = role
        assert sorted(roster.owners) == sorted(who for who, has in roles.items() if has == "owner") != []


@pytest.mark.parametrize("opened_by", SIDES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("move", ["submit", "accept", "reject", "withdraw"])
@pytest.mark.parametrize("state", STATES)
def test_an_application_moves_only_as_its_table_says(state, move, side, opened_by):
    application = replace(ASKED, state=state, opened_by=opened_by)
    actors = {side, "opener" if side == opened_by else "other"}
    allowed = [
        to
        for (start, name, actor), to in APPLICATION_MOVES.items()
        if (start, name) == (state, move) and actor in actors
    ]
    if allowed:
        moved = agreement.move_application(application, move, [side])
        assert (moved.state, moved.version) == (allowed[0], 2)
    else:
        ever = any(name == move and actor in actors for _, name, actor in APPLICATION_MOVES)
        with pytest.raises(MoveRefused if ever else WrongRole):
            agreement.move_application(application, move, [side])


@pytest.mark.parametrize("state", ENDED)
def test_a_decided_application_offers_no_move(state):
    assert agreement.application_next(replace(ASKED, state=state)) == ()


@given(
    st.lists(
        st.tuples(st.sampled_from(["submit", "accept", "reject", "withdraw"]), st.sampled_from(SIDES)), max_size=12
    )
)
def test_nobody_is_agreed_with_before_both_have_accepted(moves):
    application, accepted = ASKED, set()
    for move, side in moves:
        try:
            application = agreement.move_application(application, move, [side])
        except Refused:
            continue
        if move == "accept":
            accepted.add(side)
    assert (application.state == "agreed") == (accepted == set(SIDES))


def test_partners_apply_where_they_are_sought_and_merchants_may_ask_anyone():
    agreement.require_can_apply(OPEN, "partner")
    silent = replace(OPEN, recruiting=replace(OPEN.recruiting, open=False))
    agreement.require_can_apply(silent, "merchant")
    with pytest.raises(NotRecruiting):
        agreement.require_can_apply(silent, "partner")
    with pytest.raises(NotRecruiting):
        agreement.require_can_apply(replace(OPEN, recruiting=Recruiting()), "merchant")
    with pytest.raises(MerchantNotOpen):
        agreement.require_can_apply(DRAFT, "merchant")


def test_what_is_accepted_is_what_was_seen_when_the_application_was_submitted():
    submitted = agreement.submitted(ASKED, OPEN)
    assert submitted.proposal == Proposal(TERMS, ("320500",))
    _, partnership = agreement.agreed(submitted, "pst_1", NOW)
    assert partnership.state == "trial"
    assert partnership.terms == AgreedTerms(1, 800, "standard", None, "CNY", NOW)
    assert partnership.regions == ("320500",)


@pytest.mark.parametrize(
    ("pair", "free"),
    [(None, True), (Pair("p", None, None), True), (Pair("p", "apl_0", None), False), (Pair("p", None, "pst_0"), False)],
)
def test_two_have_one_application_or_one_partnership_at_a_time(pair, free):
    if free:
        assert agreement.claimed(pair, ASKED).application_id == "apl_1"
    else:
        with pytest.raises(ApplicationExists):
            agreement.claimed(pair, ASKED)


PARTNERSHIP = Partnership(
    "pst_1", "mch_1", "prt_1", "apl_1", "trial", AgreedTerms(1, 800, "standard", None, "CNY", NOW), (), None, 1
)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("move", sorted(MOVERS))
@pytest.mark.parametrize("state", ["trial", "active", "suspended", "ended"])
def test_a_partnership_moves_only_as_its_table_says(state, move, side):
    partnership = replace(PARTNERSHIP, state=state)
    to = PARTNERSHIP_MOVES.get((state, move))
    if side not in MOVERS[move]:
        with pytest.raises(WrongRole):
            agreement.move_partnership(partnership, move, [side], None)
    elif to is None:
        with pytest.raises(MoveRefused):
            agreement.move_partnership(partnership, move, [side], None)
    else:
        assert agreement.move_partnership(partnership, move, [side], "why") == replace(
            partnership, state=to, reason_code="why", version=2
        )
