"""Every fact exists, is in the table once, and travels unharmed."""

import inspect
from uuid import UUID

import pytest
from pydantic import ValidationError

from contracts import distribution, escrow, gateway, order, partner, tribe
from contracts.catalogue import CATALOGUE, SERVICES, decode, entry, heard_by, hearers
from contracts.fact import Envelope, Fact
from contracts.order import OrderPaid
from contracts.samples import SAMPLES, envelope_of
from contracts.samples.story import ORDER, START

PRODUCERS = (order, escrow, distribution, tribe, partner, gateway)

DESIGNED = {
    "gateway": "person_erased clock_advanced",
    "partner": """merchant_opened merchant_changed staff_changed application_submitted application_decided
        partnership_activated partnership_amended partnership_suspended partnership_ended pickup_point_changed""",
    "tribe": """founded member_joined member_left role_changed accord_activated partner_left
        consent_given consent_withdrawn consent_acknowledged content_published content_withdrawn
        credits_frozen wish_ripened costs_approved""",
    "order": """offer_published offer_withdrawn placed paid delivered shipped delivery_confirmed completed
        cancelled expired lines_cancelled repriced return_accepted deadline_near
        campaign_opened campaign_amended campaign_succeeded campaign_failed""",
    "escrow": """held disputed dispute_resolved released refunded leg_matured payout_sent payout_succeeded
        payout_failed debt_opened release_blocked pool_paid payout_account_changed""",
    "distribution": """attributed commission_reviewed angel_joined commission_pending commission_payable
        commission_reversed""",
}
STATES = """gateway.clock_advanced partner.merchant_opened partner.merchant_changed partner.staff_changed
    partner.partnership_activated partner.partnership_amended partner.partnership_suspended partner.partnership_ended
    partner.pickup_point_changed tribe.role_changed tribe.accord_activated tribe.content_published
    tribe.content_withdrawn order.offer_published order.offer_withdrawn escrow.payout_account_changed"""
HEARD_TODAY = {
    "order": """gateway.clock_advanced partner.merchant_opened partner.merchant_changed partner.staff_changed
        partner.partnership_activated partner.partnership_amended partner.partnership_suspended
        partner.partnership_ended tribe.role_changed tribe.content_published tribe.content_withdrawn
        escrow.held escrow.released escrow.refunded""",
    "escrow": """gateway.clock_advanced partner.staff_changed tribe.role_changed order.placed
        order.delivery_confirmed order.cancelled order.expired order.lines_cancelled order.completed
        distribution.attributed""",
    "distribution": """gateway.clock_advanced partner.staff_changed order.offer_published order.offer_withdrawn
        tribe.content_published tribe.content_withdrawn order.placed escrow.held escrow.released escrow.refunded""",
    "tribe": """gateway.clock_advanced partner.staff_changed partner.partnership_activated
        partner.partnership_amended partner.partnership_suspended partner.partnership_ended
        order.offer_published order.offer_withdrawn""",
    "partner": "gateway.clock_advanced",
}


def _types(names: str) -> set[str]:
    return {f"{name}.v1" for name in names.split()}


def _classes() -> list[type[Fact]]:
    return [
        found
        for module in PRODUCERS
        for _, found in inspect.getmembers(module, inspect.isclass)
        if issubclass(found, Fact) and found is not Fact and not found.__name__.startswith("_")
    ]


def test_every_designed_fact_is_in_the_catalogue_and_no_other() -> None:
    designed = {f"{producer}.{name}.v1" for producer, names in DESIGNED.items() for name in names.split()}
    assert set(CATALOGUE) == designed


def test_every_fact_class_stands_in_its_producers_module_and_in_the_catalogue() -> None:
    assert {found.type for found in _classes()} == set(CATALOGUE)
    for found in _classes():
        assert found.type.partition(".")[0] == found.__module__.rpartition(".")[2]


