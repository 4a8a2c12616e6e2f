"""Resource kinds that only make sense for Prefect. They ship to the host like the generic ones."""
