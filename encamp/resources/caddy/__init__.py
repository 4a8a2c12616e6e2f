"""Caddy: its paths, sites and what must hold before it is configured."""
