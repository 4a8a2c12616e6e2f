"""What the tasks of fabfile.py do: each module one task, from its options to an exit code."""
