"""Bundles: all that a deploy would download, collected on a host with a network and used on hosts without one."""
