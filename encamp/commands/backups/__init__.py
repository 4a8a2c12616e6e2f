"""Backups of databases: taken, listed, restored, rehearsed."""
