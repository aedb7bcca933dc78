"""One realistic, valid sample of every fact: what the golden files, the documentation and test deliveries show."""

from itertools import chain

from contracts.fact import Envelope, Fact
from contracts.samples import distribution, escrow, gateway, order, partner, tribe
from contracts.samples.story import START, uuid7

SAMPLES: dict[type[Fact], Fact] = {
    type(sample): sample
    for sample in chain(
        gateway.SAMPLES, partner.SAMPLES, tribe.SAMPLES, order.SAMPLES, escrow.SAMPLES, distribution.SAMPLES
    )
}


def envelope_of(fact: Fact) -> Envelope:
    """The sample as it travels."""
    producer = fact.type.partition(".")[0]
    return Envelope(
        id=uuid7(fact.type),
        source=f"/services/{producer}",
        type=fact.type,
        subject=fact.subject,
        time=START,
        sequence=1,
        causationid=str(uuid7(f"cause of {fact.type}")),
        correlationid=str(uuid7("request")),
        data=fact.model_dump(mode="json"),
    )
