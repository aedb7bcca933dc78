"""A person of whom every datum is unique, and whoever looks for it where it must not be."""

import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.journeys.evidence import Evidence
from tests.journeys.people import Stubborn, StubbornStage
from tests.journeys.world import Process, data_folder

TABLES = "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def some_phone() -> str:
    return f"137{secrets.randbelow(10**8):08d}"


@dataclass(slots=True)
class Canary:
    """A person of whom every datum is unique. `cage` is all of it, in the spellings in which it could get out."""

    phone: str = field(default_factory=some_phone)
    display_name: str = field(default_factory=lambda: f"Kanarie-{secrets.token_hex(6)}")
    name: str = field(default_factory=lambda: f"金丝雀-{secrets.token_hex(6)}")
    parcel_phone: str = field(default_factory=some_phone)
    address: str = field(default_factory=lambda: f"鸟笼路 {secrets.token_hex(6)} 号")
    tokens: list[str] = field(default_factory=list)

    @property
    def cage(self) -> tuple[str, ...]:
        # A name is recognised by its unique half, however the rest of it was written or escaped.
        unique = (self.name.partition("-")[2], self.address.split(" ")[1], self.display_name)
        return (self.phone, self.parcel_phone, *unique, *self.tokens)

    @property
    def recipient(self) -> dict[str, str]:
        return {"name": self.name, "phone": self.parcel_phone, "region_code": "330100", "address": self.address}


async def signs_in(stage: StubbornStage, canary: Canary) -> Stubborn:
    """By phone and code, with a wrong code first; then on with the refresh token."""
    asked = (await stage.client.post("/v1/sessions/codes", json={"phone": canary.phone})).json()
    code = asked["sandbox_code"]
    wrong = {"code_id": asked["code_id"], "code": f"{(int(code) + 1) % 1_000_000:06d}"}
    assert (await stage.client.post("/v1/sessions", json=wrong)).is_client_error
    session = (await stage.client.post("/v1/sessions", json={"code_id": asked["code_id"], "code": code})).json()
    again = (await stage.client.post("/v1/sessions", json={"refresh_token": session["refresh_token"]})).json()
    for each in (session, again):
        canary.tokens += [each["access_token"], each["refresh_token"]]
    return Stubborn("canary", stage.client, again["person_id"], again["access_token"])


async def places(world: Process, here: Evidence, needles: tuple[str, ...]) -> AsyncIterator[str]:
    """Every log file, table and page in which one of these is."""
    for path in logs(world.folder):
        text = path.read_bytes()
        if any(needle.encode() in text for needle in needles):
            yield path.name
    async with httpx.AsyncClient() as client:
        page = (await client.get(world.metrics_url)).raise_for_status().text
    if any(needle in page for needle in needles):
        yield "metrics"
    for service in here.databases:
        for table in await here.rows(service, TABLES):
            if await holds(here, service, table["name"], needles):
                yield f"{service}.{table['name']}"


def logs(folder: Path) -> Iterator[Path]:
    yield from folder.glob("*.log")
    yield data_folder(folder) / "server.log"


async def holds(here: Evidence, service: str, table: str, needles: tuple[str, ...]) -> bool:
    """Whether a row of a table has one of these, be it as bytes, which PostgreSQL writes as hex."""
    spellings = [spelling for each in needles for spelling in (each, each.encode().hex())]
    sql = f"SELECT EXISTS (SELECT FROM {table} AS t, unnest($1::text[]) AS needle WHERE position(needle IN t::text) > 0) AS is_there"
    row = await here.row(service, sql, spellings)
    return bool(row["is_there"])
