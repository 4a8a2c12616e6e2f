"""Ansible Vault: values and files encrypted as the ``ansible-vault`` tool does."""
