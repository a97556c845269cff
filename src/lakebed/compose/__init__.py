"""The services as a Docker Compose project: the file, and a driver for `docker compose`."""
