"""One file a resource kind: declaration, check and apply together. Ships to the host: standard library only."""
