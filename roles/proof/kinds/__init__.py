"""A flow run that is started, followed and read back."""
