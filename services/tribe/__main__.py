"""`python -m services.tribe`: alone, with RabbitMQ and its own database. See chassis/run.py."""

from chassis import run
from services.tribe.service import build

if __name__ == "__main__":
    run.main("tribe", build)
