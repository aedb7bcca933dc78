"""How facts travel between services: one interface, a bus in one process and one over RabbitMQ."""
