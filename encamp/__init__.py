"""encamp: put a self-hosted Prefect server on your own Linux hosts, over SSH."""

__version__ = "0.1.0"
