"""Certificates and trust: PEM files, the CA bundle, TLS handshakes."""
