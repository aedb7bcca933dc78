"""A real provider process and a real receiver of its callbacks."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "a-secret-for-the-tests-of-32-characters"
SUCCESS = (200, b'{"code":"SUCCESS"}')


def sign(method: str, path: str, timestamp: str, nonce: str, body: bytes, secret: str = SECRET) -> str:
    """The signature, written again from the README: the tests share no code with the provider."""
    text = f"{method}\n{path}\n{timestamp}\n{nonce}\n".encode() + body
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha256).digest()).decode()


def wait_until(true: Callable[[], object], within_seconds: float = 10) -> None:
    """Return as soon as `true()` is; fail after the time."""
    deadline = time.monotonic() + within_seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@dataclass
class Callback:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The parsed body."""
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Receiver:
    """The platform's side: notes each callback and answers what it was told to, then SUCCESS for ever."""

    url: str = ""
    callbacks: list[Callback] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    def answer(self, callback: Callback) -> tuple[int, bytes]:
        """Note it and choose the answer."""
        self.callbacks.append(callback)
        return self.answers.pop(0) if self.answers else SUCCESS


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of this machine."""
    noted = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = noted.answer(Callback(self.path, dict(self.headers), body))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    noted.url = f"http://127.0.0.1:{server.server_port}/callbacks/sandbox?from=tests"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield noted
    server.shutdown()
    server.server_close()


class Provider:
    """The provider as a process, and a platform that signs its requests."""

    def __init__(self, data_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=10)
        self._environment = {
            **os.environ,
            "BULUO_SANDBOX_SECRET": SECRET,
            "BULUO_SANDBOX_PORT": str(self.port),
            "BULUO_SANDBOX_PUBLIC_URL": self.url,
            "BULUO_SANDBOX_DATA_PATH": str(data_path),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        command = [sys.executable, "-m", "sandbox"]
        self._process = subprocess.Popen(command, cwd=ROOT, env=self._environment)
        wait_until(self._lives, within_seconds=20)

    def _lives(self) -> bool:
        try:
            return self.client.get("/livez").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM; it must obey at once."""
        assert self._process
        self._process.terminate()
        self._process.wait(timeout=10)
        self.client.close()

    def send(
        self, method: str, path: str, content: object = None, *, timeout_seconds: float = 10, **headers: str
    ) -> httpx.Response:
        """A signed request; `headers` replace the right ones."""
        body = b"" if content is None else json.dumps(content).encode()
        timestamp, nonce = str(int(time.time())), secrets.token_hex(8)
        signed = {
            "Sandbox-Timestamp": timestamp,
            "Sandbox-Nonce": nonce,
            "Sandbox-Signature": sign(method, path, timestamp, nonce, body),
        }
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, path, content=body, headers=signed | given, timeout=timeout_seconds)

    def answer(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        """The body of a signed request that succeeds."""
        response = self.send(method, path, content)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def charge(self, receiver: Receiver, **changes: object) -> dict[str, Any]:
        """A new charge of ¥79.80."""
        return self.answer("POST", "/v1/charges", a_charge(receiver, **changes))

    def refund(self, refund: dict[str, object]) -> dict[str, Any]:
        """Money back."""
        return self.answer("POST", "/v1/refunds", refund)

    def pay(self, charge: dict[str, Any]) -> httpx.Response:
        """The buyer presses the button, by JSON."""
        return self.client.post(charge["pay_url"], headers={"Accept": "application/json"})


def a_charge(receiver: Receiver, **changes: object) -> dict[str, object]:
    """The body of a request for a new charge."""
    charge: dict[str, object] = {
        "out_no": f"pay_{secrets.token_hex(8)}",
        "amount": 7980,
        "currency": "CNY",
        "notify_url": receiver.url,
        "expires_at": "2099-01-01T00:00:00Z",
        "description": "秭归伦晚脐橙 10 斤装",
        "payee": "江南慢食部落",
    }
    return charge | changes


def a_refund(receiver: Receiver, charge: dict[str, Any], **changes: object) -> dict[str, object]:
    """The body of a request for a new refund."""
    refund: dict[str, object] = {
        "refund_no": f"ref_{secrets.token_hex(8)}",
        "out_no": charge["out_no"],
        "amount": 1200,
        "currency": "CNY",
        "notify_url": receiver.url,
    }
    return refund | changes


@pytest.fixture(scope="session")
def running_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One process for all tests: they tell their charges apart by number."""
    started = Provider(tmp_path_factory.mktemp("provider") / "sandbox.sqlite3")
    started.start()
    yield started
    started.stop()


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    """The provider on a good day."""
    running_provider.answer("PUT", "/v1/faults", {})
    return running_provider
