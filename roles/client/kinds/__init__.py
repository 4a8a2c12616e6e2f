"""What a client needs on its host."""
