"""What a worker needs on its host."""
