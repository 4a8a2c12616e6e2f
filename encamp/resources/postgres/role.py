"""A Postgres role."""

from __future__ import annotations

import secrets
from typing import Mapping, Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.postgres.sql import identifier, literal, require_name
from encamp.resources.postgres.state import execute, read_state, scram_iterations
from encamp.resources.system import Reader, System
from encamp.shared.record import factory
from encamp.shared.secret import Secret

#: Keeps even the verifier out of the server's log, whatever the log settings.
_QUIET = """\\set VERBOSITY terse
SET LOCAL log_statement = 'none';
SET LOCAL log_min_duration_statement = -1;
SET LOCAL log_min_error_statement = 'panic';
"""


@kind
class PostgresRole(Resource):
    """A role with or without login, with the given password and settings.

    Without ``password`` an existing password stays (peer authentication needs none). Only a SCRAM-SHA-256 verifier of
    the password is sent to the server. ``settings`` apply to the role's new sessions (``ALTER ROLE ... SET``). A role
    is never dropped; its other privileges and settings stay. One that has another password and none of ``settings`` is
    not encamp's, and refused.
    """

    name: str
    password: Optional[Secret] = None
    login: bool = True
    cluster: str = "main"
    settings: Mapping[str, str] = factory(dict)

    def __post_init__(self) -> None:
        require_name("role", self.name)
        if self.password is not None and self.password.reveal() == "":
            raise ValueError(f"the password of the Postgres role {self.name} is empty")
        if self.password is not None and "\0" in self.password.reveal():
            raise ValueError(f"the password of the Postgres role {self.name} contains a NUL character")

    def refuse(self, host: Reader) -> None:
        state = read_state(host, self.cluster)
        role = state.roles.get(self.name) if state else None
        if role is None or self.password is None or role.verifier is None or not self.settings:
            return
        ours = any(f"{name}={value}" in role.settings for name, value in self.settings.items())
        if not ours and not _has_password(role.verifier, self.password):
            raise Refused(
                f"Postgres has a role {self.name} with a password that encamp did not set",
                "something else may log in with it",
                "set database_name: to another name, which is also that of the role; or database_password: to its "
                "password",
            )

    def check(self, host: Reader) -> list[Change]:
        state = read_state(host, self.cluster)
        role = state.roles.get(self.name) if state else None
        if role is None:
            return [Change("role", "absent", "present")]
        changes = []
        if role.login != self.login:
            changes.append(Change("login", *(("yes", "no") if role.login else ("no", "yes"))))
        if self.password is not None and not _has_password(role.verifier, self.password):
            changes.append(Change("password", "another" if role.verifier else "none", "set"))
        missing = [name for name, value in self.settings.items() if f"{name}={value}" not in role.settings]
        return changes + [Change(f"setting {name}", after=self.settings[name]) for name in missing]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        new = any(change.what == "role" for change in changes)
        words = ["CREATE ROLE" if new else "ALTER ROLE", identifier(self.name), "LOGIN" if self.login else "NOLOGIN"]
        if self.password is not None and (new or any(change.what == "password" for change in changes)):
            words += ["PASSWORD", literal(self._verifier(host, self.password))]
        name = identifier(self.name)
        more = "".join(f"ALTER ROLE {name} SET {key} = {literal(value)};\n" for key, value in self.settings.items())
        execute(host, self.cluster, Secret(f"BEGIN;\n{_QUIET}{' '.join(words)};\n{more}COMMIT;\n"))

    def _verifier(self, host: Reader, password: Secret) -> str:
        state = read_state(host, self.cluster)
        if state is None:
            raise Failure(f"Postgres cluster {self.cluster} does not exist on this host")
        from encamp.resources.postgres import scram

        salt = secrets.token_bytes(scram.SALT_BYTES)
        return scram.verifier(password.reveal(), salt, scram_iterations(state))


def _has_password(verifier: Optional[Secret], password: Secret) -> bool:
    from encamp.resources.postgres import scram

    return verifier is not None and scram.matches(verifier.reveal(), password.reveal())