@pytest.mark.parametrize("fact", _classes(), ids=lambda fact: fact.type)
def test_every_fact_states_its_promise_and_names_its_subject(fact: type[Fact]) -> None:
    assert fact.__doc__
    assert fact.subject_field in fact.model_fields


def test_the_facts_that_carry_the_whole_state_count_it() -> None:
    assert {kind for kind, row in CATALOGUE.items() if row.fact.is_state} == _types(STATES)
    assert all("version" in row.fact.model_fields for row in CATALOGUE.values() if row.fact.is_state)


@pytest.mark.parametrize("service", HEARD_TODAY)
def test_a_service_hears_what_it_needs_today(service: str) -> None:
    assert heard_by(service) == _types(HEARD_TODAY[service])  # type: ignore[arg-type]


def test_the_gateway_hears_everything_but_itself() -> None:
    assert heard_by("gateway") == {kind for kind in CATALOGUE if not kind.startswith("gateway.")}


def test_nobody_hears_itself_and_nobody_is_both_a_hearer_and_a_later_one() -> None:
    for row in CATALOGUE.values():
        assert row.producer in SERVICES
        assert row.producer not in row.hearers | row.later
        assert not row.hearers & row.later
        assert row.why


def test_the_table_answers_by_type() -> None:
    assert entry("order.paid.v1").fact is OrderPaid
    assert hearers("escrow.held.v1") == {"order", "distribution", "gateway"}
    with pytest.raises(KeyError):
        entry("order.paid.v2")


@pytest.mark.parametrize("fact", SAMPLES.values(), ids=lambda fact: fact.type)
def test_a_fact_travels_unharmed(fact: Fact) -> None:
    received = Envelope.model_validate_json(envelope_of(fact).model_dump_json())
    assert decode(received) == fact
    assert received.subject == fact.subject


@pytest.mark.parametrize("fact", SAMPLES.values(), ids=lambda fact: fact.type)
def test_a_field_from_the_future_is_ignored(fact: Fact) -> None:
    envelope = envelope_of(fact)
    newer = envelope.model_copy(update={"data": {**envelope.data, "said_by_a_newer_version": {"anything": 1}}})
    assert decode(newer) == fact


def test_a_type_from_the_future_is_no_reason_to_stop() -> None:
    envelope = envelope_of(OrderPaid(order_id=ORDER, at=START))
    assert decode(envelope.model_copy(update={"type": "order.teleported.v1"})) is None


def test_a_known_type_with_wrong_data_is_poison() -> None:
    envelope = envelope_of(OrderPaid(order_id=ORDER, at=START))
    with pytest.raises(ValidationError):
        decode(envelope.model_copy(update={"data": {"order_id": "per_1"}}))


@pytest.mark.parametrize(
    ("field", "value"), [("order_id", "ord_1"), ("order_id", 7), ("at", "2026-11-02T09:30:00"), ("at", "yesterday")]
)
def test_a_fact_cannot_be_said_with_a_wrong_id_or_a_time_without_its_zone(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        OrderPaid.model_validate({"order_id": ORDER, "at": START, field: value})


def test_a_time_is_utc_inside_whatever_zone_it_came_in() -> None:
    fact = OrderPaid.model_validate({"order_id": ORDER, "at": "2026-11-02T09:30:00+08:00"})
    assert fact.at == START
    assert fact.model_dump(mode="json")["at"] == "2026-11-02T01:30:00Z"


def test_a_fact_cannot_be_changed_after_it_was_said() -> None:
    fact = OrderPaid(order_id=ORDER, at=START)
    with pytest.raises(ValidationError):
        fact.order_id = ORDER


def test_the_samples_have_well_formed_ids() -> None:
    assert all(UUID(str(envelope_of(fact).id)).version == 7 for fact in SAMPLES.values())


def test_the_services_are_the_ones_the_type_names() -> None:
    assert set(SERVICES) == set(DESIGNED)
