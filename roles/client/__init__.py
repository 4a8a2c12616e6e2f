"""The role of a client (a laptop, a CI runner): its Prefect profile."""
