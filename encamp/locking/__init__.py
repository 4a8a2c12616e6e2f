"""Lock files of Prefect releases: resolving, reading, trying them."""
