"""What holds for the whole room: what it hears, who may, and what a body may carry."""

from typing import Any

import pytest

from chassis.clock import ClockOffset, advance
from chassis.decision import Applied, Ignored
from contracts import catalogue
from contracts.gateway import ClockAdvanced
from contracts.problems import codes
from services.partner.service import HEARS
from tests.partner.story import World, agreed, application, world
from tests.support import key, new_id


def test_it_hears_exactly_what_the_catalogue_says():
    assert {fact.type for fact in HEARS} == catalogue.heard_by("partner")


@pytest.mark.parametrize("known", [None, ClockOffset("sandbox", 60, 1), ClockOffset("sandbox", 60, 9)])
@pytest.mark.parametrize("seconds", [0, 60, 120])
@pytest.mark.parametrize("version", [1, 2])
def test_every_fact_in_every_state_is_applied_or_ignored(known, seconds, version):
    fact = ClockAdvanced(deployment="sandbox", offset_seconds=seconds, version=version)
    assert isinstance(advance(known, fact, None), Applied | Ignored)


def test_every_refusal_has_its_words():
    from services.partner import agreement, domain

    said = {
        each.code
        for module in (agreement, domain)
        for each in vars(module).values()
        if isinstance(each, type) and hasattr(each, "code")
    }
    assert said <= codes()


async def operations(all_: World) -> tuple[Any, ...]:
    """A world with everything in it, and every operation that somebody owns: (method, path, body, version or None)."""
    owner, partner = await all_.someone(), await all_.someone()
    done = await agreed(owner, partner)
    merchant_id, partner_id = done["merchant_id"], done["partner_id"]
    other = await (await all_.someone()).partner()
    waiting = await owner.application(merchant_id, other)
    own = [
        (owner, "PATCH", f"/merchants/{merchant_id}", {"name": "新名字"}, 2),
        (partner, "PATCH", f"/partners/{partner_id}", {"display_name": "新名字"}, 1),
        (owner, "PUT", f"/staff/{merchant_id}/{new_id('per')}", {"role": "staff"}, 0),
        (partner, "PUT", f"/staff/{partner_id}/{new_id('per')}", {"role": "staff"}, 0),
        (owner, "GET", f"/staff?party_id={merchant_id}", None, None),
        (owner, "POST", "/applications", application(merchant_id, partner_id), None),
        (owner, "POST", f"/applications/{waiting}/submit", {}, None),
        (owner, "POST", f"/partnerships/{done['partnership_id']}/activate", {}, None),
        (partner, "POST", f"/partnerships/{done['partnership_id']}/end", {}, None),
    ]
    return merchant_id, partner_id, owner, partner, own


async def send(who, method, path, body, version):
    headers = key() if method == "POST" else {}
    if version is not None:
        headers["if-match"] = f'"{version}"'
    return await who.http.request(method, f"/v1{path}", json=body, headers=headers)


async def test_strangers_find_nothing_wrong_roles_are_told_and_nobody_is_asked_to_sign_in():
    async with world() as all_:
        merchant_id, partner_id, owner, partner, own = await operations(all_)
        stranger, nobody, porter = await all_.someone(), await all_.nobody(), await all_.someone()
        await owner.employ(merchant_id, porter.id, "pickup")
        await partner.employ(partner_id, porter.id, "pickup")
        foreign_key = await all_.key_of(new_id("mch"), "merchants:write", "applications:write", "partnerships:write")
        for owner_, *operation in own:
            assert (await send(nobody, *operation)).status_code == 401, operation
            assert (await send(stranger, *operation)).status_code == 404, operation
            assert (await send(foreign_key, *operation)).status_code in {403, 404}, operation
            assert (await send(porter, *operation)).status_code == 403, operation
            assert (await send(owner_, *operation)).status_code in {200, 201}, operation


async def test_what_does_not_exist_is_not_found_however_young_its_id():
    async with world() as all_:
        someone = await all_.someone()
        partner_id = await someone.partner()
        for method, path, body, version in (
            ("GET", f"/merchants/{new_id('mch')}", None, None),
            ("GET", f"/partners/{new_id('prt')}", None, None),
            ("GET", "/merchants/no-id", None, None),
            ("PATCH", f"/merchants/{new_id('mch')}", {}, 1),
            ("PATCH", f"/partners/{new_id('prt')}", {}, 1),
            ("PUT", f"/staff/{new_id('mch')}/{someone.id}", {"role": "owner"}, 0),
            ("GET", f"/staff?party_id={new_id('mch')}", None, None),
            ("POST", "/applications", application(new_id("mch"), partner_id), None),
            ("POST", f"/applications/{new_id('apl')}/submit", {}, None),
            ("POST", f"/partnerships/{new_id('pst')}/end", {}, None),
        ):
            assert (await send(someone, method, path, body, version)).status_code == 404, path


async def test_what_only_the_service_may_say_is_refused_in_a_body():
    async with world() as all_:
        merchant_id, partner_id, owner, partner, _ = await operations(all_)
        waiting = await partner.application(await owner.merchant(), partner_id)
        for method, path, body, version, forbidden in (
            ("POST", "/merchants", {"name": "x", "categories": ["fruit"]}, None,
             ("merchant_id", "state", "values_version", "version", "owner")),
            ("PATCH", f"/merchants/{merchant_id}", {}, 2, ("merchant_id", "values_version", "version")),
            ("POST", "/partners", {"display_name": "x", "regions": [], "capability": "x"}, None,
             ("partner_id", "record", "version")),
            ("PATCH", f"/partners/{partner_id}", {}, 1, ("partner_id", "version", "record")),
            ("PUT", f"/staff/{merchant_id}/{partner.id}", {"role": "staff"}, 0, ("version", "party_id", "person_id")),
            ("POST", "/applications", application(merchant_id, partner_id), None,
             ("state", "terms", "proposal", "opened_by", "partnership_id", "score", "version")),
            ("POST", f"/applications/{waiting}/submit", {}, None, ("state", "terms", "version")),
        ):  # fmt: skip
            for name in forbidden:
                answer = await send(
                    partner if "applications" in path else owner, method, path, {**body, name: 1}, version
                )
                assert answer.status_code == 422, (path, name)
                assert answer.json()["errors"][0]["pointer"] == f"/{name}"


@pytest.mark.parametrize(
    ("name", "status"), [("", 422), (" x", 422), ("a\x00b", 422), ("a\nb", 422), ("x" * 81, 422), ("果园 one", 201)]
)
async def test_a_name_is_one_line_of_words(name, status):
    async with world() as all_:
        someone = await all_.someone()
        assert (await someone.post("/merchants", {"name": name, "categories": ["fruit"]})).status_code == status


async def test_what_a_database_cannot_keep_is_refused_at_the_door():
    async with world() as all_:
        someone = await all_.someone()
        merchant_id = await someone.merchant()
        for text in ("a\x00b", "\ud800"):
            body = f'{{"values": {{"taste": "{text.encode("unicode_escape").decode()}"}}}}'.replace("\\x00", "\\u0000")
            headers = {"if-match": '"2"', "content-type": "application/json"}
            answer = await someone.http.patch(f"/v1/merchants/{merchant_id}", content=body, headers=headers)
            assert answer.status_code in {400, 422}, answer.text
