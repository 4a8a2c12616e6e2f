"""What a host should be: pure functions from typed settings to resources."""
