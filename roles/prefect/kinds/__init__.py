"""Prefect's API, releases and known failures, as a host sees them."""
