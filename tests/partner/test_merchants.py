"""Merchants and partner profiles, through the service's own operations."""

from tests.partner.story import VALUES, world
from tests.support import key, said


async def test_a_merchant_opens_once_its_values_are_complete_and_says_so():
    async with world() as all_:
        owner = await all_.someone()
        made = await owner.post("/merchants", {"name": "石桥果园", "categories": ["fruit", "fruit", "tea"]})
        assert made.status_code == 201
        assert made.headers["etag"] == '"1"'
        merchant = made.json()
        assert merchant["state"] == "draft"
        assert merchant["categories"] == ["fruit", "tea"]
        path = f"/merchants/{merchant['id']}"

        half = await owner.patch(path, {"values": {"taste": VALUES["taste"]}, "state": "open"}, 1)
        assert half.status_code == 409
        assert half.json()["code"] == "values_missing"
        assert "taste" not in half.json()["missing"]

        assert (await owner.patch(path, {"values": VALUES}, 1)).json()["state"] == "draft"
        opened = await owner.patch(path, {"state": "open"}, 2)
        assert opened.json()["state"] == "open"
        assert (await owner.patch(path, {"categories": ["tea"]}, 3)).headers["etag"] == '"4"'

        facts = await said(all_.service)
        assert [each["type"] for each in facts] == [
            "partner.staff_changed.v1",
            "partner.merchant_opened.v1",
            "partner.merchant_changed.v1",
        ]
        assert facts[1]["data"] == {
            "merchant_id": merchant["id"], "state": "open", "values_version": 1,
            "categories": ["fruit", "tea"], "version": 3,
        }  # fmt: skip
        assert facts[1]["audience"] == [merchant["id"]]
        assert facts[2]["data"]["categories"] == ["tea"]


async def test_a_change_made_on_an_old_version_is_refused_and_a_repeated_one_changes_nothing():
    async with world() as all_:
        owner = await all_.someone()
        path = f"/merchants/{await owner.merchant()}"
        assert (await owner.patch(path, {"name": "新名字"}, 1)).status_code == 412
        assert (await owner.patch(path, {"name": "新名字"}, 2)).json()["version"] == 3
        assert (await owner.patch(path, {"name": "新名字"}, 3)).json()["version"] == 3
        missing = await owner.http.patch(f"/v1{path}", json={"name": "x"})
        assert missing.status_code == 428


async def test_strangers_see_open_merchants_only_and_owners_their_drafts_too():
    async with world() as all_:
        owner, stranger, nobody = await all_.someone(), await all_.someone(), await all_.nobody()
        draft, open_ = await owner.merchant(opened=False), await owner.merchant()
        for someone, seen in ((owner, [open_, draft]), (stranger, [open_]), (nobody, [open_])):
            listed = (await someone.get("/merchants")).json()
            assert [each["id"] for each in listed["data"]] == seen
            assert not listed["has_more"]
        assert (await owner.get(f"/merchants/{draft}")).status_code == 200
        assert (await stranger.get(f"/merchants/{draft}")).status_code == 404
        assert (await nobody.get(f"/merchants/{open_}")).headers["etag"] == '"2"'
        key_ = await all_.key_of(draft, "merchants:read")
        assert (await (await all_.key_of(draft)).get(f"/merchants/{draft}")).status_code == 404
        assert (await key_.get(f"/merchants/{draft}")).status_code == 200


async def test_a_list_is_walked_page_by_page_without_a_gap_or_a_repeat():
    async with world() as all_:
        owner = await all_.someone()
        made = [await owner.merchant(opened=n % 3 != 0) for n in range(7)]
        seen, after = [], {}
        while True:
            page = (await owner.get("/merchants", limit=2, **after)).json()
            seen += [each["id"] for each in page["data"]]
            if not page["has_more"]:
                break
            after = {"starting_after": seen[-1]}
        assert seen == made[::-1]


async def test_a_repeated_key_opens_no_second_merchant():
    async with world() as all_:
        owner = await all_.someone()
        body, headers = {"name": "石桥果园", "categories": ["fruit"]}, key()
        first, second = [await owner.http.post("/v1/merchants", json=body, headers=headers) for _ in range(2)]
        assert second.json() == first.json()
        assert second.headers["idempotent-replayed"] == "true"


async def test_a_merchants_key_changes_it_within_its_scope_alone():
    async with world() as all_:
        owner = await all_.someone()
        path = f"/merchants/{(merchant_id := await owner.merchant())}"
        for scopes, status in (((), 403), (("partners:write",), 403), (("merchants:write",), 200)):
            key_ = await all_.key_of(merchant_id, *scopes)
            assert (await key_.patch(path, {"name": "新名字"}, 2)).status_code == status
        other = await all_.key_of(await owner.merchant(), "merchants:write")
        assert (await other.patch(path, {"name": "别人的"}, 3)).status_code == 404


async def test_becoming_a_partner_costs_nothing_and_the_profile_is_public():
    async with world() as all_:
        someone, nobody = await all_.someone(), await all_.nobody()
        path = f"/partners/{await someone.partner()}"
        assert (await nobody.get(path)).json()["display_name"] == "小李的店"
        changed = await someone.patch(path, {"regions": ["310100", "310100"]}, 1)
        assert changed.json()["regions"] == ["310100"]
        assert changed.json()["capability"] == "三家店，二十辆车"
        assert (await someone.patch(path, {"capability": "更多"}, 1)).status_code == 412
        assert (await someone.patch(path, {}, 2)).json()["version"] == 2
