"""systemd units and services: their files, state, restarts, probes."""
