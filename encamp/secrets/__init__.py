"""Secrets: where they come from, vaults, the store of generated ones, rotation."""
