"""The doctor on a server."""
