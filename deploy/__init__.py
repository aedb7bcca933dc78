"""How Buluo runs from docker-compose.yml: the image, the secrets, the databases, the broker's users."""
