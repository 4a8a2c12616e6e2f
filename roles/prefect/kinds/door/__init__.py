"""The door of a server: a file that keeps the server from starting, and what answers in its place."""
