"""What on a laptop overrides the Prefect profile, or still points elsewhere."""

from __future__ import annotations

import os
import re
from typing import Iterator

from encamp.resources.base import Change, Refused, Resource, kind
from encamp.resources.system import Reader
from roles.prefect.kinds.api import without_password
from roles.prefect.kinds.installs import installed
from roles.prefect.kinds.memory import note_once
from roles.prefect.kinds.releases import version_key
from roles.prefect.kinds.user_environment import Variable, assignments, profiles_path, session, text_of, variables

#: What each variable does to a client, whatever it is to use.
EFFECTS = {
    "PREFECT_PROFILE": "overrides the active profile",
    "PREFECT_PROFILES_PATH": "changes the location of the profiles file",
    "PREFECT_HOME": "changes Prefect's home, including the profiles",
}
DATABASE_URL = re.compile(r"^PREFECT_(?:ORION|API|SERVER)_DATABASE_CONNECTION_URL$")
EPHEMERAL = ("PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "PREFECT_SERVER_EPHEMERAL_ENABLED")
#: What else matters to a client of each mode.
EFFECTS_BY_MODE = {
    "hosted": {
        "PREFECT_API_URL": "overrides the profile's API URL",
        "PREFECT_API_KEY": "is a Prefect Cloud key; a self-hosted server with auth may answer it with 401",
        "PREFECT_API_AUTH_STRING": "overrides the profile's user and password",
        "PREFECT_API_SSL_CERT_FILE": "overrides the profile's certificate authority",
    },
    "database": {
        "PREFECT_API_URL": "takes precedence: flow runs go to that API instead of the database",
        "database": "overrides the profile's connection URL",
        "ephemeral": "disables the temporary API that this mode needs",
    },
    "local": {
        "PREFECT_API_URL": "still sends flow runs to that API",
        "database": "still sends flow runs to that database",
        "ephemeral": "disables the temporary API that this mode needs",
    },
}
SECRET = re.compile(r"KEY|AUTH_STRING|PASSWORD|TOKEN|SECRET|HEADERS|CONNECTION_URL")
#: Settings in TOML files of a project (Prefect 3.1 and later), by section and key.
TOML_NAMES = {
    "api.url": "PREFECT_API_URL",
    "api.key": "PREFECT_API_KEY",
    "api.auth_string": "PREFECT_API_AUTH_STRING",
    "api.ssl_cert_file": "PREFECT_API_SSL_CERT_FILE",
    "home": "PREFECT_HOME",
    "profiles_path": "PREFECT_PROFILES_PATH",
    "server.database.connection_url": "PREFECT_SERVER_DATABASE_CONNECTION_URL",
    "server.ephemeral.enabled": "PREFECT_SERVER_EPHEMERAL_ENABLED",
    "client.csrf_support_enabled": "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED",
}


@kind
class ClientEnvironment(Resource):
    """Reports what overrides the Prefect profile: variables, .env and prefect.toml, Cloud keys. Changes nothing.

    ``mode`` is what the client is to use: hosted, database or local. ``api_url`` is what the profile says: a variable
    with the same value is harmless and not reported. ``profile`` is the profile encamp writes. ``auth_before_key``: the
    server asks for user and password, and a client before that release sends a Cloud key of the environment in their
    place, which is refused. ``projects`` are directories to look into besides the home and the one that encamp was
    started in (on this machine). ``path`` is the profiles file, where it is not Prefect's default.
    """

    name: str
    api_url: str = ""
    profile: str = ""
    projects: tuple[str, ...] = ()
    path: str = ""
    mode: str = "hosted"
    auth_before_key: str = ""

    def check(self, host: Reader) -> list[Change]:
        for variable in variables(host):
            self._refuse_key(host, variable)
            self._report(host, variable, "")
        here = session(host).get("PWD") or host.home
        for folder in dict.fromkeys((host.home, here, *self.projects)):
            for variable in in_project(host, folder):
                self._report(host, variable, f" for flows started in {folder}")
        for name, source in cloud_keys(text_of(host, profiles_path(host, self.path)), profiles_path(host, self.path)):
            if self.mode == "hosted" and name != self.profile:  # from that one it is taken away
                note_once(self, host, f"{source}: profile {name} contains PREFECT_API_KEY, a Prefect Cloud key")
        return []

    def _refuse_key(self, host: Reader, variable: Variable) -> None:
        if not self.auth_before_key or variable.name != "PREFECT_API_KEY" or not variable.value:
            return
        old = [
            install for install in installed(host) if version_key(install.version) < version_key(self.auth_before_key)
        ]
        if old:
            raise Refused(
                f"{variable.source}: PREFECT_API_KEY, a Prefect Cloud key, is set in this user's environment",
                f"Prefect {old[0].version} sends it instead of user and password, and the server answers 401",
                "remove it there (unset PREFECT_API_KEY), or move it to a separate profile for Prefect Cloud; "
                "nothing was changed",
            )

    def _report(self, host: Reader, variable: Variable, where: str) -> None:
        effect = self._effect(variable)
        expected = {"PREFECT_API_URL": self.api_url, "PREFECT_PROFILE": self.profile}.get(variable.name)
        if not effect or (expected and variable.value.rstrip("/") == expected.rstrip("/")):
            return
        shown = "***" if SECRET.search(variable.name) else without_password(variable.value)
        note_once(self, host, f"{variable.source}: {variable.name}={shown} {effect}{where}")

    def _effect(self, variable: Variable) -> str:
        """What a variable does to this client; empty for what does not matter to it."""
        effects = EFFECTS_BY_MODE[self.mode]
        if DATABASE_URL.match(variable.name):
            return effects.get("database", "")
        if variable.name in EPHEMERAL:
            off = variable.value.lower() in ("false", "0", "no", "off", "f", "n")
            return effects.get("ephemeral", "") if off else ""
        return effects.get(variable.name) or EFFECTS.get(variable.name, "")


def in_project(host: Reader, folder: str) -> Iterator[Variable]:
    """Settings that Prefect takes from files in the directory a flow is started in."""
    dotenv = os.path.join(folder, ".env")
    yield from assignments(text_of(host, dotenv), dotenv)
    own = os.path.join(folder, "prefect.toml")
    yield from toml_settings(text_of(host, own), own, "")
    project = os.path.join(folder, "pyproject.toml")
    yield from toml_settings(text_of(host, project), project, "tool.prefect")


def toml_settings(text: str, path: str, root: str) -> Iterator[Variable]:
    """Settings below ``root`` that matter to a client, with their lines. Reads line by line: the line is the answer."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*([^\[\]]+?)\s*\]", line)
        if header:
            section = re.sub(r"[\s\"']", "", header[1])
            continue
        pair = re.match(r"\s*([\w.\-\"']+)\s*=\s*[\"']?([^\"'#]*)", line)
        if not pair:
            continue
        full = ".".join(part for part in (section, re.sub(r"[\"']", "", pair[1])) if part)
        inside = full[len(root) + 1 :] if root and full.startswith(root + ".") else full if not root else ""
        name = TOML_NAMES.get(inside)
        if name:
            yield Variable(name, pair[2].strip(), f"{path}:{number}")


def cloud_keys(text: str, path: str) -> Iterator[tuple[str, str]]:
    """Profiles that hold a Cloud key, with ``file:line``."""
    profile = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*profiles\s*\.\s*[\"']?([^\"'\]]+?)[\"']?\s*\]", line)
        if header:
            profile = header[1]
        elif re.match(r"\s*\"?PREFECT_API_KEY\"?\s*=", line):
            yield profile, f"{path}:{number}"
