"""Reads logs on a host: systemd's journal, and the file of a Postgres cluster."""
