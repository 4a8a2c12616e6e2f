"""Prefect's profiles.toml: written, reported, restored."""
