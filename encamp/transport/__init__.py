"""The agent on the other side of one exec: what ships, how it starts, what it answers."""
