"""uv: the tool on the host, its runs, progress and errors."""
