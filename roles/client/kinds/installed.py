"""Which Prefect a client has, and whether it can work with the server."""

from __future__ import annotations

from typing import Optional

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api
from roles.prefect.kinds.installs import Installed, installed
from roles.prefect.kinds.memory import note_once
from roles.prefect.kinds.releases import DEPLOYMENTS, FLOW_RUNS, TASK_RUNS, mismatch, older, version_key

#: Seconds that the question for the server's release may take.
TIMEOUT = 5.0


@kind
class ClientPrefect(Resource):
    """Reports which Prefect this user has and whether it fits the server; refuses where none does. Changes nothing.

    ``server_version`` is the server's release; where it is empty, ``api_url`` is asked (with ``auth``, ``ca_file``).
    ``auth_since`` is the first release whose client can send user and password, ``csrf_since`` the first that sends
    CSRF tokens, where the server asks for them. ``same`` says that the releases must be equal: clients that write to
    the server's own database. ``brings`` is the release that encamp installs for this user before this step.
    ``installer`` names what installs one otherwise.
    """

    name: str
    server_version: str = ""
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""
    auth_since: str = ""
    csrf_since: str = ""
    same: bool = False
    brings: str = ""
    installer: str = "`fab configure-client --install`"

    def check(self, host: Reader) -> list[Change]:
        found = installed(host)
        if not found and not self.brings:
            note_once(
                self, host, f"Prefect is not installed for this user; {self.installer} installs the server's release"
            )
        server = self.server_version or host.once(f"release of {self.api_url}", lambda: self._asked(host))
        problems = {install: self._problem(install.version, server) for install in found}
        if problems and all(problems.values()) and not self.brings:
            raise self._refused(found[0], problems[found[0]], server)
        for install, problem in problems.items():
            verdict = f" cannot work with the server: {problem}" if problem else self._remark(install.version, server)
            note_once(self, host, f"Prefect {install.version} in {install.path}{verdict}")
        return []

    @property
    def _asks(self) -> bool:
        """Whether the server asks for user and password."""
        return self.auth is not None

    def _asked(self, host: Reader) -> str:
        """The release that the server reports; empty where it reports none."""
        api = Api(self.api_url, self.auth, self.ca_file)
        answer = api.call(host, "GET", "admin/version", timeout=TIMEOUT) if self.api_url else None
        try:
            return str(answer.json()) if answer and answer.status == 200 else ""
        except ValueError:
            return ""

    def _problem(self, client: str, server: str) -> str:
        """Why a client of this release cannot work with the server; empty where it can."""
        if self.auth_since and older(client, self.auth_since):
            return f"it requires user and password, which clients before {self.auth_since} cannot send"
        if self.csrf_since and older(client, self.csrf_since):
            return f"it requires CSRF tokens, which clients before {self.csrf_since} do not send"
        if self.same and server and version_key(client) != version_key(server):
            return f"it runs {server}, and all that write to one database need the same release"
        found = mismatch(client, server, FLOW_RUNS, auth=self._asks) if server else None
        return f"it runs {server}: {found.symptom}" if found else ""

    def _remark(self, client: str, server: str) -> str:
        if not server or version_key(client) == version_key(server):
            return ""
        found = mismatch(client, server, TASK_RUNS, DEPLOYMENTS, auth=self._asks)
        if found:
            age = "newer" if older(server, client) else "older"
            return f": {age} than the server ({server}): {found}"
        if older(server, client):
            return f": newer than the server ({server}); upgrade the server first, a newer client may be refused (422)"
        return ""

    def _refused(self, install: Installed, problem: str, server: str) -> Refused:
        release = server or "the server's release"
        return Refused(
            f"Prefect {install.version} in {install.path} cannot work with this server: {problem}",
            "",
            f"install {release} for this user ({self.installer} installs it next to the existing one)"
            + ("" if self.same or not older(server or "0", install.version) else ", or upgrade the server first"),
        )
