"""`python -m services.distribution`: alone, with RabbitMQ and its own database. See chassis/run.py."""

from chassis import run
from services.distribution.service import build

if __name__ == "__main__":
    run.main("distribution", build)
