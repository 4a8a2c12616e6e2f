"""What the checks at a server share: its unit, and the environment it really gets."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Mapping, Optional

from encamp.resources.system import Reader
from encamp.resources.systemd.environment_file import environment_of
from encamp.resources.systemd.journal import journal_tail
from encamp.resources.systemd.unit_state import UnitState, unit_state
from encamp.shared.record import record, replace
from encamp.shared.secret import Secret
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.server.database import ask
from roles.doctor.kinds.server.fields import ServerFields
from roles.prefect.kinds.api import Api
from roles.prefect.kinds.known_failures.known import Known
from roles.prefect.kinds.known_failures.lookup import explain
from roles.prefect.kinds.user_environment import text_of
from roles.server.kinds.health import ServerHealth
from roles.server.kinds.probes import Server

JOURNAL_LINES = 60
SHOWN_LINES = 6
#: The names of the server's own auth string and database URL, newest first (old releases know only the old ones).
AUTH_NAMES = ("PREFECT_SERVER_API_AUTH_STRING",)
DATABASE_NAMES = (
    "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "PREFECT_API_DATABASE_CONNECTION_URL",
    "PREFECT_ORION_DATABASE_CONNECTION_URL",
)


@record
class ServerSubject:
    """A server on its own host, described by ``kind``."""

    host: Reader
    kind: ServerFields

    @property
    def state(self) -> UnitState:
        """What systemd says of it."""
        return unit_state(self.host, self.kind.unit)

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The settings file that the unit reads. Holds secrets: never to be shown."""
        return environment_of(text_of(self.host, self.kind.env_file))

    @property
    def auth(self) -> Optional[Secret]:
        """The auth string that this server asks for; None where it asks for none."""
        found = next((self.environment[name] for name in AUTH_NAMES if self.environment.get(name)), "")
        return Secret(found) if found else None

    @property
    def database_url(self) -> str:
        """The connection URL that the server is given; empty where it is given none. May hold a password."""
        return next((self.environment[name] for name in DATABASE_NAMES if name in self.environment), "")

    @cached_property
    def server(self) -> Server:
        """The server for the probes of a deploy, with the credentials of the host itself."""
        wanted = ServerHealth(**self.kind.health).server()
        return replace(wanted, api=Api(wanted.api.url, self.auth))

    @property
    def target(self) -> ApiTarget:
        """The server as a client on its own host meets it."""
        return ApiTarget(self.host, self.server.api.url, auth=self.auth, near=True, server_version=self.server.version)

    @cached_property
    def database(self) -> Mapping[str, Any]:
        """What the database says to the server's own user, Python and URL. Nothing where those are in a container that
        does not run."""
        if self.kind.container and not self.state.active:
            return {}
        return ask(self.host, self.kind, self.environment, self.database_url)

    @cached_property
    def log(self) -> str:
        """The last lines of the unit's journal."""
        return journal_tail(self.host, self.kind.unit, JOURNAL_LINES)

    @property
    def known(self) -> Optional[Known]:
        """What the last lines mean, where they are of a fault that is known."""
        return explain(self.log)

    @property
    def shown_log(self) -> str:
        """The few lines of the journal that a person needs first."""
        return "\n".join(self.log.splitlines()[-SHOWN_LINES:])
