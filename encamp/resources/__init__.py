"""One file for each kind of resource: declaration, check and apply. Ships to hosts: standard library only."""
