"""Addresses, access, TLS, proxies and firewalls; shared by several roles."""
