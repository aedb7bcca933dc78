"""Who acts for a party: given by its owners, never lost altogether, said to everybody."""

import asyncio

from tests.partner.story import world
from tests.support import new_id, said


async def test_an_owner_appoints_changes_and_dismisses_and_each_is_said():
    async with world() as all_:
        owner, clerk = await all_.someone(), await all_.someone()
        merchant_id = await owner.merchant()
        path = f"/staff/{merchant_id}/{clerk.id}"
        made = await owner.put(path, {"role": "pickup"}, 0)
        assert made.status_code == 200
        assert made.headers["etag"] == '"1"'
        assert (await owner.put(path, {"role": "staff"}, 0)).status_code == 412
        assert (await owner.put(path, {"role": "staff"}, 1)).json()["version"] == 2
        assert (await clerk.patch(f"/merchants/{merchant_id}", {"name": "新名字"}, 2)).status_code == 200
        assert (await owner.put(path, {"role": None}, 2)).json()["role"] is None
        assert (await clerk.patch(f"/merchants/{merchant_id}", {"name": "旧名字"}, 3)).status_code == 404
        facts = [
            each
            for each in await said(all_.service, "partner.staff_changed.v1")
            if each["data"]["person_id"] == clerk.id
        ]
        assert [(each["data"]["role"], each["data"]["version"]) for each in facts] == [
            ("pickup", 1),
            ("staff", 2),
            (None, 3),
        ]
        assert all(each["audience"] == [merchant_id] for each in facts)


async def test_the_same_role_again_changes_nothing():
    async with world() as all_:
        owner = await all_.someone()
        merchant_id = await owner.merchant()
        assert (await owner.put(f"/staff/{merchant_id}/{owner.id}", {"role": "owner"}, 1)).json()["version"] == 1
        assert (await owner.put(f"/staff/{merchant_id}/{new_id('per')}", {"role": None}, 0)).json()["version"] == 0
        assert len(await said(all_.service, "partner.staff_changed.v1")) == 1


async def test_the_last_owner_stays_until_somebody_else_is_one():
    async with world() as all_:
        owner, heir = await all_.someone(), await all_.someone()
        merchant_id = await owner.merchant()
        gone = await owner.put(f"/staff/{merchant_id}/{owner.id}", {"role": None}, 1)
        assert (gone.status_code, gone.json()["code"]) == (409, "last_owner")
        await owner.employ(merchant_id, heir.id, "owner")
        assert (await owner.put(f"/staff/{merchant_id}/{owner.id}", {"role": "staff"}, 1)).status_code == 200
        assert (await heir.put(f"/staff/{merchant_id}/{heir.id}", {"role": "staff"}, 1)).status_code == 409


async def test_two_owners_who_dismiss_each_other_at_once_leave_one():
    async with world() as all_:
        first, second = await all_.someone(), await all_.someone()
        for _ in range(10):
            merchant_id = await first.merchant(opened=False)
            await first.employ(merchant_id, second.id, "owner")
            answers = await asyncio.gather(
                first.put(f"/staff/{merchant_id}/{second.id}", {"role": None}, 1),
                second.put(f"/staff/{merchant_id}/{first.id}", {"role": None}, 1),
            )
            assert sorted(each.status_code for each in answers) == [200, 404]


async def test_staff_are_listed_for_owners_alone():
    async with world() as all_:
        owner, clerk, stranger = await all_.someone(), await all_.someone(), await all_.someone()
        merchant_id = await owner.merchant()
        await owner.employ(merchant_id, clerk.id, "staff")
        listed = (await owner.get("/staff", party_id=merchant_id)).json()["data"]
        assert {each["person_id"]: each["role"] for each in listed} == {owner.id: "owner", clerk.id: "staff"}
        assert (await clerk.get("/staff", party_id=merchant_id)).status_code == 403
        assert (await stranger.get("/staff", party_id=merchant_id)).status_code == 404
        assert (await (await all_.nobody()).get("/staff", party_id=merchant_id)).status_code == 401


async def test_a_key_appoints_nobody_whatever_its_scopes():
    async with world() as all_:
        owner = await all_.someone()
        merchant_id = await owner.merchant()
        key_ = await all_.key_of(merchant_id, "staff:write", "merchants:write")
        assert (await key_.put(f"/staff/{merchant_id}/{new_id('per')}", {"role": "owner"}, 0)).status_code == 403


async def test_roles_belong_to_the_kind_of_party():
    async with world(ops=True) as all_:
        owner, ops = await all_.someone(), await all_.someone(all_.ops_id)
        merchant_id = await owner.merchant()
        assert (await owner.put(f"/staff/{merchant_id}/{ops.id}", {"role": "arbiter"}, 0)).status_code == 422
        assert (await ops.put(f"/staff/platform/{owner.id}", {"role": "owner"}, 0)).status_code == 422
        assert (await owner.put(f"/staff/{new_id('trb')}/{owner.id}", {"role": "owner"}, 0)).status_code == 404


async def test_the_platforms_first_ops_is_named_by_the_setting_once_and_appoints_the_others():
    async with world(ops=True) as all_:
        ops, arbiter = await all_.someone(all_.ops_id), await all_.someone()
        (fact,) = await said(all_.service)
        assert fact["data"] == {"party_id": "platform", "person_id": ops.id, "role": "ops", "version": 1}
        await ops.employ("platform", arbiter.id, "arbiter")
        assert (await arbiter.put(f"/staff/platform/{arbiter.id}", {"role": "ops"}, 1)).status_code == 403
        assert (await ops.put(f"/staff/platform/{ops.id}", {"role": None}, 1)).json()["code"] == "last_owner"
        assert len((await ops.get("/staff", party_id="platform")).json()["data"]) == 2
        # Starting again, even with another name in the setting, changes nothing.
        all_.service.first_ops_person_id = arbiter.id
        await all_.service.name_first_ops()
        assert len(await said(all_.service)) == 2


async def test_without_the_setting_the_platform_is_nobodys():
    async with world() as all_:
        someone = await all_.someone()
        assert (await someone.put(f"/staff/platform/{someone.id}", {"role": "ops"}, 0)).status_code == 404
