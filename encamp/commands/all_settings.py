"""Every class of settings that an inventory may give: those of connections and passwords, and those of all roles."""

from __future__ import annotations

from encamp.running import connectors, passwords
from roles import stages

ALL_SETTINGS: tuple[type, ...] = (connectors.Settings, passwords.Settings, *stages.SETTINGS)
