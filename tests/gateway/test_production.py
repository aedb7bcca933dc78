"""What a production deployment may not start with."""

import base64
from typing import Any

import pytest

from chassis.bus.local import Hall, LocalBus
from chassis.db import Database
from gateway.service import build
from gateway.settings import NotFitForProduction, refuse_sandbox_in_production
from tests import support
from tests.gateway.world import settings

PLACEHOLDER = base64.b64encode(b"changeme" * 4).decode()


def refused(**changes: Any) -> str:
    delivers = changes.pop("delivers_codes", True)
    with pytest.raises(NotFitForProduction) as refusal:
        refuse_sandbox_in_production(support.settings(mode="production"), settings(**changes), delivers_codes=delivers)
    return str(refusal.value)


def test_production_does_not_show_one_time_codes() -> None:
    assert "SANDBOX_CODES" in refused(sandbox_codes=True)


def test_production_delivers_one_time_codes() -> None:
    assert "deliver" in refused(sandbox_codes=False, delivers_codes=False)


@pytest.mark.parametrize("name", ["master_key", "index_key"])
def test_production_has_keys_of_its_own(name: str) -> None:
    said = refused(sandbox_codes=False, **{name: PLACEHOLDER})
    assert name.upper() in said
    assert PLACEHOLDER not in said


def test_every_fault_is_named_at_once() -> None:
    assert refused(master_key=PLACEHOLDER, index_key=PLACEHOLDER, delivers_codes=False).count(";") == 3


def test_a_sandbox_may_have_all_of_it() -> None:
    refuse_sandbox_in_production(support.settings(), settings(master_key=PLACEHOLDER), delivers_codes=False)


def gateway(**given: Any) -> object:
    database = Database("postgresql://nobody@127.0.0.1:1/none", pool_max=2)
    return build(database=database, bus=LocalBus(Hall(), database), upstreams={}, **given)


def test_a_production_gateway_does_not_start_with_the_sandboxs_features() -> None:
    with pytest.raises(NotFitForProduction):
        gateway(chassis=support.settings(mode="production"), settings=settings())


def test_a_gateway_does_not_start_with_a_key_that_the_services_do_not_believe() -> None:
    import json

    from joserfc.jwk import OKPKey

    other = json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True))
    with pytest.raises(ValueError, match="public half"):
        gateway(chassis=support.settings(), settings=settings(signing_key=other))


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 31).decode(), "!" * 44])
def test_a_key_is_32_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        settings(master_key=text).vault()
