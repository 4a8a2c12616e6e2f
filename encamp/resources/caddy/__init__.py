"""Caddy: its paths, sites and requirements."""
