"""Kinds of the backup role: they run on hosts."""
