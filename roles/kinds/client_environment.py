"""What on a laptop would win over the Prefect profile."""

from __future__ import annotations

import os
import re
from typing import Iterator

from encamp.resources.base import Change, Reader, Resource, kind
from roles.kinds.memory import note_once
from roles.kinds.prefect_api import without_password
from roles.kinds.user_environment import Variable, assignments, profiles_path, session, text_of, variables

EFFECTS = {
    "PREFECT_API_URL": "wins over the profile's API URL",
    "PREFECT_PROFILE": "chooses the profile, whatever is active",
    "PREFECT_PROFILES_PATH": "moves the profiles file",
    "PREFECT_HOME": "moves Prefect's home, profiles included",
    "PREFECT_API_KEY": "is a key of Prefect Cloud; sent to a server of your own it gives 401",
    "PREFECT_API_AUTH_STRING": "wins over the profile's user and password",
    "PREFECT_API_SSL_CERT_FILE": "wins over the profile's certificate authority",
}
SECRET = re.compile(r"KEY|AUTH_STRING|PASSWORD|TOKEN|SECRET|HEADERS")
#: Settings in TOML files of a project (Prefect 3.1 and later), by section and key.
TOML_NAMES = {
    "api.url": "PREFECT_API_URL",
    "api.key": "PREFECT_API_KEY",
    "api.auth_string": "PREFECT_API_AUTH_STRING",
    "api.ssl_cert_file": "PREFECT_API_SSL_CERT_FILE",
    "home": "PREFECT_HOME",
    "profiles_path": "PREFECT_PROFILES_PATH",
}


@kind
class ClientEnvironment(Resource):
    """Tells what would win over the Prefect profile: variables, .env and prefect.toml, Cloud keys. Changes nothing.

    ``api_url`` is what the profile says: a variable with the same value does no harm and is not told. ``profile`` is
    the profile encamp writes. ``projects`` are directories to look into besides the home and the one that encamp was
    started in (on this machine). ``path`` is the profiles file, where it is not Prefect's default.
    """

    name: str
    api_url: str = ""
    profile: str = ""
    projects: tuple[str, ...] = ()
    path: str = ""

    def check(self, host: Reader) -> list[Change]:
        for variable in variables(host):
            self._tell(host, variable, "")
        here = session(host).get("PWD") or host.home
        for folder in dict.fromkeys((host.home, here, *self.projects)):
            for variable in in_project(host, folder):
                self._tell(host, variable, f" for what is started in {folder}")
        for name, source in cloud_keys(text_of(host, profiles_path(host, self.path)), profiles_path(host, self.path)):
            note_once(self, host, f"{source}: profile {name} holds PREFECT_API_KEY, a key of Prefect Cloud")
        return []

    def _tell(self, host: Reader, variable: Variable, where: str) -> None:
        effect = EFFECTS.get(variable.name)
        expected = {"PREFECT_API_URL": self.api_url, "PREFECT_PROFILE": self.profile}.get(variable.name)
        if effect is None or (expected and variable.value.rstrip("/") == expected.rstrip("/")):
            return
        shown = "***" if SECRET.search(variable.name) else without_password(variable.value)
        note_once(self, host, f"{variable.source}: {variable.name}={shown} {effect}{where}")


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
