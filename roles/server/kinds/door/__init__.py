"""The door of a server, declared: shut for maintenance, or open; or none at all."""
