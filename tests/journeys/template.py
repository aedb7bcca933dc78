"""A founded world to copy: founding one takes longer than copying its files."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onebox import world
from onebox.postgres import Postgres
from onebox.postgres.account import place_for, server_account
from onebox.postgres.server import remove
from onebox.story.stage import Stage
from tests.journeys.people import Stubborn, founded, stage_at
from tests.journeys.world import data_folder


@dataclass(frozen=True, slots=True)
class Template:
    """A stopped world with a merchant, a partner, a tribe and oranges on sale; its people are signed in."""

    folder: Path
    people: Mapping[str, tuple[str, str, str]]
    ids: Mapping[str, str]

    @contextmanager
    def copied(self, folder: Path, *, durable: bool = False) -> Iterator[Path]:
        """A world of its own, on a server that runs until the block ends; nothing of it remains."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns("data", "sockets", "*.lock", "*.log"))
        postgres = folder / "postgres"
        data = place_for(postgres / "data", server_account(postgres / "data"))
        subprocess.run(["cp", "-a", data_folder(self.folder), data], check=True)
        try:
            with Postgres.start(postgres, preload=world.PRELOAD, durable=durable):
                yield folder
        finally:
            remove(postgres)

    def enter(self, stage: Stage) -> None:
        """Its people and what they have made, on a stage in front of a copy."""
        stage.ids.update(self.ids)
        for key, (name, person_id, token) in self.people.items():
            stage.people[key] = Stubborn(name, stage.client, person_id, token)


async def made(folder: Path) -> Template:
    async with world.running(folder, durable=False) as running, stage_at(running.url) as stage:
        await founded(stage)
        people = {key: (each.name, each.person_id, each._token) for key, each in stage.people.items()}
        return Template(folder, people, dict(stage.ids))
