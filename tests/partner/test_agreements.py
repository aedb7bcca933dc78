"""How a merchant and a partner come to agree: both choose, what is accepted is what was seen."""

import asyncio

import pytest

from tests.partner.story import TERMS, agreed, application, world
from tests.support import said


async def test_two_acceptances_make_a_partnership_on_trial_with_the_merchants_terms():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        merchant_id, partner_id = await owner.merchant(), await partner.partner()
        application_id = await partner.application(merchant_id, partner_id)
        submitted = await partner.move(application_id, "submit")
        assert submitted["proposal"] == {"terms": TERMS, "regions": ["320500"]}
        assert {(each["move"], each["by"]) for each in submitted["next_actions"]} == {
            ("accept", "merchant"), ("accept", "partner"), ("reject", "merchant"), ("withdraw", "partner"),
        }  # fmt: skip
        assert (await owner.move(application_id, "accept"))["state"] == "merchant_accepted"
        done = await partner.move(application_id, "accept")
        assert (done["state"], done["next_actions"]) == ("agreed", [])

        (partnership,) = (await partner.get("/partnerships")).json()["data"]
        assert partnership["id"] == done["partnership_id"]
        assert partnership["state"] == "trial"
        assert partnership["terms"]["service_bps"] == TERMS["service_bps"]
        facts = await said(all_.service)
        assert [each["type"] for each in facts[-3:]] == [
            "partner.application_submitted.v1", "partner.application_decided.v1", "partner.partnership_activated.v1",
        ]  # fmt: skip
        assert facts[-1]["data"]["terms"]["limits"] == TERMS["limits"]
        assert all(sorted(each["audience"]) == sorted([merchant_id, partner_id]) for each in facts[-3:])


async def test_terms_changed_after_submitting_change_nothing_for_this_application():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        merchant_id = await owner.merchant()
        application_id = await partner.application(merchant_id, await partner.partner())
        await partner.move(application_id, "submit")
        await owner.patch(f"/merchants/{merchant_id}", {"recruiting": {"terms": {"service_bps": 1}}}, 2)
        await partner.move(application_id, "accept")
        await owner.move(application_id, "accept")
        (partnership,) = (await owner.get("/partnerships")).json()["data"]
        assert partnership["terms"]["service_bps"] == TERMS["service_bps"]


async def test_a_draft_is_the_openers_alone():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        merchant_id, partner_id = await owner.merchant(), await partner.partner()
        application_id = await owner.application(merchant_id, partner_id)
        assert len((await owner.get("/applications")).json()["data"]) == 1
        assert (await partner.get("/applications")).json()["data"] == []
        assert (await partner.post(f"/applications/{application_id}/accept")).status_code == 404
        await owner.move(application_id, "submit")
        assert (await partner.get("/applications")).json() == (await owner.get("/applications")).json()


async def test_a_withdrawn_draft_was_nobodys_business():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        application_id = await partner.application(await owner.merchant(), await partner.partner())
        assert (await partner.move(application_id, "withdraw"))["state"] == "withdrawn"
        assert not await said(all_.service, "partner.application_decided.v1")


async def test_the_asked_side_rejects_with_a_reason_and_then_they_may_try_again():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        merchant_id, partner_id = await owner.merchant(), await partner.partner()
        application_id = await partner.application(merchant_id, partner_id)
        await partner.move(application_id, "submit")
        assert (await owner.post(f"/applications/{application_id}/reject")).status_code == 422
        assert (await partner.post(f"/applications/{application_id}/reject", {"reason_code": "x"})).status_code == 403
        assert (await owner.move(application_id, "reject", reason_code="another_axis"))["state"] == "rejected"
        (fact,) = await said(all_.service, "partner.application_decided.v1")
        assert (fact["data"]["outcome"], fact["data"]["reason_code"]) == ("rejected", "another_axis")
        again = await partner.application(merchant_id, partner_id)
        assert (await partner.move(again, "submit"))["state"] == "submitted"


