"""The whole in six processes, with RabbitMQ between them and a database each."""
