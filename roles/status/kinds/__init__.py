"""What ``fab status`` runs on hosts: the doctor's quick checks, and those of its own."""
