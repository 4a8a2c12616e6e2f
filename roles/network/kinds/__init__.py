"""Exposure, proxies and trust, checked on the host."""
