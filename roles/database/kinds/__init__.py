"""Database probes and the faults they explain."""
