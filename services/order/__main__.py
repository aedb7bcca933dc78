"""`python -m services.order`: alone, with RabbitMQ and its own database. See chassis/run.py."""

from chassis import run
from services.order.service import build

if __name__ == "__main__":
    run.main("order", build)
