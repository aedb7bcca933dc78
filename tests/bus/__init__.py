"""The buses: one contract held by both, and what only the one over RabbitMQ must survive."""
