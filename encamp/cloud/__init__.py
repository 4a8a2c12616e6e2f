"""Firewalls of clouds, which stand before a host: rules there, and whether a port answers from this machine."""
