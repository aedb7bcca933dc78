"""The story, scene by scene, then the books."""

import time

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


async def story(world: World, language: Language) -> int:
    """Play it against a running world; the exit code: 0 if the story held and every invariant does."""
    started = time.monotonic()
    headers = {"accept-language": language.value}
    async with (
        httpx.AsyncClient(base_url=world.url, headers=headers, timeout=30) as client,
        httpx.AsyncClient(headers=headers, timeout=30) as pages,
    ):
        timeline = Timeline(client, language)
        stage = Stage(client, pages, timeline)
        title = Words("江南慢食部落", "The tribe 江南慢食部落 (slow food, Jiangnan)")
        timeline.console.print(title(language), style="bold")
        for title, scenes in CHAPTERS:
            timeline.chapter(title)
            for scene in scenes:
                await scene(stage)
        timeline.chapter(Words("五、账本", "5. The books"))
        await timeline.quiet(world.services)
        checks = await verify.all_checks({name: service.database for name, service in world.services.items()})
        verify.show(checks, title="")
        timeline.console.print(
            Words("用时", "played in")(language) + f" {time.monotonic() - started:.1f} s", style="dim"
        )
        books = await timeline.books()
        timeline.last(
            f"proof: captured {books['captured']} = suspense {books['suspense']} + held {books['held']} "
            f"+ released {books['released']} + refunded {books['refunded']}, imbalance {books['imbalance']}"
        )
    return 0 if books["imbalance"] == 0 and all(check.holds for check in checks) else 1
