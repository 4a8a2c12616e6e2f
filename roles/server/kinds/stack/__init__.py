"""A Compose stack: its containers, its database, its password, and its absence."""
