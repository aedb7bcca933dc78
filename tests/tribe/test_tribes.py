"""Founding a tribe and giving roles in it."""

import asyncio

import pytest

from tests.support import new_id, said
from tests.tribe.story import partnership, world


async def test_a_partners_staff_found_a_tribe_and_its_founder_is_owner_and_member():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        tribe = (await (await all_.nobody()).get(f"/tribes/{tribe_id}")).json()
        assert tribe["counts"] == {"members": 1, "contents": 0}
        assert tribe["brought_by"] == [{"partner_id": all_.partner_id, "members": 1}]
        (owner,) = (await founder.get(f"/tribes/{tribe_id}/memberships")).json()["data"]
        assert (owner["role"], owner["brought_by"], owner["mine"]) == ("owner", all_.partner_id, True)
        founded, role = await said(all_.service)
        assert founded["data"] == {
            "tribe_id": tribe_id, "membership_id": owner["id"], "brought_by": all_.partner_id,
        }  # fmt: skip
        assert founded["audience"] == [tribe_id, all_.partner_id]
        assert role["data"] == {"tribe_id": tribe_id, "person_id": founder.id, "role": "owner", "version": 1}
        # Together the two would tell a party who hides behind a pseudonym.
        assert role["audience"] == []


@pytest.mark.parametrize("state", ["trial", "suspended", "ended"])
async def test_a_partnership_that_is_not_active_founds_nothing(state):
    async with world() as all_:
        staff = await all_.staff()
        await all_.hear(partnership(all_.partnership_id, all_.partner_id, state))
        body = {"name": "部落", "partnership_id": all_.partnership_id, "charter": "x"}
        refused = await staff.post("/tribes", body)
        assert (refused.status_code, refused.json()["code"]) == (409, "partnership_not_active")


async def test_founding_waits_for_a_partnership_that_is_still_on_its_way():
    async with world() as all_:
        staff = await all_.staff()
        body = {"name": "部落", "partnership_id": all_.partnership_id, "charter": "x"}
        asking = asyncio.create_task(staff.post("/tribes", body))
        await asyncio.sleep(0.2)
        assert not asking.done()
        await all_.hear(partnership(all_.partnership_id, all_.partner_id))
        assert (await asking).status_code == 201


async def test_only_the_partners_own_staff_found_and_its_porters_do_not():
    async with world() as all_:
        await all_.hear(partnership(all_.partnership_id, all_.partner_id))
        porter, nobody, key_ = (
            await all_.staff("pickup"),
            await all_.nobody(),
            await all_.key_of(all_.partner_id, "tribes:write"),
        )
        body = {"name": "部落", "partnership_id": all_.partnership_id, "charter": "x"}
        assert (await porter.post("/tribes", body)).status_code == 403
        assert (await nobody.post("/tribes", body)).status_code == 401
        # A key is nobody: it could not be the first member.
        assert (await key_.post("/tribes", body)).status_code == 403


async def test_tribes_are_public_and_listed_page_by_page():
    async with world() as all_:
        founder, first = await all_.founder()
        made = [first, *[await founder.found(all_.partnership_id) for _ in range(4)]]
        nobody, seen, after = await all_.nobody(), [], {}
        while True:
            page = (await nobody.get("/tribes", limit=2, **after)).json()
            seen += [each["id"] for each in page["data"]]
            if not page["has_more"]:
                break
            after = {"starting_after": seen[-1]}
        assert seen == made[::-1]


async def test_operators_change_the_charter_on_the_version_they_have_read():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        member = await all_.someone()
        await member.join(tribe_id)
        assert (await member.patch(f"/tribes/{tribe_id}", {"charter": "新"}, 1)).status_code == 403
        assert (await founder.patch(f"/tribes/{tribe_id}", {"charter": "新"}, 7)).status_code == 412
        changed = await founder.patch(f"/tribes/{tribe_id}", {"charter": "新"}, 1)
        assert (changed.json()["charter"], changed.headers["etag"]) == ("新", '"2"')
        # Members come and go without outdating what an operator has read.
        await (await all_.someone()).join(tribe_id)
        assert (await founder.patch(f"/tribes/{tribe_id}", {"name": "慢食"}, 2)).status_code == 200
        assert (await founder.patch(f"/tribes/{tribe_id}", {}, 3)).json()["version"] == 3


