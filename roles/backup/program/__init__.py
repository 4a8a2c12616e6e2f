# Managed by encamp: changes made here are undone by the next deploy.
"""The program on the database's host that takes, lists, loads and rehearses backups. Standard library only."""
