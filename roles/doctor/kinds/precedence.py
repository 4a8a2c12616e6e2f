"""Which of the possible sources sets a client's Prefect setting, by the rules of the client's own release.

The tables were seen by setting one source over the other and asking each release: 2.20, 3.0.11, 3.8.8 and 3.9.1 run;
where a release falls between them, from their sources.
"""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import Iterator, Mapping, Optional, Sequence

from encamp.resources.system import Reader
from encamp.shared.record import record, replace
from roles.client.kinds.environment import toml_settings
from roles.client.kinds.profile import edit as profile_edit
from roles.client.kinds.profile.edit import InvalidToml
from roles.prefect.kinds.releases import since
from roles.prefect.kinds.user_environment import SESSION, Variable, assignments, exists, text_of

ENVIRONMENT, DOTENV, OWN_TOML, PROJECT_TOML, PROFILE = (
    "environment",
    ".env",
    "prefect.toml",
    "pyproject.toml",
    "profile",
)
#: What a client reads a setting from, the strongest first, from a release on.
SOURCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("2.0", (ENVIRONMENT, PROFILE)),
    ("3.0", (ENVIRONMENT, DOTENV, PROFILE)),
    ("3.1", (ENVIRONMENT, DOTENV, OWN_TOML, PROJECT_TOML, PROFILE)),
)
#: What it reads the place of the profiles file from.
PLACES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("2.0", (ENVIRONMENT,)),
    ("3.1", (ENVIRONMENT, DOTENV, OWN_TOML, PROJECT_TOML)),
)
#: The profile that counts where none is chosen, or the one that is chosen is missing; and what it says.
DEFAULT_PROFILE: tuple[tuple[str, tuple[str, Mapping[str, str]]], ...] = (
    ("2.0", ("default", {})),
    ("3.0", ("ephemeral", {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true"})),
)
#: Whether a client without an API URL starts a server of its own even where nothing says so.
ALWAYS_EPHEMERAL: tuple[tuple[str, bool], ...] = (("2.0", True), ("3.0", False))
#: Whether a name that the release does not know breaks every import of Prefect.
UNKNOWN_NAME_BREAKS: tuple[tuple[str, bool], ...] = (("2.0", True), ("3.0", False))
#: Of a Cloud key and an auth string the one that is sent (3.2.15 sends the key, 3.4.25 the string).
SENT_FIRST: tuple[tuple[str, str], ...] = (("2.0", "PREFECT_API_KEY"), ("3.4", "PREFECT_API_AUTH_STRING"))
EPHEMERAL = ("PREFECT_SERVER_EPHEMERAL_ENABLED", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE")
DEFAULT = "default"


@record
class Chosen:
    """The profile in force: its name, what chose it (``file:line``, :data:`SESSION`, or "default"), its values.

    ``missing`` is the name that was chosen where there is no such profile; ``error`` what is wrong with the file.
    """

    name: str
    source: str
    values: Mapping[str, Variable]
    missing: str = ""
    error: str = ""


class ClientSettings:
    """The settings that a Prefect of ``version`` gets which this user starts in ``folder``.

    ``environment`` holds the PREFECT_* variables by name, of each the one that acts first.
    """

    def __init__(self, host: Reader, version: str, folder: str, environment: Mapping[str, Sequence[Variable]]) -> None:
        self._host, self.version, self.folder, self._environment = host, version, folder, environment

    def value(self, *names: str) -> Optional[Variable]:
        """The value in force and where it comes from; None where only Prefect's default counts."""
        return next(iter(self.all(*names)), None)

    def all(self, *names: str) -> list[Variable]:
        """Every value of a setting (by any of its names), the strongest first."""
        return list(self._from(since(SOURCES, self.version), names))

    def ignored(self, *names: str) -> list[Variable]:
        """Values in files of the folder that this release does not read, though others do."""
        unread = [source for source in SOURCES[-1][1] if source not in since(SOURCES, self.version)]
        return list(self._from(unread, names))

    def in_folder(self, folder: str) -> ClientSettings:
        """The settings that the same Prefect gets when it is started elsewhere."""
        return ClientSettings(self._host, self.version, folder, self._environment)

    @cached_property
    def profiles_path(self) -> str:
        """Where this client checks for profiles."""
        placed = next(iter(self._from(since(PLACES, self.version), ("PREFECT_PROFILES_PATH",))), None)
        if placed and placed.value:
            return self._path(placed.value)
        home = self._of_environment("PREFECT_HOME")
        return os.path.join(self._path(home.value if home and home.value else "~/.prefect"), "profiles.toml")

    @cached_property
    def profile(self) -> Chosen:
        """The profile in force."""
        text = text_of(self._host, self.profiles_path)
        try:
            read = profile_edit.read(text)
        except InvalidToml as error:
            place = f"{self.profiles_path}:{error.line}" if error.line else self.profiles_path
            return replace(self._default(), error=f"{place}: {error}")
        chosen = self._of_environment("PREFECT_PROFILE")
        if chosen and chosen.value:
            name, source = chosen.value, chosen.source
        else:
            name, source = read.active or "", f"{self.profiles_path}:{_line(text, None, 'active')}"
        if not name:
            return self._default()
        if name not in read.tables:
            return self._builtin(name, source) or replace(self._default(), missing=name, source=source)
        values = {
            key: Variable(key, profile_edit.plain(value), f"{self.profiles_path}:{_line(text, name, key)}")
            for key, value in read.tables[name].items()
        }
        return Chosen(name, source, values)

    @property
    def ephemeral(self) -> bool:
        """Whether a flow without an API URL is run against a temporary server, instead of ending with an error."""
        if since(ALWAYS_EPHEMERAL, self.version):
            return True
        setting = self.value(*EPHEMERAL)
        return setting is not None and setting.value.lower() in ("1", "true", "yes", "on", "t", "y")

    # -- the sources --------------------------------------------------------------------------------------------

    def _from(self, sources: Sequence[str], names: Sequence[str]) -> Iterator[Variable]:
        for source in sources:
            for name in names:
                yield from self._in(source, name)

    def _in(self, source: str, name: str) -> Iterator[Variable]:
        """Values of a setting in one source, the strongest first."""
        if source == ENVIRONMENT:
            yield from self._environment.get(name, ())
        elif source == PROFILE:
            found = self.profile.values.get(name)
            yield from (found,) if found else ()
        else:
            yield from reversed([one for one in self._in_folder[source] if one.name == name])

    @cached_property
    def _in_folder(self) -> Mapping[str, list[Variable]]:
        """Settings that stand in files of the folder, by file."""
        paths = {name: os.path.join(self.folder, name) for name in (DOTENV, OWN_TOML, PROJECT_TOML)}
        texts = {name: text_of(self._host, path) for name, path in paths.items()}
        return {
            DOTENV: list(assignments(texts[DOTENV], paths[DOTENV])),
            OWN_TOML: list(toml_settings(texts[OWN_TOML], paths[OWN_TOML], "")),
            PROJECT_TOML: list(toml_settings(texts[PROJECT_TOML], paths[PROJECT_TOML], "tool.prefect")),
        }

    def _of_environment(self, name: str) -> Optional[Variable]:
        return next(iter(self._environment.get(name, ())), None)

    def _builtin(self, name: str, source: str) -> Optional[Chosen]:
        """A profile that comes with Prefect counts where the file has none of that name, if it is the default one."""
        own = self._default()
        return replace(own, source=source) if name == own.name else None

    def _default(self) -> Chosen:
        name, values = since(DEFAULT_PROFILE, self.version)
        where = f"Prefect's built-in profile {name}"
        return Chosen(name, DEFAULT, {key: Variable(key, value, where) for key, value in values.items()})

    def _path(self, value: str) -> str:
        home = self._host.home
        path = re.sub(r"^(?:~|\$HOME|\$\{HOME\})(?=/|$)", lambda _: home, value)
        return os.path.normpath(os.path.join(self.folder, path))


def where_of(variable: Variable, chosen: Chosen) -> str:
    """A source for people: ``profile hosted in /home/dev/.prefect/profiles.toml:4``, or ``/home/dev/.bashrc:12``."""
    if chosen.values.get(variable.name) is variable and variable.source.startswith("/"):
        return f"profile {chosen.name} in {variable.source}"
    if variable.source == SESSION:
        return f"the environment variable {variable.name} of this session"
    return variable.source


def unknown_names(host: Reader, settings: ClientSettings, packages: str) -> list[Variable]:
    """Names in the profile that break this release (2.x stops at them); empty where it does not mind, or is unknown."""
    path = os.path.join(packages, "prefect", "settings.py")
    if not since(UNKNOWN_NAME_BREAKS, settings.version) or not packages or not exists(host, path):
        return []
    known = set(re.findall(r"^(PREFECT_[A-Z0-9_]+)\s*(?::[^=\n]+)?=", text_of(host, path), re.MULTILINE))
    return [value for name, value in settings.profile.values.items() if known and name not in known]


def _line(text: str, profile: Optional[str], key: str) -> int:
    """The line of a key in a profiles file (``profile`` None: before any table); 1 where it is written in pieces."""
    section: Optional[str] = None
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[\s*profiles\s*\.\s*[\"']?([^\"'\]]+?)[\"']?\s*\]", line)
        if header:
            section = header[1]
        elif section == profile and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return 1
