"""`python -m sandbox`: the provider alone, until SIGTERM or SIGINT."""

import sys

import uvicorn
from pydantic import ValidationError

from sandbox.app import build
from sandbox.settings import SandboxSettings


def main() -> None:
    """Serve until stopped; exit 2 with a readable message when a setting is missing or wrong."""
    try:
        settings = SandboxSettings()
    except ValidationError as error:
        for problem in error.errors():
            name = "_".join(str(part) for part in problem["loc"])
            print(f"BULUO_SANDBOX_{name.upper()}: {problem['msg']}", file=sys.stderr)
        sys.exit(2)
    uvicorn.run(
        build(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
