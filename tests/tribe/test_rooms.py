"""What holds for the whole room: what it hears, in whatever state and order; who may; what a body may carry."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis import clock, grants
from chassis.clock import ClockOffset
from chassis.decision import Applied, Ignored
from chassis.grants import Grant
from contracts import catalogue
from contracts.gateway import ClockAdvanced
from contracts.partner import PartnershipAmended, StaffChanged
from contracts.problems import codes
from services.tribe import domain, heard, writing
from services.tribe.heard import Offer, Partnership
from services.tribe.service import HEARS
from services.tribe.settings import TribeSettings
from tests.support import KEY, key, new_id, said
from tests.tribe.story import offer, partnership, world

PST, PRT, OFF, TRB, PER = new_id("pst"), new_id("prt"), new_id("off"), new_id("trb"), new_id("per")
STATES = ("trial", "active", "suspended", "ended")


def test_it_hears_exactly_what_the_catalogue_says():
    assert {fact.type for fact in HEARS} == catalogue.heard_by("tribe")


def test_every_refusal_has_its_words():
    said_ = {
        each.code
        for module in (domain, writing)
        for each in vars(module).values()
        if isinstance(each, type) and hasattr(each, "code")
    }
    assert said_ <= codes()


def _every_state_and_fact():
    """(handler, known state, fact): every state of every aggregate that hears, against every fact it hears."""
    for version in (1, 2, 3):
        facts = [partnership(PST, PRT, state, version) for state in STATES]
        facts.append(PartnershipAmended.model_validate(facts[1].model_dump()))
        for known, fact in product([None, *(Partnership(PST, "mch", PRT, state, 2) for state in STATES)], facts):
            yield heard.partnership_changed, known, fact
        offers = [offer(OFF, tribe, version, withdrawn=gone) for tribe in (None, TRB) for gone in (True, False)]
        for known, fact in product(
            [None, *(Offer(OFF, None, state, 2) for state in ("published", "withdrawn"))], offers
        ):
            yield heard.offer_changed, known, fact
        roles = ("owner", "staff", "pickup", None)
        for known, role in product([None, *(Grant("g", PRT, PER, role, 2) for role in roles)], roles):
            yield grants.staff_changed, known, StaffChanged(party_id=PRT, person_id=PER, role=role, version=version)
        for known, seconds in product([None, ClockOffset("sandbox", 60, 2)], (0, 60, 120)):
            yield clock.advance, known, ClockAdvanced(deployment="sandbox", offset_seconds=seconds, version=version)


def test_every_fact_in_every_state_is_applied_or_ignored():
    walked = set()
    for handler, known, fact in _every_state_and_fact():
        outcome = handler(known, fact, None)
        assert isinstance(outcome, Applied | Ignored)
        walked.add(type(fact))
    assert walked == set(HEARS)


@given(st.permutations(range(1, 5)), st.lists(st.integers(1, 4), max_size=4))
def test_in_whatever_order_and_however_often_facts_arrive_the_newest_is_known(order, repeated):
    states = dict(zip(range(1, 5), STATES, strict=True))
    known = None
    for version in [*order, *repeated]:
        outcome = heard.partnership_changed(known, partnership(PST, PRT, states[version], version), None)
        known = outcome.changed[0] if isinstance(outcome, Applied) else known
    assert (known.state, known.version) == ("ended", 4)


async def test_grants_heard_from_the_partner_service_count_from_the_moment_they_are_heard():
    async with world() as all_:
        await all_.hear(partnership(all_.partnership_id, all_.partner_id))
        staff = await all_.staff()
        body = {"name": "部落", "partnership_id": all_.partnership_id, "charter": "x"}
        await all_.hear(StaffChanged(party_id=all_.partner_id, person_id=staff.id, role=None, version=2))
        assert (await staff.post("/tribes", body)).status_code == 404


async def send(who, method, path, body, version):
    headers = key() if method == "POST" else {}
    if version is not None:
        headers["if-match"] = f'"{version}"'
    return await who.http.request(method, f"/v1{path}", json=body, headers=headers)


async def test_strangers_find_nothing_and_what_does_not_exist_is_not_found_however_young_its_id():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        member = await all_.someone()
        membership_id = (await member.join(tribe_id))["id"]
        content_id = (await member.publish(tribe_id))["id"]
        content = {"title": "题", "body": "文"}
        operations = [
            ("PATCH", "/tribes/{trb}", {"name": "x"}, 1),
            ("PUT", "/tribes/{trb}/roles/{mbr}", {"role": "editor"}, 1),
            ("GET", "/tribes/{trb}/memberships", None, None),
            ("POST", "/tribes/{trb}/contents", content, None),
            ("DELETE", "/memberships/{mbr}", None, None),
            ("DELETE", "/contents/{cnt}", None, None),
        ]
        stranger, nobody = await all_.someone(), await all_.nobody()
        foreign_key = await all_.key_of(new_id("trb"), "tribes:write", "tribes:read")
        there = {"trb": tribe_id, "mbr": membership_id, "cnt": content_id}
        for method, path, body, version in operations:
            operation = method, path.format(**there), body, version
            assert (await send(nobody, *operation)).status_code == 401, operation
            assert (await send(stranger, *operation)).status_code == 404, operation
            assert (await send(foreign_key, *operation)).status_code in {403, 404}, operation
        absent = {name: new_id(name) for name in there}
        for method, path, body, version in [
            *operations,
            ("GET", "/tribes/{trb}", None, None),
            ("GET", "/tribes/{trb}/contents", None, None),
            ("GET", "/contents/{cnt}", None, None),
            ("POST", "/tribes/{trb}/memberships", {}, None),
            ("POST", "/tribes/{trb}/invitations", {"partner_id": all_.partner_id}, None),
        ]:
            operation = method, path.format(**absent), body, version
            assert (await send(founder, *operation)).status_code == 404, operation


async def test_what_only_the_service_may_say_is_refused_in_a_body():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        membership = (await founder.get(f"/tribes/{tribe_id}/memberships")).json()["data"][0]["id"]
        tribe = {"name": "部落", "partnership_id": all_.partnership_id, "charter": "x"}
        for method, path, body, version, forbidden in (
            ("POST", "/tribes", tribe, None, ("tribe_id", "partner_id", "counts", "brought_by", "founded_at", "version")),
            ("PATCH", f"/tribes/{tribe_id}", {}, 1, ("partnership_id", "counts", "brought_by", "version")),
            ("PUT", f"/tribes/{tribe_id}/roles/{membership}", {"role": "owner"}, 1, ("state", "pseudonym", "version")),
            ("POST", f"/tribes/{tribe_id}/invitations", {"partner_id": all_.partner_id}, None, ("invite_token", "expires_at")),
            ("POST", f"/tribes/{tribe_id}/memberships", {}, None, ("brought_by", "role", "pseudonym", "membership_id")),
            ("POST", f"/tribes/{tribe_id}/contents", {"title": "x", "body": "x"}, None,
             ("ad_label", "disclosure", "author", "state", "revision_id", "version")),
        ):  # fmt: skip
            for name in forbidden:
                answer = await send(founder, method, path, {**body, name: 1}, version)
                assert answer.status_code == 422, (path, name)
                assert answer.json()["errors"][0]["pointer"] == f"/{name}"


async def test_no_fact_ties_a_person_to_a_membership_or_carries_their_words():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        await founder.publish(tribe_id)
        await (await all_.someone()).join(tribe_id)
        for fact in await said(all_.service):
            assert not {"membership_id", "person_id"} <= set(fact["data"])
            assert not {"title", "body", "name", "charter", "pseudonym"} & set(fact["data"])


def test_a_key_that_can_only_read_does_not_start_the_service():
    import json

    with pytest.raises(ValueError, match="private"):
        TribeSettings(token_key=json.dumps(KEY.as_dict(private=False))).key()
