"""The doctor on a client."""
