"""`python -m onebox demo | serve | verify | migrate`: Buluo on one machine, nothing installed; `story`: against any."""

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvloop

from onebox import world
from onebox.postgres.server import remove
from onebox.story import play
from onebox.story.words import Language, language_of_environment
from onebox.verify import verify_world

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
STATE = Path(".buluo")
DEMO_MARK = "made-by-demo"
Folder = Annotated[Path, typer.Option(help="where the world keeps its databases and secrets")]


def _quiet_logs(folder: Path) -> None:
    """Logs of the services go to a file, so that the timeline stays a timeline."""
    folder.mkdir(parents=True, exist_ok=True)
    log = (folder / "onebox.log").open("a", buffering=1)
    logging.basicConfig(stream=log, level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(log),
    )


def _make_fresh(folder: Path) -> None:
    """An empty folder. Only what an earlier demo left is thrown away: anything else may be somebody's."""
    its_own = folder == STATE / "demo" or (folder / DEMO_MARK).exists()
    if folder.exists() and any(folder.iterdir()) and not its_own:
        print(f"{folder} holds something that no demo made: name a folder that is empty or not there", file=sys.stderr)
        raise typer.Exit(2)
    remove(folder / "postgres")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DEMO_MARK).touch()


@app.command()
def demo(
    folder: Folder = STATE / "demo",
    language: Annotated[Language | None, typer.Option(help="of the timeline; by locale if not given")] = None,
) -> None:
    """Play the story of a tribe through the public API in a fresh world, then verify the books."""
    _make_fresh(folder)
    _quiet_logs(folder)

    async def run() -> int:
        async with world.running(folder, durable=False) as running:
            return await play.story(running, language or language_of_environment())

    raise typer.Exit(uvloop.run(run()))


@app.command()
def serve(
    folder: Folder = STATE / "world",
    port: Annotated[int, typer.Option(help="of the gateway, on 127.0.0.1")] = 8000,
    provider_port: Annotated[int, typer.Option(help="of the provider; pay pages stay where it is")] = 8002,
    metrics_port: Annotated[int, typer.Option(help="of /metrics, for Prometheus; 0 is any")] = 8001,
) -> None:
    """Run Buluo at http://127.0.0.1:8000 until Ctrl-C."""
    _quiet_logs(folder)

    async def run() -> None:
        stopped = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, stopped.set)
        async with world.running(folder, port=port, provider_port=provider_port, metrics_port=metrics_port) as running:
            print(f"Buluo    {running.url}\nopenapi  {running.url}/openapi.json", flush=True)
            print(f"metrics  http://127.0.0.1:{metrics_port}/metrics" if metrics_port else "", flush=True)
            await stopped.wait()

    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(run())


@app.command()
def story(
    url: Annotated[str, typer.Option(help="of a gateway that runs in sandbox mode")] = "http://127.0.0.1:8000",
    pay_pages_at: Annotated[
        str | None, typer.Option(help="the provider's pay pages as seen from here, if their public address is not")
    ] = None,
    language: Annotated[Language | None, typer.Option(help="of the timeline; by locale if not given")] = None,
) -> None:
    """Play the story against a deployment that runs elsewhere, with nothing but its public address."""
    raise typer.Exit(uvloop.run(play.told(url, language or language_of_environment(), pay_pages_at=pay_pages_at)))


@app.command()
def verify(folder: Annotated[Path | None, typer.Option(help="one world; else every world there is")] = None) -> None:
    """Recompute every invariant from the databases; name each violation; exit 1 if there is one."""
    folders = [folder] if folder else [each for each in (STATE / "world", STATE / "demo") if each.exists()]
    if not folders:
        print("there is no world yet: run `make demo` or `make serve` first", file=sys.stderr)
        raise typer.Exit(2)
    good = [uvloop.run(verify_world(each)) for each in folders]
    raise typer.Exit(0 if all(good) else 1)


@app.command()
def migrate(folder: Folder = STATE / "world") -> None:
    """Bring every database of a world to the newest version."""

    async def run() -> None:
        async with world.databases(folder) as migrated:
            print(f"migrated: {', '.join(sorted(migrated))}")

    asyncio.run(run())


if __name__ == "__main__":
    app()
