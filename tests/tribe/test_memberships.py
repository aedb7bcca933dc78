"""Joining, by whom one was brought, and leaving: under a pseudonym, once per person."""

import asyncio
import json

from joserfc.jwk import OKPKey

from chassis import signed
from tests.support import new_id, said
from tests.tribe.story import SETTINGS, partnership, world


async def test_an_invitation_is_remembered_as_provenance_and_nobody_needs_one():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        token = await all_.invite(founder, tribe_id)
        guest, passer_by = await all_.someone(), await all_.someone()
        assert (await guest.join(tribe_id, token))["brought_by"] == all_.partner_id
        assert (await passer_by.join(tribe_id))["brought_by"] is None
        tribe = (await guest.get(f"/tribes/{tribe_id}")).json()
        assert tribe["counts"]["members"] == 3
        assert tribe["brought_by"] == [{"partner_id": all_.partner_id, "members": 2}]
        joined = await said(all_.service, "tribe.member_joined.v1")
        assert [each["data"]["brought_by"] for each in joined] == [all_.partner_id, None]
        assert [each["audience"] for each in joined] == [[tribe_id, all_.partner_id], [tribe_id]]


async def test_nobody_joins_twice_however_often_they_ask_at_once():
    async with world() as all_:
        _, tribe_id = await all_.founder()
        guest = await all_.someone()
        answers = await asyncio.gather(*(guest.post(f"/tribes/{tribe_id}/memberships") for _ in range(8)))
        assert sorted(each.status_code for each in answers) == [201] + [409] * 7
        assert {each.json()["code"] for each in answers if each.status_code == 409} == {"already_member"}
        assert (await guest.get(f"/tribes/{tribe_id}")).json()["counts"]["members"] == 2


async def test_who_leaves_and_returns_keeps_name_and_provenance_whoever_invites_them_now():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        guest = await all_.someone()
        first = await guest.join(tribe_id)
        path = f"/memberships/{first['id']}"
        gone = (await guest.delete(path)).json()
        assert (gone["state"], gone["role"]) == ("left", None)
        assert (await guest.delete(path)).json() == gone
        assert (await guest.get(f"/tribes/{tribe_id}/memberships")).status_code == 404
        back = await guest.join(tribe_id, await all_.invite(founder, tribe_id))
        assert {**back, "version": 1} == first
        assert len(await said(all_.service, "tribe.member_left.v1")) == 1


async def test_members_see_pseudonyms_and_nobody_else_sees_members():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        guests = [await all_.someone() for _ in range(4)]
        for guest in guests:
            await guest.join(tribe_id)
        listed = await guests[0].get(f"/tribes/{tribe_id}/memberships", limit=3)
        assert not [person for person in (founder.id, *(each.id for each in guests)) if person in listed.text]
        assert listed.json()["has_more"]
        rest = await guests[0].get(f"/tribes/{tribe_id}/memberships", starting_after=listed.json()["data"][-1]["id"])
        everybody = [*listed.json()["data"], *rest.json()["data"]]
        assert len({each["id"] for each in everybody}) == 5
        assert sum(each["mine"] for each in everybody) == 1
        assert (await (await all_.someone()).get(f"/tribes/{tribe_id}/memberships")).status_code == 404
        assert (await (await all_.nobody()).get(f"/tribes/{tribe_id}/memberships")).status_code == 401


async def test_one_leaves_for_oneself_alone():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        guest = await all_.someone()
        path = f"/memberships/{(await guest.join(tribe_id))['id']}"
        assert (await founder.delete(path)).status_code == 404
        assert (await (await all_.nobody()).delete(path)).status_code == 401
        assert (await (await all_.key_of(tribe_id, "tribes:write")).delete(path)).status_code == 403


async def test_only_the_tribes_own_partner_invites_while_its_partnership_is_active():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        path = f"/tribes/{tribe_id}/invitations"
        other_id = new_id("prt")
        other = await all_.staff("owner", other_id)
        assert (await other.post(path, {"partner_id": other_id})).status_code == 404
        assert (await (await all_.staff("pickup")).post(path, {"partner_id": all_.partner_id})).status_code == 403
        key_ = await all_.key_of(all_.partner_id, "tribes:write")
        assert (await key_.post(path, {"partner_id": all_.partner_id})).status_code == 201
        await all_.hear(partnership(all_.partnership_id, all_.partner_id, "suspended", 3))
        refused = await founder.post(path, {"partner_id": all_.partner_id})
        assert refused.json()["code"] == "partnership_not_active"


async def test_an_invitation_that_this_service_did_not_sign_for_this_tribe_and_now_is_none():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        other_tribe = await founder.found(all_.partnership_id)
        token, guest = await all_.invite(founder, tribe_id), await all_.someone()
        claims = {"tribe_id": tribe_id, "partner_id": all_.partner_id}
        own = OKPKey.import_key(json.loads(SETTINGS.token_key.get_secret_value()))
        forged = {
            "another tribe's": await all_.invite(founder, other_tribe),
            "altered": token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"),
            "another key's": signed.sign(OKPKey.generate_key("Ed25519"), "invitation", claims, 60),
            "for another purpose": signed.sign(own, "recipient", claims, 60),
            "expired": signed.sign(own, "invitation", claims, -1),
            "no token": "x",
        }
        for what, each in forged.items():
            refused = await guest.post(f"/tribes/{tribe_id}/memberships", {"invite_token": each})
            assert (refused.status_code, refused.json()["code"]) == (422, "invitation_invalid"), what
        assert (await guest.join(tribe_id, token))["brought_by"] == all_.partner_id
