"""Verification by a real flow run."""
