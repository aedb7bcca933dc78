"""What a tribe publishes: by members, labelled where it sells, withdrawn for good."""

import asyncpg
import pytest

from tests.support import new_id, said
from tests.tribe.story import offer, world


async def test_a_member_publishes_a_document_and_anybody_reads_it_as_it_was_written():
    async with world() as all_:
        _, tribe_id = await all_.founder()
        author, nobody = await all_.someone(), await all_.nobody()
        membership = await author.join(tribe_id)
        made = await author.publish(tribe_id)
        read = (await nobody.get(f"/contents/{made['id']}")).json()
        assert read == made
        assert read["author"] == membership["id"]
        assert read["body"] == "春天剪枝，\n秋天采果。"
        assert (read["ad_label"], read["disclosure"]) == (False, None)
        assert [each["id"] for each in read["revisions"]] == [read["revision_id"]]
        assert (await nobody.get(f"/tribes/{tribe_id}")).json()["counts"]["contents"] == 1
        (fact,) = await said(all_.service, "tribe.content_published.v1")
        assert fact["data"] == {
            "content_id": made["id"], "revision_id": made["revision_id"], "tribe_id": tribe_id,
            "offer_ids": [], "ad_label": False, "version": 1,
        }  # fmt: skip


async def test_what_leads_to_an_offer_is_labelled_and_says_so_in_the_readers_language():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        offers = [new_id("off"), new_id("off")]
        await all_.hear(offer(offers[0]), offer(offers[1], tribe_id))
        made = await founder.publish(tribe_id, *offers, offers[0])
        assert (made["offer_ids"], made["ad_label"]) == (offers, True)
        for language, word in (("zh-CN,zh;q=0.9", "广告"), ("en-GB", "Advertising"), ("fr", "广告")):
            for path in (f"/contents/{made['id']}", f"/tribes/{tribe_id}/contents"):
                answer = await founder.http.get(f"/v1{path}", headers={"accept-language": language})
                shown = answer.json()["data"][0] if "data" in answer.json() else answer.json()
                assert shown["disclosure"].startswith(word)
        (fact,) = await said(all_.service, "tribe.content_published.v1")
        assert fact["data"]["ad_label"] is True


async def test_content_leads_only_to_offers_that_can_be_bought_here():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        withdrawn, elsewhere = new_id("off"), new_id("off")
        await all_.hear(offer(withdrawn), offer(withdrawn, version=2, withdrawn=True), offer(elsewhere, new_id("trb")))
        for offer_id, status, code in (
            (withdrawn, 409, "offer_withdrawn"),
            (elsewhere, 422, "invalid_request"),
            ("off_" + "0" * 32, 404, "not_found"),
        ):
            body = {"title": "题", "body": "文", "offer_ids": [offer_id]}
            refused = await founder.post(f"/tribes/{tribe_id}/contents", body)
            assert (refused.status_code, refused.json()["code"]) == (status, code)


@pytest.mark.parametrize("who", ["author", "operator"])
async def test_its_author_or_an_operator_withdraws_it_once_and_for_good(who):
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        author, other = await all_.someone(), await all_.someone()
        membership = await author.join(tribe_id)
        await other.join(tribe_id)
        path = f"/contents/{(await author.publish(tribe_id))['id']}"
        assert (await other.delete(path)).status_code == 403
        assert (await (await all_.someone()).delete(path)).status_code == 404
        assert (await (await all_.nobody()).delete(path)).status_code == 401
        if who == "author":  # Leaving takes nobody's word away from them.
            await author.delete(f"/memberships/{membership['id']}")
        remover = author if who == "author" else founder
        assert (await remover.delete(path)).json()["state"] == "withdrawn"
        assert (await remover.delete(path)).json()["version"] == 2
        gone = await other.get(path)
        assert (gone.status_code, gone.json()["code"]) == (410, "content_withdrawn")
        assert (await other.get(f"/tribes/{tribe_id}/contents")).json()["data"] == []
        assert (await other.get(f"/tribes/{tribe_id}")).json()["counts"]["contents"] == 0
        assert len(await said(all_.service, "tribe.content_withdrawn.v1")) == 1


async def test_contents_are_listed_newest_first_page_by_page():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        made = [(await founder.publish(tribe_id))["id"] for _ in range(5)]
        first = (await founder.get(f"/tribes/{tribe_id}/contents", limit=3)).json()
        rest = (await founder.get(f"/tribes/{tribe_id}/contents", limit=3, starting_after=made[2])).json()
        assert [each["id"] for each in [*first["data"], *rest["data"]]] == made[::-1]
        assert (first["has_more"], rest["has_more"]) == (True, False)
        assert "body" not in first["data"][0]


async def test_a_revision_is_never_changed_or_removed():
    async with world() as all_:
        founder, tribe_id = await all_.founder()
        await founder.publish(tribe_id)
        for statement in ("UPDATE revisions SET body = 'x'", "DELETE FROM revisions", "TRUNCATE revisions"):
            with pytest.raises(asyncpg.PostgresError):
                await all_.service.database.pool.execute(statement)
