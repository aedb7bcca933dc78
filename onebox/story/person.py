"""A person with a phone: signs in with a one-time code and calls the public API, as any app would."""

import secrets
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import uuid4

import httpx


class UnexpectedAnswer(Exception):  # noqa: N818
    """The API answered something else than the story expects; the problem's code and trace id are in the text."""


@dataclass(slots=True)
class Person:
    """`name` is for the timeline alone; the API knows a phone number and ids."""

    name: str
    client: httpx.AsyncClient
    person_id: str = ""
    _token: str = field(default="", repr=False)

    @classmethod
    async def sign_in(cls, name: str, client: httpx.AsyncClient) -> Self:
        person = cls(name, client)
        phone = f"+86139{secrets.randbelow(10**8):08d}"
        code = await person.post("/v1/sessions/codes", {"phone": phone}, expect=202)
        session = await person.post(
            "/v1/sessions", {"code_id": code["code_id"], "code": code["sandbox_code"]}, expect=201
        )
        person.person_id, person._token = session["person_id"], session["access_token"]
        return person

    async def get(self, path: str, **query: Any) -> Any:
        return await self._call("GET", path, None, 200, query=query)

    async def post(self, path: str, body: Any = None, expect: int = 201) -> Any:
        return await self._call("POST", path, body if body is not None else {}, expect)

    async def put(self, path: str, body: Any, version: int | None = None) -> Any:
        return await self._call("PUT", path, body, 200, version=version)

    async def patch(self, path: str, body: Any, version: int) -> Any:
        return await self._call("PATCH", path, body, 200, version=version)

    async def refused(self, method: str, path: str, body: Any, status: int) -> dict[str, Any]:
        """The same call, where the story is that it is refused: the problem."""
        problem: dict[str, Any] = await self._call(method, path, body, status)
        return problem

    async def _call(
        self,
        method: str,
        path: str,
        body: Any,
        expect: int,
        *,
        query: dict[str, Any] | None = None,
        version: int | None = None,
    ) -> Any:
        headers = {"idempotency-key": str(uuid4())} if method == "POST" else {}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        if version is not None:
            headers["if-match"] = f'"{version}"'
        for _ in range(5):
            response = await self.client.request(method, path, json=body, params=query, headers=headers)
            # A fact may still be on its way to the service that is asked: its answer says to try again.
            if response.status_code not in {409, 503} or "retry-after" not in response.headers:
                break
        if response.status_code != expect:
            raise UnexpectedAnswer(f"{method} {path}: {response.status_code} {response.text}")
        return response.json() if response.content else None
