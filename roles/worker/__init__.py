"""The role of a worker, its work pools and queues."""
