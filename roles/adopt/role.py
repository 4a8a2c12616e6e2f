"""Continuing a server that was set up by hand, as a step of the server's first deploy."""

from __future__ import annotations

from roles.adopt.settings import Settings
from roles.prefect.groups import SERVERS, is_server
from roles.role import Role

#: Its steps are part of the server's stage: they come between the installation and the start.
ROLE = Role("adopt", SERVERS, settings=(Settings,), owners="servers", reads=is_server)
