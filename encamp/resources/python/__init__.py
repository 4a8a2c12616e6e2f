"""Python environments made by uv, and the link that chooses one."""
