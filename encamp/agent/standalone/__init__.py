"""A plan that its user carries out: one file with the sources it needs, run by any Python, without SSH."""
