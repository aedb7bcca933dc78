"""`python -m services.partner`: alone, with RabbitMQ and its own database. See chassis/run.py."""

from chassis import run
from services.partner.service import build

if __name__ == "__main__":
    run.main("partner", build)
