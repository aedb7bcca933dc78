"""docker-compose.yml and what it mounts, read without a daemon; what its one-shots make."""
