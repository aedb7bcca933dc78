"""The timeline on the terminal: when, who, what, and where all the money of this world is after it."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text

from chassis.service import Service
from onebox.story.person import Person
from onebox.story.words import Language, Words, yuan

_SHANGHAI = ZoneInfo("Asia/Shanghai")
_HELD = Words("托管", "held")
_RELEASED = Words("已分账", "released")
_REFUNDED = Words("已退款", "refunded")
_WIDTH_MIN = 100
FIGURES = ("captured", "suspense", "held", "released", "refunded", "imbalance")


class Timeline:
    """Prints one line per step, and a line of money wherever it has moved."""

    def __init__(self, client: httpx.AsyncClient, language: Language) -> None:
        self._client = client
        self.language = language
        self._money: tuple[int, ...] = ()
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console.width = max(self.console.width, _WIDTH_MIN)

    def chapter(self, title: Words) -> None:
        self.console.print()
        self.console.rule(Text(title(self.language), style="bold"), align="left", style="dim")

    async def step(self, who: str, what: Words, detail: str = "") -> None:
        """One thing that somebody did; then the books, if it moved money."""
        line = Text(f"{await self._time()}  ", style="dim")
        line.append(f"{who}  ", style="bold cyan")
        line.append(what(self.language), style="default")
        if detail:
            line.append(f"  {detail}", style="dim")
        self.console.print(line)
        await self._books()

    async def _time(self) -> str:
        """Business time, as this world's deadlines follow it, where its people live."""
        answer = (await self._client.get("/v1/sandbox/clock")).raise_for_status().json()
        return datetime.fromisoformat(answer["now"]).astimezone(_SHANGHAI).strftime("%m-%d %H:%M")

    async def advance(self, person: Person, by: timedelta) -> None:
        """Move the world's clock: every deadline on the way fires, in its turn."""
        moves_on = Words("快进", "the clock moves on")(self.language)
        self.console.print(Text(f"             ⏩ {moves_on} {by}", style="dim"))
        started = await person.post("/v1/sandbox/clock/advance", {"by_seconds": int(by.total_seconds())}, expect=202)
        while True:
            operation = await person.get(f"/v1/operations/{started['operation_id']}")
            if operation["state"] == "succeeded":
                return
            if operation["state"] == "failed":
                raise TimeoutError(f"the clock stands still: {operation}")
            await self.pause(0.05)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def quiet(self, services: Mapping[str, Service]) -> None:
        """Wait until nothing is under way anywhere: what holds only at rest is checked at rest."""
        for _ in range(200):
            if all([await service.quiet() for service in services.values()]):
                return
            await self.pause(0.05)
        raise TimeoutError("the world does not come to rest")

    async def books(self) -> dict[str, int]:
        """The proof in five figures, as anyone may read it in a sandbox."""
        data = (await self._client.get("/v1/escrow/proof")).raise_for_status().json()["data"]
        return dict(data[0]) if data else dict.fromkeys(FIGURES, 0)

    async def _books(self) -> None:
        figures = await self.books()
        money = (figures["held"], figures["released"], figures["refunded"])
        if money == self._money or not any(money):
            return
        before = self._money or (0, 0, 0)
        self._money = money
        line = Text("             ")
        for words, now, was in zip((_HELD, _RELEASED, _REFUNDED), money, before, strict=True):
            changed = now != was
            line.append(f" {words(self.language)} ", style="dim")
            line.append(f"{yuan(now):<12}", style="bold yellow" if changed else "dim")
        self.console.print(line)

    def split(self, title: Words, hold: dict[str, Any], names: dict[str, Words]) -> None:
        """Who got what of one order, to the fen."""
        table = Table(title=title(self.language), title_justify="left", box=None, padding=(0, 2), show_header=False)
        table.add_column(justify="left")
        table.add_column(justify="right")
        table.add_column(justify="left")
        for leg in hold["split"]:
            table.add_row(names[leg["role"]](self.language), yuan(leg["amount"]["amount"]), leg["state"])
        table.add_row("=", yuan(sum(leg["amount"]["amount"] for leg in hold["split"])), "")
        self.console.print(table)

    def last(self, text: str) -> None:
        self.console.print()
        self.console.print(text, soft_wrap=True)
