"""The role of a database host: PostgreSQL for one or more servers."""
