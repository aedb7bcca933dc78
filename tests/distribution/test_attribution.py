"""Who brought the buyer: a table of cases, and random graphs of people sharing with each other."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from chassis.caller import Caller
from contracts.order import OrderPlaced
from contracts.partner import StaffChanged
from services.distribution.commands import Join, Open, Share
from services.distribution.commission import Commission
from services.distribution.domain import PersonTouches, Touch
from services.distribution.tokens import Tokens
from tests.distribution import world
from tests.distribution.world import RULES, TOKENS, World, goods, order, shipping
from tests.support import new_id


class Story(World):
    """People who join, share, open links and buy."""

    def angel(self) -> str:
        person = new_id("per")
        self.ask(Join(Caller(person), 1))
        return person

    def offer(self) -> str:
        offer_id = new_id("off")
        self.hear(world.offer(offer_id))
        return offer_id

    def content(self, *offer_ids: str) -> str:
        content_id = new_id("cnt")
        self.hear(world.content(content_id, *offer_ids))
        return content_id

    def link(self, angel: str, target: str) -> str:
        """The token of a new link."""
        is_offer = target.startswith("off_")
        made = self.ask(Share(Caller(angel), target if is_offer else None, None if is_offer else target, "en"))
        return str(made["token"])

    def touch(self, link_token: str, person: str | None = None) -> str:
        """The touch token that whoever opened the link carries away."""
        link_id = TOKENS.link_in(link_token)
        assert link_id
        return str(self.ask(Open(Caller(person), link_id))["touch_token"])

    def attributed(self, placed: OrderPlaced) -> list[tuple[str | None, str]]:
        """Of every line: its angel and the reason."""
        self.hear(placed)
        (said,) = [each for each in self.said("distribution.attributed.v1") if each["order_id"] == placed.order_id]
        return [(line["angel"], line["reason_code"]) for line in said["lines"]]


@pytest.fixture
def story() -> Story:
    return Story()


def test_the_token_that_the_checkout_carried_names_the_angel(story: Story) -> None:
    angel, offer = story.angel(), story.offer()
    token = story.touch(story.link(angel, offer))
    placed = order(goods(offer), shipping(), placed_at=story.now + timedelta(hours=1), touch_token=token)
    assert story.attributed(placed) == [(angel, "last_valid_touch"), (None, "not_goods")]


def test_a_signed_in_persons_touch_counts_without_any_token(story: Story) -> None:
    angel, offer, buyer = story.angel(), story.offer(), new_id("per")
    story.touch(story.link(angel, offer), buyer)
    placed = order(goods(offer), placed_at=story.now + timedelta(hours=1), buyer=buyer)
    assert story.attributed(placed) == [(angel, "last_valid_touch")]


def test_the_latest_valid_touch_wins_whether_carried_or_remembered(story: Story) -> None:
    first, second, offer, buyer = story.angel(), story.angel(), story.offer(), new_id("per")
    carried = story.touch(story.link(first, offer))
    story.pass_time(hours=1)
    story.touch(story.link(second, offer), buyer)
    placed_at = story.now + timedelta(hours=1)
    assert story.attributed(order(goods(offer), placed_at=placed_at, buyer=buyer, touch_token=carried))[0][0] == second
    story.pass_time(minutes=5)
    carried = story.touch(story.link(first, offer))
    assert story.attributed(order(goods(offer), placed_at=placed_at, buyer=buyer, touch_token=carried))[0][0] == first


def test_a_touch_on_content_counts_for_what_is_offered_in_it_and_for_an_order_out_of_it(story: Story) -> None:
    angel, inside, outside = story.angel(), story.offer(), story.offer()
    content = story.content(inside)
    token = story.touch(story.link(angel, content))
    placed_at = story.now + timedelta(hours=1)
    both = order(goods(inside), goods(outside), placed_at=placed_at, touch_token=token)
    assert story.attributed(both) == [(angel, "last_valid_touch"), (None, "other_product")]
    named = order(goods(outside), placed_at=placed_at, touch_token=token, content_id=content)
    assert story.attributed(named) == [(angel, "last_valid_touch")]


def _no_touch(story: Story, offer: str) -> dict[str, Any]:
    return {"touch_token": None}


def _forged(story: Story, offer: str) -> dict[str, Any]:
    angel = story.angel()
    story.touch(story.link(angel, offer))
    (real,) = story.batch.effects.appended[Touch]
    assert isinstance(real, Touch)
    return {"touch_token": Tokens(OKPKey.generate_key("Ed25519"), RULES).for_touch(real)}


def _changed(story: Story, offer: str) -> dict[str, Any]:
    token = story.touch(story.link(story.angel(), offer))
    head, claims, signature = token.split(".")
    return {"touch_token": f"{head}.{claims[:30]}{'A' if claims[30] != 'A' else 'B'}{claims[31:]}.{signature}"}


def _link_token(story: Story, offer: str) -> dict[str, Any]:
    return {"touch_token": story.link(story.angel(), offer)}


def _expired(story: Story, offer: str) -> dict[str, Any]:
    token = story.touch(story.link(story.angel(), offer))
    return {"touch_token": token, "placed_at": RULES.counts_until(story.now)}


def _after(story: Story, offer: str) -> dict[str, Any]:
    return {"touch_token": story.touch(story.link(story.angel(), offer)), "placed_at": story.now}


def _other(story: Story, offer: str) -> dict[str, Any]:
    return {"touch_token": story.touch(story.link(story.angel(), story.offer()))}


def _oneself(story: Story, offer: str) -> dict[str, Any]:
    angel = story.angel()
    return {"touch_token": story.touch(story.link(angel, offer)), "buyer": angel}


def _staff(story: Story, offer: str) -> dict[str, Any]:
    angel, seller = story.angel(), new_id("mch")
    story.hear(StaffChanged(party_id=seller, person_id=angel, role="pickup", version=1))
    return {"touch_token": story.touch(story.link(angel, offer)), "seller": seller}


def _no_share(story: Story, offer: str) -> dict[str, Any]:
    return {"touch_token": story.touch(story.link(story.angel(), offer)), "angel_bps": 0}


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (_no_touch, "no_touch"),
        (_forged, "touch_invalid"),
        (_changed, "touch_invalid"),
        (_link_token, "touch_invalid"),
        (_expired, "touch_expired"),
        (_after, "touch_after_order"),
        (_other, "other_product"),
        (_oneself, "self_purchase"),
        (_staff, "seller_staff"),
        (_no_share, "no_angel_share"),
    ],
)
def test_what_brought_nobody_says_why(story: Story, case: Any, reason: str) -> None:
    offer = story.offer()
    given_ = {"placed_at": story.now + timedelta(hours=1), **case(story, offer)}
    assert story.attributed(order(goods(offer), **given_)) == [(None, reason)]
    assert story.all(Commission) == []


def test_an_order_a_moment_before_the_window_ends_still_counts(story: Story) -> None:
    angel, offer = story.angel(), story.offer()
    token = story.touch(story.link(angel, offer))
    last = RULES.counts_until(story.now) - timedelta(microseconds=1)
    assert story.attributed(order(goods(offer), placed_at=last, touch_token=token)) == [(angel, "last_valid_touch")]


def test_an_unusable_token_leaves_the_persons_own_touches_in_force(story: Story) -> None:
    angel, offer, buyer = story.angel(), story.offer(), new_id("per")
    story.touch(story.link(angel, offer), buyer)
    placed = order(goods(offer), placed_at=story.now + timedelta(hours=1), buyer=buyer, touch_token="not.a.token")
    assert story.attributed(placed) == [(angel, "last_valid_touch")]


def test_somebody_who_left_the_sellers_staff_can_bring_buyers_again(story: Story) -> None:
    angel, offer, seller = story.angel(), story.offer(), new_id("mch")
    story.hear(StaffChanged(party_id=seller, person_id=angel, role="staff", version=1))
    story.hear(StaffChanged(party_id=seller, person_id=angel, role=None, version=2))
    token = story.touch(story.link(angel, offer))
    placed = order(goods(offer), placed_at=story.now + timedelta(hours=1), seller=seller, touch_token=token)
    assert story.attributed(placed) == [(angel, "last_valid_touch")]


def test_a_window_in_days_ends_at_midnight_where_the_people_live() -> None:
    touched_at = world.NOON  # noon of 2 November in Shanghai
    assert RULES.counts_until(touched_at).astimezone(RULES.zone).isoformat() == "2026-12-03T00:00:00+08:00"


def test_a_person_remembers_their_latest_touches_and_none_whose_window_is_over(story: Story) -> None:
    angel, offer, buyer = story.angel(), story.offer(), new_id("per")
    story.touch(story.link(angel, offer), buyer)
    story.pass_time(days=40)
    link = story.link(angel, offer)
    for _ in range(RULES.touches_max + 5):
        story.touch(link, buyer)
    (known,) = story.all(PersonTouches)
    assert len(known.touches) == RULES.touches_max
    assert all(touch.touched_at == story.now for touch in known.touches)


def test_a_chain_of_sharing_pays_the_one_who_brought_the_buyer_and_nobody_before(story: Story) -> None:
    offer, first, second, third, buyer = story.offer(), *(story.angel() for _ in range(3)), new_id("per")
    content = story.content(offer)
    story.touch(story.link(first, content), second)
    story.touch(story.link(second, content), third)
    token = story.touch(story.link(third, content), buyer)
    placed = order(goods(offer), placed_at=story.now + timedelta(hours=1), buyer=buyer, touch_token=token)
    assert story.attributed(placed) == [(third, "last_valid_touch")]
    assert [each.angel for each in story.all(Commission)] == [third]


PEOPLE = st.integers(0, 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("share"), PEOPLE, st.integers(0, 3)),
        st.tuples(st.just("touch"), PEOPLE, st.integers(0, 20)),
        st.tuples(st.just("carry"), PEOPLE, st.integers(0, 20)),
        st.tuples(st.just("buy"), PEOPLE, st.sets(st.integers(0, 2), min_size=1)),
        st.tuples(st.just("hire"), PEOPLE, st.just(0)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whoever_shares_with_whom_a_line_has_at_most_one_angel_and_never_its_buyer(steps: list[Any]) -> None:
    story = Story()
    people = [story.angel() for _ in range(5)]
    offers = [story.offer() for _ in range(3)]
    targets = [*offers, story.content(*offers[:2])]
    seller, staff, links, carried, brought = new_id("mch"), set[str](), [], dict[str, str](), dict[str, set[str]]()
    for step, who, what in steps:
        person = people[who]
        story.pass_time(minutes=1)
        if step == "share":
            links.append((person, story.link(person, targets[what])))
        elif step in {"touch", "carry"} and links:
            angel, link = links[what % len(links)]
            carried[person] = story.touch(link, person if step == "touch" else None)
            brought.setdefault(person, set()).add(angel)
        elif step == "hire":
            staff.add(person)
            story.hear(StaffChanged(party_id=seller, person_id=person, role="staff", version=1))
        elif step == "buy":
            lines = [goods(offers[n]) for n in sorted(what)]
            placed = order(*lines, placed_at=story.now, buyer=person, seller=seller, touch_token=carried.get(person))
            decided = story.attributed(placed)
            assert len(decided) == len(lines)
            angels = {angel for angel, _ in decided if angel}
            assert angels <= brought.get(person, set()) - {person} - staff
    commissions = story.all(Commission)
    assert len({each.line_id for each in commissions}) == len(commissions)
    assert all(each.angel != each.buyer for each in commissions)
