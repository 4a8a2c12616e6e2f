"""Files, directories, symbolic links, and their absence."""
