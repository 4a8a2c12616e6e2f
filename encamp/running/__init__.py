"""Running a plan on hosts: connections, passwords, failures."""
