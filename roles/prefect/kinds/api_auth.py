"""Basic auth of a server: what a change of it means before it is made, and whether it holds afterwards."""

from __future__ import annotations

import re
from typing import ClassVar, Optional, Sequence

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader, System
from encamp.shared.record import replace
from encamp.shared.secret import Secret
from roles.prefect.kinds.api import Api, Problem, problem_of

#: What encamp makes itself: a user, and 32 letters and digits.
GENERATED = re.compile(r"^[A-Za-z0-9_]+=admin:[A-Za-z0-9]{32}$")


@kind
class ApiAuth(Resource):
    """A server's auth string that may change: one that was made on another machine is not replaced.

    ``path`` is the environment file of server or worker, ``setting`` the variable that holds the auth string, ``line``
    its line as it is to be (None: no auth). ``kept_in`` names the file on the controller that a generated one is kept
    in, and ``renew`` allows replacing one that another controller generated. ``known``: other lines that this machine
    generated, while the auth string is rotated. ``tell``: note what a change means for clients. Never changes anything.
    """

    changes_host: ClassVar[bool] = False

    name: str
    path: str
    setting: str
    line: Optional[Secret] = None
    kept_in: str = ""
    renew: bool = False
    tell: bool = False
    known: Sequence[Secret] = ()

    def check(self, host: Reader) -> list[Change]:
        data = host.read(self.path)
        wanted = self.line.reveal() if self.line else ""
        if data is not None:
            self._compare(host, self._present(data), wanted)
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")

    def _present(self, data: bytes) -> str:
        """The line in the file as it is; empty without one."""
        lines = data.decode("utf-8", "replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith(f"{self.setting}=")), "")

    def _compare(self, host: Reader, present: str, wanted: str) -> None:
        if present == wanted:
            return
        if self.kept_in and GENERATED.match(present) and not self.renew and Secret(present) not in self.known:
            raise Refused(
                "the generated auth string on the server differs from the one on this machine; a new "
                "one would lock out its clients",
                "it was deployed from another machine, or the file with the secret was lost",
                f"copy {self.kept_in} from that machine; or generate a new one with --set "
                "auth_renew=true, then configure all clients again",
            )
        if not self.tell:
            return
        if wanted:
            what = "changes" if present else "is being enabled"
            means = "the API refuses clients (401) until `fab configure-client` has run for them, and running flow runs"
        else:
            what, means = "is being disabled", "anyone who can reach the port can use the API"
        host.note(f"auth of instance {self.name} {what}: {means}")


def unguarded(host: Reader, api: Api, timeout: float = 5) -> Optional[Problem]:
    """Why a server that was given auth does not ask for it; None where it does, or has none.

    A release that does not know the setting's name silently ignores it, and stays open.
    """
    if api.auth is None:
        return None
    answer = replace(api, auth=None).call(host, "GET", "admin/version", timeout=timeout)
    if answer.status != 200:
        return None if answer.status == 401 else problem_of(answer, "GET", api.address("admin/version"))
    return Problem(
        "the API responds without user and password, although auth is configured",
        "this release does not know the name of the auth setting, or the server was not restarted since the change",
        "basic auth exists since Prefect 3.1.8; deploy again, or set auth: off",
        settled=True,
    )
