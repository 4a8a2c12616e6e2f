"""The groups of an inventory that encamp's roles are deployed to."""

SERVERS = "servers"
WORKERS = "workers"
CLIENTS = "clients"
DATABASES = "databases"
