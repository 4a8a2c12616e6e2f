"""Docker: its engine."""
