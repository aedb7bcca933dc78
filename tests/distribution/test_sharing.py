"""Sharing over HTTP, on a real database: from becoming an angel to a commission."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from chassis.caller import ANYONE, Caller
from chassis.service import Service
from contracts import catalogue
from contracts.gateway import ClockAdvanced
from contracts.partner import StaffChanged
from services.distribution.schemas import DISCLOSURE
from tests.distribution import world
from tests.distribution.world import SETTINGS, Books, goods, order, shipping
from tests.support import client, hear, key, new_id, running, said, settings

OFFER = new_id("off")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running("distribution", settings=SETTINGS) as started:
        await hear(started, world.offer(OFFER))
        yield started


async def get(service: Service, caller: Caller, path: str, **given: Any) -> httpx.Response:
    async with client(service, caller) as http:
        return await http.get(f"/v1/{path}", **given)


async def post(service: Service, caller: Caller, path: str, body: Any, **given: Any) -> httpx.Response:
    async with client(service, caller) as http:
        return await http.post(f"/v1/{path}", json=body, **{"headers": key(), **given})


async def join(service: Service, person: str | None = None) -> Caller:
    angel = Caller(person or new_id("per"))
    async with client(service, angel) as http:
        assert (await http.put("/v1/angels/me", json={"rules_version": 1})).status_code == 200
    return angel


async def share(service: Service, angel: Caller, **target: str) -> dict[str, Any]:
    answer = await post(service, angel, "share-links", target or {"offer_id": OFFER})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def touch(service: Service, token: str, caller: Caller = ANYONE) -> str:
    answer = await post(service, caller, "touches", {"token": token})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["touch_token"])


async def in_a_minute(service: Service) -> datetime:
    return await service.now() + timedelta(minutes=1)


async def bought(service: Service, angel: Caller, buyer: str | None = None) -> Books:
    """An order that this angel brought."""
    token = await touch(service, (await share(service, angel))["token"])
    placed = order(goods(OFFER), shipping(), placed_at=await in_a_minute(service), buyer=buyer, touch_token=token)
    await hear(service, placed)
    return Books(placed)


async def test_from_one_call_to_a_maturing_commission(service: Service) -> None:
    angel = await join(service)
    books = await bought(service, angel)
    books.release()
    (attributed,) = await said(service, "distribution.attributed.v1")
    assert [line["angel"] for line in attributed["data"]["lines"]] == [angel.person_id, None]
    assert attributed["audience"] == [books.placed.seller, angel.person_id]
    await hear(service, books.facts[0])
    (pending,) = await said(service, "distribution.commission_pending.v1")
    assert pending["data"]["amount"] == {"amount": 399, "currency": "CNY"}
    await hear(service, books.facts[1])
    mine = (await get(service, angel, "angels/me")).json()
    assert (mine["opens"], mine["orders"], mine["level"]) == (1, 1, 1)
    assert [mine[name]["amount"] for name in ("pending", "maturing", "payable", "paid", "reversed")] == [
        0,
        399,
        0,
        0,
        0,
    ]
    (commission,) = (await get(service, angel, "commissions")).json()["data"]
    assert (commission["state"], commission["why"], commission["gross"]["amount"]) == (
        "maturing",
        "money_released",
        399,
    )


async def test_what_is_refunded_shows_as_reversed(service: Service) -> None:
    angel = await join(service)
    books = await bought(service, angel)
    books.refund([1330, 0])
    await hear(service, *books.facts)
    mine = (await get(service, angel, "angels/me")).json()
    assert (mine["pending"]["amount"], mine["reversed"]["amount"]) == (266, 133)
    only = (await get(service, angel, "commissions", params={"state": "reversed"})).json()["data"]
    assert only == []


async def test_becoming_an_angel_again_changes_nothing_and_is_said_once(service: Service) -> None:
    angel = await join(service)
    await join(service, angel.person_id)
    assert len(await said(service, "distribution.angel_joined.v1")) == 1


async def test_rules_that_are_not_in_force_cannot_be_accepted(service: Service) -> None:
    async with client(service, Caller(new_id("per"))) as http:
        answer = await http.put("/v1/angels/me", json={"rules_version": 2})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/rules_version"


async def test_only_an_angel_shares_and_only_what_is_published(service: Service) -> None:
    person = Caller(new_id("per"))
    refused = await post(service, person, "share-links", {"offer_id": OFFER})
    assert (refused.status_code, refused.json()["code"]) == (403, "not_an_angel")
    angel, content = await join(service), new_id("cnt")
    await hear(service, world.content(content), world.offer(OFFER, version=2, withdrawn=True))
    gone = await post(service, angel, "share-links", {"offer_id": OFFER})
    assert (gone.status_code, gone.json()["code"]) == (409, "offer_withdrawn")
    await share(service, angel, content_id=content)
    await hear(service, world.content(content, version=2, withdrawn=True))
    gone = await post(service, angel, "share-links", {"content_id": content})
    assert (gone.status_code, gone.json()["code"]) == (409, "content_withdrawn")
    unknown = await post(service, angel, "share-links", {"offer_id": "off_" + "0" * 32})
    assert unknown.status_code == 404


async def test_what_was_published_a_moment_ago_is_waited_for(service: Service) -> None:
    import asyncio

    angel, young = await join(service), new_id("off")
    asked = asyncio.create_task(post(service, angel, "share-links", {"offer_id": young}))
    await asyncio.sleep(0.1)
    await hear(service, world.offer(young))
    assert (await asked).status_code == 201


async def test_the_same_key_shares_once(service: Service) -> None:
    angel, once = await join(service), key()
    first = await post(service, angel, "share-links", {"offer_id": OFFER}, headers=once)
    second = await post(service, angel, "share-links", {"offer_id": OFFER}, headers=once)
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    assert len((await get(service, angel, "share-links")).json()["data"]) == 1


async def test_every_link_says_that_it_is_advertising_in_the_readers_language(service: Service) -> None:
    link = await share(service, await join(service))
    assert link["url"].endswith(f"/v1/links/{link['token']}")
    for language, words in DISCLOSURE.items():
        landing = (await get(service, ANYONE, f"links/{link['token']}", headers={"accept-language": language})).json()
        assert (landing["ad_label"], landing["disclosure"], landing["offer_id"]) == (True, words, OFFER)
        assert "angel" not in landing


async def test_links_are_listed_newest_first_and_each_listed_token_works(service: Service) -> None:
    angel = await join(service)
    made = [(await share(service, angel))["id"] for _ in range(3)]
    first = (await get(service, angel, "share-links", params={"limit": 2})).json()
    rest = (await get(service, angel, "share-links", params={"starting_after": first["data"][-1]["id"]})).json()
    assert [each["id"] for each in (*first["data"], *rest["data"])] == sorted(made, reverse=True)
    assert (first["has_more"], rest["has_more"]) == (True, False)
    await touch(service, first["data"][0]["token"])


async def test_a_link_ends_with_its_window_or_with_what_it_leads_to(service: Service) -> None:
    angel, content = await join(service), new_id("cnt")
    await hear(service, world.content(content))
    link, other = await share(service, angel), await share(service, angel, content_id=content)
    await hear(service, world.content(content, version=2, withdrawn=True))
    await _is_over(service, other["token"])
    await touch(service, link["token"])
    await hear(service, ClockAdvanced(deployment="sandbox", offset_seconds=32 * 24 * 3600, version=1))
    await _is_over(service, link["token"])


async def _is_over(service: Service, token: str) -> None:
    for answer in (
        await get(service, ANYONE, f"links/{token}"),
        await post(service, ANYONE, "touches", {"token": token}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (410, "link_expired")


async def test_a_token_that_we_did_not_sign_leads_nowhere(service: Service) -> None:
    token = (await share(service, await join(service)))["token"]
    touched = await touch(service, token)
    for wrong in (token[:-6] + "AAAAAA", "a.b.c", touched):
        assert (await get(service, ANYONE, f"links/{wrong}")).status_code == 404
        assert (await post(service, ANYONE, "touches", {"token": wrong})).status_code == 404


async def test_a_touch_token_fits_into_the_fact_that_carries_it(service: Service) -> None:
    assert len(await touch(service, (await share(service, await join(service)))["token"])) <= 512


# --- who may see what -------------------------------------------------------------------------------------------------


async def test_an_attribution_is_shown_to_buyer_seller_and_angel_and_to_nobody_else(service: Service) -> None:
    angel, buyer, staff = await join(service), new_id("per"), new_id("per")
    books = await bought(service, angel, buyer)
    seller = books.placed.seller
    await hear(service, StaffChanged(party_id=seller, person_id=staff, role="staff", version=1))
    path = f"attributions/{books.placed.order_id}"
    scope = frozenset({"attributions:read"})
    for caller in (Caller(buyer), Caller(staff), Caller(party_id=seller, key_id=new_id("key"), scopes=scope)):
        seen = (await get(service, caller, path)).json()["lines"]
        assert [(line["brought"], line["angel"]) for line in seen] == [(True, None), (False, None)]
    (own,) = (await get(service, angel, path)).json()["lines"]
    assert (own["angel"], own["reason_code"]) == (angel.person_id, "last_valid_touch")
    for stranger in (await join(service), Caller(party_id=new_id("mch"), key_id=new_id("key"), scopes=scope)):
        assert (await get(service, stranger, path)).status_code == 404
    assert (await get(service, Caller(party_id=seller, key_id=new_id("key")), path)).status_code == 403
    await hear(service, StaffChanged(party_id=seller, person_id=staff, role=None, version=2))
    assert (await get(service, Caller(staff), path)).status_code == 404


async def test_links_and_commissions_are_their_angels_own(service: Service) -> None:
    angel, other = await join(service), await join(service)
    await bought(service, angel)
    for path in ("share-links", "commissions"):
        assert len((await get(service, angel, path)).json()["data"]) == 1
        assert (await get(service, other, path)).json()["data"] == []


@pytest.mark.parametrize("path", ["angels/me", "share-links", "commissions"])
async def test_what_is_a_persons_is_not_for_anyone_nor_for_a_partys_key(service: Service, path: str) -> None:
    assert (await get(service, ANYONE, path)).status_code == 401
    assert (await get(service, Caller(party_id=new_id("mch"), key_id=new_id("key")), path)).status_code == 403
    if path == "angels/me":
        assert (await get(service, Caller(new_id("per")), path)).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "angels/me", {"rules_version": 1, "level": 2}),
        ("PUT", "angels/me", {"rules_version": 1, "brought_by": "per_" + "0" * 32}),
        ("PUT", "angels/me", {"rules_version": "1"}),
        ("POST", "share-links", {"offer_id": OFFER, "ad_label": False}),
        ("POST", "share-links", {"offer_id": OFFER, "angel": "per_" + "0" * 32}),
        ("POST", "share-links", {"offer_id": OFFER, "content_id": "cnt_" + "0" * 32}),
        ("POST", "share-links", {}),
        ("POST", "touches", {"token": "a.b.c", "angel": "per_" + "0" * 32}),
        ("POST", "touches", {"token": "a b"}),
    ],
)
async def test_a_client_sets_nothing_that_is_not_theirs_to_set(
    service: Service, method: str, path: str, body: Any
) -> None:
    async with client(service, Caller(new_id("per"))) as http:
        assert (await http.request(method, f"/v1/{path}", json=body, headers=key())).status_code == 422


async def test_compliance_is_computed_from_the_tables(service: Service) -> None:
    await bought(service, await join(service))
    report = (await get(service, ANYONE, "compliance")).json()
    assert (report["max_depth"], report["entry_fees"], report["recruiting_rewards"]) == (1, 0, 0)
    assert report["evidence"]["commissions"] == report["evidence"]["most_angels_of_a_line"] == 1
    assert report["evidence"]["one_angel_per_line"]
    for sneaked in ("ADD COLUMN upline text", "ADD COLUMN joining_fee bigint"):
        await service.database.pool.execute(f"ALTER TABLE angels {sneaked}")
    report = (await get(service, ANYONE, "compliance")).json()
    assert (report["max_depth"], report["entry_fees"]) == (2, 1)
    assert report["evidence"]["hierarchy_columns"] == ["angels.upline"]


async def test_a_reward_without_a_sale_would_show(service: Service) -> None:
    await bought(service, await join(service))
    await service.database.pool.execute(
        "INSERT INTO commissions SELECT (jsonb_populate_record(c, jsonb_build_object("
        "'commission_id', 'com_x', 'line_id', 'lin_x'))).* FROM commissions c"
    )
    assert (await get(service, ANYONE, "compliance")).json()["recruiting_rewards"] == 1


async def test_in_production_compliance_is_for_ops() -> None:
    async with running("distribution", settings=SETTINGS, chassis=settings(mode="production")) as service:
        ops = new_id("per")
        assert (await get(service, ANYONE, "compliance")).status_code == 401
        assert (await get(service, Caller(ops), "compliance")).status_code == 403
        await hear(service, StaffChanged(party_id="platform", person_id=ops, role="ops", version=1))
        assert (await get(service, Caller(ops), "compliance")).status_code == 200


# --- what the schema itself refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE commissions SET angel = buyer", asyncpg.InsufficientPrivilegeError),
        ("UPDATE commissions SET line_id = 'other'", asyncpg.InsufficientPrivilegeError),
        ("DELETE FROM commissions", asyncpg.InsufficientPrivilegeError),
        ("UPDATE commissions SET kept = -1", asyncpg.CheckViolationError),
        ("UPDATE attributions SET lines = '[]'", asyncpg.InsufficientPrivilegeError),
        ("UPDATE touches SET angel = 'other'", asyncpg.InsufficientPrivilegeError),
        (
            (
                'INSERT INTO commissions SELECT (jsonb_populate_record(c, \'{"commission_id": "com_x"}\')).*'
                " FROM commissions c"
            ),
            asyncpg.UniqueViolationError,
        ),
        (
            (
                "INSERT INTO commissions SELECT (jsonb_populate_record(c, jsonb_build_object("
                "'commission_id', 'com_x', 'line_id', 'lin_x', 'angel', c.buyer))).* FROM commissions c"
            ),
            asyncpg.CheckViolationError,
        ),
    ],
)
async def test_the_schema_keeps_one_angel_per_line_who_is_not_the_buyer(
    service: Service, statement: str, refusal: type[Exception]
) -> None:
    await bought(service, await join(service))
    with pytest.raises(refusal):
        await service.database.pool.execute(statement)


async def test_distribution_hears_exactly_its_row_of_the_catalogue(service: Service) -> None:
    assert {fact.type for fact in service.hears} == catalogue.heard_by("distribution")


async def test_the_migration_makes_exactly_the_tables_of_the_code(service: Service) -> None:
    rows = await service.database.pool.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
    )
    made = {(row["table_name"], row["column_name"]) for row in rows if row["table_name"] != "alembic_version"}
    from services.distribution.store import METADATA

    assert made == {(table.name, column.name) for table in METADATA.tables.values() for column in table.columns}
