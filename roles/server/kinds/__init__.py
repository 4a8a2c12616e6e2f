"""What a server needs on its host."""
