"""`python -m services.escrow`: alone, with RabbitMQ and its own database. See chassis/run.py."""

from chassis import run
from services.escrow.service import build

if __name__ == "__main__":
    run.main("escrow", build)
