"""Helpers that import nothing but errors: cache, atomic files, quoting, paths."""
