"""Taking over a Prefect server that was set up by hand: what runs on a host, and how encamp continues it."""
