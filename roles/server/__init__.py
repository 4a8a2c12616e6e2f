"""The role of a Prefect server, under systemd or as a Compose stack."""
