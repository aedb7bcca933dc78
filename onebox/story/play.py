"""The story, scene by scene, then the books."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from onebox import verify
from onebox.story import founding, selling
from onebox.story.stage import Stage
from onebox.story.timeline import Timeline
from onebox.story.words import Language, Words
from onebox.world import World

CHAPTERS = (
    (
        Words("一、商家与合伙人", "1. Merchant and partner"),
        (founding.merchant_opens, founding.partner_joins),
    ),
    (
        Words("二、部落与内容", "2. The tribe and what it writes"),
        (founding.tribe_gathers, founding.goods_and_story, selling.angel_shares),
    ),
    (
        Words("三、担保交易", "3. Trading through escrow"),
        (selling.confirmed_by_the_buyer, selling.cancelled_before_shipping),
    ),
    (
        Words("四、期限", "4. Deadlines"),
        (selling.confirmed_by_the_deadline, selling.paid_too_late),
    ),
)
BOOKS = Words("五、账本", "5. The books")


async def story(world: World, language: Language) -> int:
    """Play it against a running world; the exit code: 0 if the story held and every invariant does."""
    started = time.monotonic()
    async with _stage(world.url, language) as stage:
        timeline = stage.timeline
        await _play(stage)
        timeline.chapter(BOOKS)
        await timeline.quiet(world.services)
        checks = await verify.all_checks({name: service.database for name, service in world.services.items()})
        verify.show(checks, title="")
        books = await _proof(timeline, started)
    return 0 if books["imbalance"] == 0 and all(check.holds for check in checks) else 1


async def told(url: str, language: Language, *, pay_pages_at: str | None = None) -> int:
    """Play it against a deployment elsewhere, as any client of its API; 0 if the story held and the books balance.

    `pay_pages_at` is where the provider's pages are from here, should their public address lead nowhere.
    """
    started = time.monotonic()
    async with _stage(url, language, pay_pages_at) as stage:
        await _play(stage)
        stage.timeline.chapter(BOOKS)
        books = await _proof(stage.timeline, started)
    rest = books["suspense"] + books["held"] + books["released"] + books["refunded"]
    return 0 if books["imbalance"] == 0 and books["captured"] == rest else 1


@asynccontextmanager
async def _stage(url: str, language: Language, pay_pages_at: str | None = None) -> AsyncIterator[Stage]:
    headers = {"accept-language": language.value}

    async def go_elsewhere(request: httpx.Request) -> None:
        if pay_pages_at:
            there = httpx.URL(pay_pages_at)
            request.url = request.url.copy_with(scheme=there.scheme, host=there.host, port=there.port)

    async with (
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
        httpx.AsyncClient(headers=headers, timeout=30, event_hooks={"request": [go_elsewhere]}) as pages,
    ):
        yield Stage(client, pages, Timeline(client, language))


async def _play(stage: Stage) -> None:
    timeline = stage.timeline
    title = Words("江南慢食部落", "The tribe 江南慢食部落 (slow food, Jiangnan)")
    timeline.console.print(title(timeline.language), style="bold")
    for chapter, scenes in CHAPTERS:
        timeline.chapter(chapter)
        for scene in scenes:
            await scene(stage)


async def _proof(timeline: Timeline, started: float) -> dict[str, int]:
    """The last lines: how long it took, and the ledger in one line."""
    played = Words("用时", "played in")(timeline.language)
    timeline.console.print(f"{played} {time.monotonic() - started:.1f} s", style="dim")
    books = await timeline.books()
    timeline.last(
        f"proof: captured {books['captured']} = suspense {books['suspense']} + held {books['held']} "
        f"+ released {books['released']} + refunded {books['refunded']}, imbalance {books['imbalance']}"
    )
    return books
