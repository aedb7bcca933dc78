"""A fact as it travels: CloudEvents 1.0, structured JSON (decision 0002)."""

import json
from datetime import datetime
from uuid import UUID

from contracts.fact import SPECVERSION, Fact


def envelope_json(
    fact: Fact,
    fact_id: UUID,
    *,
    source: str,
    time: datetime,
    sequence: int,
    causation: str,
    correlation: str,
    audience: tuple[str, ...],
) -> str:
    """The fact as CloudEvents 1.0 structured JSON. The data is dumped once, by its own model."""
    head = {
        "specversion": SPECVERSION,
        "id": str(fact_id),
        "source": f"/services/{source}",
        "type": fact.type,
        "subject": fact.subject,
        "time": time.isoformat(),
        "datacontenttype": "application/json",
        "sequence": sequence,
        "causationid": causation,
        "correlationid": correlation,
        "audience": list(audience),
    }
    return f'{json.dumps(head)[:-1]}, "data": {fact.model_dump_json()}}}'
