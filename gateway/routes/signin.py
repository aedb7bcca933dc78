"""Sign-in: a code to a phone, a session for a code, the next tokens for the last ones."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter, Request, Response
from uuid_utils.compat import uuid7

from chassis import problems, web
from chassis.decision import Refused
from chassis.web import (
    AskAgain,
    who,
)
from contracts.ids import format_id
from gateway import domain
from gateway.doors import Doors, DoorsOf, new_code
from gateway.handlers import (
    MakeCode,
    Refresh,
    SignIn,
)
from gateway.routes.common import answer, is_sandbox, told
from gateway.schemas import (
    CodeIn,
    CodeOut,
    RefreshIn,
    SessionIn,
    SessionOut,
    SignInIn,
)
from gateway.tokens import RefreshToken
from gateway.vault import hashed

router = APIRouter()


@router.post(
    "/sessions/codes",
    operation_id="create_code",
    status_code=202,
    response_model=CodeOut,
    openapi_extra=who("any"),
    responses=problems.documented(429),
)
async def create_code(body: CodeIn, ask: AskAgain, doors: DoorsOf, request: Request) -> Response:
    """Send a one-time code to a phone. The answer is the same whether or not the number has an account."""
    phone, code, code_id = domain.normalise_phone(body.phone), new_code(), format_id("cod", uuid7())
    index, limits = doors.marks.phone_index(phone), doors.settings
    command = MakeCode(
        ask.caller, code_id, index, doors.vault.seal(phone, f"phone:{index}"), doors.marks.code(code_id, code),
        timedelta(seconds=limits.code_lifetime_seconds), limits.code_attempts_max, limits.codes_hourly_max,
    )  # fmt: skip
    await told(ask, command)
    if doors.deliver_code:
        await doors.deliver_code(phone, code)
    shown = code if is_sandbox(request) and limits.sandbox_codes else None
    return Response(CodeOut(code_id=code_id, sandbox_code=shown).model_dump_json(exclude_none=True), 202,
                    media_type="application/json")  # fmt: skip


_NOT_RIGHT: dict[str, type[Refused]] = {"expired": domain.CodeExpired}


@router.post(
    "/sessions",
    operation_id="create_session",
    status_code=201,
    response_model=SessionOut,
    openapi_extra=who("any"),
    responses=problems.documented(429),
)
async def create_session(body: SessionIn, ask: AskAgain, doors: DoorsOf) -> Response:
    """Sign in with a one-time code, or go on with a refresh token. A refresh token used twice ends the session."""
    if isinstance(body, SignInIn):
        return answer(await _sign_in(body, ask, doors), 201)
    return answer(await _refresh(body, ask, doors), 201)


async def _sign_in(body: SignInIn, ask: web.Ask, doors: Doors) -> SessionOut:
    token = RefreshToken.next(format_id("ses", uuid7()), 1)
    command = SignIn(
        ask.caller, body.code_id, doors.marks.code(body.code_id, body.code), token.session_id, hashed(token.secret),
        timedelta(days=doors.settings.session_lifetime_days),
    )  # fmt: skip
    said, _ = await told(ask, command)
    if said["outcome"] != "right":
        raise _NOT_RIGHT.get(said["outcome"], domain.CodeInvalid)
    return _session_out(said["person_id"], token, doors)


async def _refresh(body: RefreshIn, ask: web.Ask, doors: Doors) -> SessionOut:
    used = RefreshToken.read(body.refresh_token, doors.marks)
    if used is None:
        raise domain.SessionRevoked
    token = RefreshToken.next(used.session_id, used.generation + 1)
    command = Refresh(ask.caller, used.session_id, used.generation, hashed(used.secret), hashed(token.secret))
    said, _ = await told(ask, command)
    if said["state"] != "active":
        raise domain.SessionRevoked
    return _session_out(said["person_id"], token, doors)


def _session_out(person_id: str, token: RefreshToken, doors: Doors) -> SessionOut:
    access_token, expires_at = doors.tokens.make(person_id, token.session_id)
    return SessionOut(
        access_token=access_token,
        refresh_token=token.text(doors.marks),
        expires_at=datetime.fromtimestamp(expires_at, UTC),
        person_id=person_id,
    )