async def test_an_owner_gives_roles_and_each_is_said():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        member = await all_.someone()
        membership = await member.join(tribe_id)
        path = f"/tribes/{tribe_id}/roles/{membership['id']}"
        assert (await member.put(path, {"role": "owner"}, 1)).status_code == 403
        assert (await founder.put(path, {"role": "operator"}, 5)).status_code == 412
        given = await founder.put(path, {"role": "operator"}, 1)
        assert (given.json()["role"], given.headers["etag"]) == ("operator", '"2"')
        assert (await founder.put(path, {"role": "operator"}, 2)).json()["version"] == 2
        assert (await member.patch(f"/tribes/{tribe_id}", {"name": "慢食"}, 1)).status_code == 200
        assert (await member.put(path, {"role": "owner"}, 2)).status_code == 403
        roles = [each["data"] for each in await said(all_.service, "tribe.role_changed.v1")]
        assert [(each["role"], each["version"]) for each in roles if each["person_id"] == member.id] == [
            ("member", 1), ("operator", 2),
        ]  # fmt: skip


async def test_the_last_owner_neither_leaves_nor_steps_down():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        heir = await all_.someone()
        (own,) = (await founder.get(f"/tribes/{tribe_id}/memberships")).json()["data"]
        own_path = f"/tribes/{tribe_id}/roles/{own['id']}"
        assert (await founder.put(own_path, {"role": "member"}, 1)).json()["code"] == "last_owner"
        assert (await founder.delete(f"/memberships/{own['id']}")).json()["code"] == "last_owner"
        membership = await heir.join(tribe_id)
        await founder.put(f"/tribes/{tribe_id}/roles/{membership['id']}", {"role": "owner"}, 1)
        assert (await founder.delete(f"/memberships/{own['id']}")).status_code == 200


async def test_two_owners_who_leave_at_once_leave_one():
    async with world() as all_:
        founder, _ = await all_.founder()
        for _ in range(5):
            tribe_id, heir = await founder.found(all_.partnership_id), await all_.someone()
            (own,) = (await founder.get(f"/tribes/{tribe_id}/memberships")).json()["data"]
            membership = await heir.join(tribe_id)
            await founder.put(f"/tribes/{tribe_id}/roles/{membership['id']}", {"role": "owner"}, 1)
            answers = await asyncio.gather(
                founder.delete(f"/memberships/{own['id']}"),
                heir.delete(f"/memberships/{membership['id']}"),
            )
            assert sorted(each.status_code for each in answers) == [200, 409]


async def test_a_role_is_given_to_present_members_of_this_tribe_only():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        other_tribe = await founder.found(all_.partnership_id)
        member = await all_.someone()
        membership = await member.join(other_tribe)
        path = f"/roles/{membership['id']}"
        assert (await founder.put(f"/tribes/{tribe_id}{path}", {"role": "editor"}, 1)).status_code == 404
        await member.delete(f"/memberships/{membership['id']}")
        gone = await founder.put(f"/tribes/{other_tribe}{path}", {"role": "editor"}, 2)
        assert (gone.status_code, gone.json()["state"]) == (409, "left")
        key_ = await all_.key_of(tribe_id, "tribes:write")
        assert (await key_.put(f"/tribes/{tribe_id}{path}", {"role": "owner"}, 2)).status_code == 403
        assert (await founder.put(f"/tribes/{tribe_id}/roles/{new_id('mbr')}", {"role": "owner"}, 1)).status_code == 404
