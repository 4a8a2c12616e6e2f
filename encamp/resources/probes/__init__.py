"""Checks that change nothing: expectations, ports, HTTP, the audit trail."""
