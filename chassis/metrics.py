"""Prometheus metrics of the chassis, declared once and labelled by service. Names follow docs/reference/metrics.md."""

from prometheus_client import Counter, Gauge, Histogram

DESK_BATCH = Histogram(
    "buluo_desk_batch_messages",
    "Messages per desk batch.",
    ["service"],
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 200, 400),
)
DESK_SECONDS = Histogram("buluo_desk_batch_seconds", "From taking a batch to its commit.", ["service"])
DESK_MESSAGES = Counter("buluo_desk_messages_total", "Messages by outcome.", ["service", "origin", "outcome"])
DESK_RERUNS = Counter("buluo_desk_reruns_total", "Batches that lost a race and ran again with locks.", ["service"])
DESK_HALVINGS = Counter("buluo_desk_halvings_total", "Batches the database refused.", ["service"])
DESK_DEFECTS = Counter("buluo_desk_defects_total", "Decisions that failed with a bug.", ["service"])
PARKED = Counter("buluo_parked_total", "Facts written to parked.", ["service", "why"])
OUTBOX_PENDING = Gauge("buluo_outbox_pending", "Facts not yet handed to every hearer.", ["service"])
OUTBOX_AGE = Gauge("buluo_outbox_oldest_age_seconds", "Age of the oldest unsent fact.", ["service"])
EVENTS_PUBLISHED = Counter("buluo_events_published_total", "Facts that every hearer's queue has.", ["service", "type"])
EVENTS_UNSENT = Counter(
    "buluo_events_unsent_total", "Copies of facts the broker did not take: tried again.", ["service", "type", "why"]
)
EVENTS_CONSUMED = Counter(
    "buluo_events_consumed_total",
    "Facts that arrived: ok, redelivered, unknown, unreadable or dead.",
    ["service", "type", "result"],
)
EVENT_LAG = Histogram(
    "buluo_event_lag_seconds",
    "From a fact's birth to the commit of its hearing.",
    ["service"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
BROKER_CONNECTED = Gauge("buluo_broker_connected", "Whether this line to the broker is up.", ["service", "line"])
HTTP_SECONDS = Histogram(
    "buluo_http_request_duration_seconds", "HTTP requests.", ["service", "method", "route", "status"]
)
INSTRUCTIONS = Counter("buluo_instructions_total", "Calls to the outside by result.", ["service", "kind", "result"])
ESCROW_HELD = Gauge("buluo_escrow_held_minor_units", "Money held for orders.", ["currency"])
LEDGER_IMBALANCE = Gauge("buluo_ledger_imbalance_minor_units", "captured - all it became; always 0.", ["currency"])