async def test_one_open_application_between_two_however_many_are_sent_at_once():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        merchant_id, partner_id = await owner.merchant(), await partner.partner()
        drafts = [await each.application(merchant_id, partner_id) for each in (owner, partner, partner)]
        senders = (owner, partner, partner)
        answers = await asyncio.gather(
            *(who.post(f"/applications/{draft}/submit") for who, draft in zip(senders, drafts, strict=True))
        )
        assert sorted(each.status_code for each in answers) == [200, 409, 409]
        assert {each.json()["code"] for each in answers if each.status_code == 409} == {"application_exists"}


async def test_partners_of_one_merchant_have_one_partnership_each_until_it_ends():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        done = await agreed(owner, partner)
        again = await partner.application(done["merchant_id"], done["partner_id"])
        assert (await partner.post(f"/applications/{again}/submit")).json()["code"] == "application_exists"
        assert (await partner.post(f"/partnerships/{done['partnership_id']}/end")).status_code == 200
        assert (await partner.move(again, "submit"))["state"] == "submitted"


async def test_nobody_applies_to_a_merchant_that_is_not_open_or_not_recruiting():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        partner_id = await partner.partner()
        draft, silent = await owner.merchant(opened=False), await owner.merchant(recruiting=False)
        # An unopened merchant is nobody's to know of; whoever guesses its id learns that it is not open.
        for merchant_id, code in ((draft, "merchant_not_open"), (silent, "not_recruiting")):
            refused = await partner.post("/applications", application(merchant_id, partner_id))
            assert (refused.status_code, refused.json()["code"]) == (409, code)
        assert (await owner.post("/applications", application(silent, partner_id))).status_code == 201


@pytest.mark.parametrize("state", ["trial", "active", "suspended"])
async def test_either_side_may_end_a_partnership_whatever_its_state(state):
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        path = f"/partnerships/{(await agreed(owner, partner))['partnership_id']}"
        for move in {"trial": [], "active": ["activate"], "suspended": ["activate", "suspend"]}[state]:
            assert (await owner.post(f"{path}/{move}")).status_code == 200
        ended = await partner.post(f"{path}/end", {"reason_code": "moving_away"})
        assert (ended.json()["state"], ended.json()["reason_code"]) == ("ended", "moving_away")
        refused = await owner.post(f"{path}/resume")
        assert (refused.status_code, refused.json()["next_actions"]) == (409, [])


async def test_the_merchant_activates_suspends_and_resumes_and_each_state_is_said():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        path = f"/partnerships/{(await agreed(owner, partner))['partnership_id']}"
        assert (await partner.post(f"{path}/activate")).status_code == 403
        for move in ("activate", "suspend", "resume", "end"):
            assert (await owner.post(f"{path}/{move}")).status_code == 200
        facts = [each for each in await said(all_.service) if "partnership_" in each["type"]]
        assert [(each["type"].split(".")[1], each["data"]["state"], each["data"]["version"]) for each in facts] == [
            ("partnership_activated", "trial", 1),
            ("partnership_activated", "active", 2),
            ("partnership_suspended", "suspended", 3),
            ("partnership_activated", "active", 4),
            ("partnership_ended", "ended", 5),
        ]


async def test_somebody_at_both_sides_must_still_accept_twice():
    async with world() as all_:
        both = await all_.someone()
        application_id = await both.application(await both.merchant(), await both.partner())
        assert (await both.move(application_id, "submit"))["opened_by"] == "partner"
        await both.move(application_id, "accept")
        assert (await both.move(application_id, "accept"))["state"] == "agreed"
        assert len((await both.get("/applications")).json()["data"]) == 1
        assert len((await both.get("/partnerships")).json()["data"]) == 1


async def test_a_partys_key_with_the_scope_acts_for_its_side():
    async with world() as all_:
        owner, partner = await all_.someone(), await all_.someone()
        merchant_id, partner_id = await owner.merchant(), await partner.partner()
        application_id = await partner.application(merchant_id, partner_id)
        await partner.move(application_id, "submit")
        bare, key_ = await all_.key_of(merchant_id), await all_.key_of(merchant_id, "applications:write")
        assert (await bare.post(f"/applications/{application_id}/accept")).status_code == 403
        assert (await key_.move(application_id, "accept"))["state"] == "merchant_accepted"
        assert len((await key_.get("/applications")).json()["data"]) == 1
