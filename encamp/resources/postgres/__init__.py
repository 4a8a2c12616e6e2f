"""A PostgreSQL cluster, its roles, databases, extensions and access rules."""
