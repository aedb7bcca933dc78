"""Errors as RFC 9457 problem+json, in the reader's language: one shape for every refusal, defect and bad request."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from chassis.db import is_outage
from chassis.decision import Refused
from contracts import problems

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = {409: "1", 429: "1", 503: "1"}
_BY_STATUS = {
    400: "malformed_json",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "body_too_large",
    415: "unsupported_media_type",
}


class FieldError(BaseModel):
    """One bad member of a request: where (a JSON pointer) and why."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """RFC 9457: `code` is what a client acts on, `trace_id` what it reports. Codes are never renamed."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["/problems/sold_out"])
    title: str
    status: int
    detail: str
    instance: str
    code: str
    trace_id: str
    errors: list[FieldError] = Field(default_factory=list)


def language_of(accept_language: str) -> str:
    """`zh` or `en`: the first of the two that the reader names; Chinese for a reader who names neither."""
    for part in accept_language.lower().split(","):
        name = part.partition(";")[0].strip()
        if name.startswith("zh"):
            return "zh"
        if name.startswith("en"):
            return "en"
    return "zh"


def problem(
    request: Request,
    status: int,
    code: str,
    params: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem+json response for this request, with its text in the reader's language."""
    language = language_of(request.headers.get("accept-language", ""))
    words = problems.text(code, language, dict(params or {}))
    body = {
        "type": f"/problems/{code}",
        "title": words.title,
        "status": status,
        "detail": words.detail,
        "instance": request.url.path,
        "code": code,
        "trace_id": request.scope.get("state", {}).get("request_id", ""),
        **(extra or {}),
    }
    response_headers = {"content-language": "zh-CN" if language == "zh" else "en", **(headers or {})}
    if extra and "retry_after_seconds" in extra:
        response_headers["retry-after"] = str(extra["retry_after_seconds"])
    if status in {429, 503} or code == "not_yet_known":
        response_headers.setdefault("retry-after", RETRY_AFTER_SECONDS[status])
    if status == 401:
        response_headers.setdefault("www-authenticate", "Bearer")
    return Response(json.dumps(body, ensure_ascii=False), status, response_headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Every error of this app becomes a problem, those of the framework too."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _defect)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101
    return problem(request, error.status, error.code, error.params, error.extra)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = error.errors()
    if any(each["type"] == "json_invalid" for each in faults):
        return problem(request, 400, "malformed_json")
    errors = [{"pointer": _pointer(each["loc"]), "detail": each["msg"]} for each in faults]
    if any(each["loc"][:2] == ("header", "idempotency-key") for each in faults):
        return problem(request, 400, "idempotency_key_missing", extra={"errors": errors})
    if any(each["loc"][:2] == ("header", "if-match") for each in faults):
        return problem(request, 428, "if_match_required", extra={"errors": errors})
    if any(each["loc"][0] == "path" for each in faults):
        # An id of another shape names nothing.
        return problem(request, 404, "not_found")
    return problem(request, 422, "invalid_request", extra={"errors": errors})


async def _defect(request: Request, error: Exception) -> Response:
    return defect(request, error)


def defect(request: Request, error: Exception) -> Response:
    """Nobody's fault but ours: 503 while the database cannot be reached, else 500. It tells nothing of itself."""
    return problem(request, 503, "unavailable") if is_outage(error) else problem(request, 500, "internal_error")


def _pointer(location: Sequence[str | int]) -> str:
    source, *path = location
    inside = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    return inside if source == "body" else f"#{source}{inside}"


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _BY_STATUS.get(error.status_code, "internal_error")
    return problem(request, error.status_code, code, headers=error.headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of an operation: each of these statuses answers with a Problem."""
    return {
        status: {"model": Problem, "description": _DESCRIPTIONS[status], "content": {MEDIA_TYPE: {}}}
        for status in statuses
    }


_DESCRIPTIONS = {
    400: "Not readable: malformed JSON, or a required Idempotency-Key is missing.",
    401: "Not signed in, or the token is no longer valid.",
    403: "Yours, but not in your role.",
    404: "Not there, or not yours.",
    405: "Not this method.",
    406: "Cannot be said in the types you accept.",
    409: "Not in this state; `state` and `next_actions` say what is possible. `not_yet_known`: try again in a second.",
    410: "Was there once.",
    412: "Has changed since you read it.",
    413: "The body is too large.",
    415: "Send application/json.",
    422: "Readable, but cannot be meant; `errors` points at each member.",
    428: "Send If-Match.",
    429: "Too many requests.",
    500: "A defect of ours; `trace_id` finds it.",
    503: "Not possible just now; Retry-After says when to try again.",
}
EVERY_OPERATION = (400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 500, 503)
