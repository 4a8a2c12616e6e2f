"""Backups of a server's database: taken by a timer or on demand, listed, restored, rehearsed."""
