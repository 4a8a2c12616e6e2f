"""Backups: what an inventory may say of them. Their resources are those of the stages of database and server."""

from __future__ import annotations

from roles.backup.settings import Settings
from roles.prefect.groups import is_server
from roles.role import Role

ROLE = Role("backup", settings=(Settings,), owners="servers", reads=is_server)
