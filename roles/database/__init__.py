"""Which database a server uses, and how it is reached; shared by several roles."""
