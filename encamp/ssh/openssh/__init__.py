"""The system's ``ssh`` as the way to a host, for what paramiko cannot do."""
