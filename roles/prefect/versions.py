"""What differs between Prefect releases, in one table: setting names, commands and abilities by version.

No other file asks which version it has. Names and the releases that brought them were measured by running each
generation: a name that a release does not know is ignored without a word, and the server then runs on its defaults.

Every row is a list of (first release, value), oldest first; the last whose release is not newer counts. A value of
None or False: gone from that release on. 3.0 still has the names of 2.8; 3.1 brought new ones and reads both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from encamp.errors import SettingsError
from roles.prefect.kinds.releases import AUTH_SINCE, FLOW_RUNS, READY_SINCE, WORKERS, mismatch
from roles.prefect.kinds.releases import NEWEST as NEWEST
from roles.prefect.setting_names import NAMES as NAMES

T = TypeVar("T")
Version = tuple[int, ...]
Row = tuple[tuple[str, T], ...]
ORION = "prefect.orion.api.server:create_app"
UVICORN = ("--host", "{bind}", "--port", "{port}", "--log-level", "{log_level}")
#: Up to 2.0.4 each background service of the server takes SIGTERM for its own, too. One that has ended by itself before
#: the server asks it to end is waited for forever: a stop in six, idle, and every one while a request is answered.
SERVICES_WITHOUT_SIGNALS = (
    "import sys, uvicorn; from prefect.orion.services.loop_service import LoopService; "
    "LoopService.__init__.__defaults__ = (None, False); sys.exit(uvicorn.main())"
)
#: Names that begin so are ignored from a release on; all others go on being read when they have a successor.
DROPPED: Row[str] = (("PREFECT_ORION_", "2.13"),)
#: Names that Prefect's CLI writes in place of those above when it saves a profile, with the release that knows them.
ALSO_CALLED: Mapping[str, tuple[str, str]] = {"ephemeral": ("3.0.11", "PREFECT_SERVER_EPHEMERAL_ENABLED")}
#: The profiles that Prefect brings, from a release on. The first is its default, the others know a server.
BUILTIN_PROFILES: Row[str] = (("2.0", "default"), ("3.0", "ephemeral local test cloud"))
#: Since then clients send user and password where they have a key of Prefect Cloud, too; before, the key alone.
AUTH_BEFORE_KEY = "3.4.12"
#: What a release can do, from a release on.
ABILITIES: Mapping[str, Row[bool]] = {
    "work pools": (("2.8", True),),
    "workers": (("2.10", True),),
    #: The pull step git_clone takes a local repository; measured with 3.9.1.
    "clone": (("3.9", True),),
    #: The pull step pip_install_requirements: not in the source of 2.10.12, but in that of 2.10.17.
    "requirements": (("2.10.17", True),),
    "worker queues": (("2.10.21", True),),
    #: Measured with 2.20.26; the CLI for them came with 2.19.
    "global concurrency limits": (("2.19", True),),
    "agents": (("2.0", True), ("3.0", False)),
    #: One agent polls several queues, and makes those that are missing. Before, one queue that must exist.
    "agent queues": (("2.1", True), ("3.0", False)),
    "agent pool": (("2.8", True), ("3.0", False)),
    "agent limit": (("2.7", True), ("3.0", False)),
    #: SIGTERM to an agent or worker lets its flow runs finish; before, the signal kills the process.
    "graceful stop": (("2.20", True),),
    #: GET /api/ready, which asks the database.
    "ready": ((READY_SINCE, True),),
    "events": (("2.18", True),),
    #: Its application can be served on a socket of systemd's; measured with 3.8.8 and 3.9.1. Clients of Prefect 2 do
    #: not wait for a server that is away.
    "socket": (("3.1.13", True),),
    #: Task runs travel as events over a WebSocket, not as plain requests.
    "task runs by events": (("3.0", True),),
    "auth": ((AUTH_SINCE, True),),
    #: A client without an API URL can be told to fail instead of starting a server of its own.
    "ephemeral off": (("3.0", True),),
    "profile on the command line": (("2.0", True),),
    "config validate": (("2.8", True),),
    #: Periods in settings are written as in ISO 8601 (P30D), and not in seconds.
    "ISO periods": (("3.0", True),),
}
#: The command line for each job, from a release on. ``{word}`` stands for a value that ``command`` is given.
COMMANDS: Mapping[str, Row[tuple[str, ...]]] = {
    # `prefect orion start` and, up to 3.1.12, `prefect server start` are no programs for a service: they exit 0 when
    # the server cannot start, up to 2.7 they leave it running when they are stopped, and from 2.20.3 on they refuse
    # a port with connections in TIME_WAIT for a minute after a stop. This is what they start: one process, 100 MB less.
    "server": (
        ("2.0", ("python", "-c", SERVICES_WITHOUT_SIGNALS, "--factory", ORION, *UVICORN)),
        ("2.1", ("python", "-m", "uvicorn", "--factory", ORION, *UVICORN)),
        ("2.8", (*("python", "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"), *UVICORN)),
        ("3.1.13", ("prefect", "server", "start", "--host", "{bind}", "--port", "{port}")),
    ),
    "worker": (("2.10", ("prefect", "worker", "start", "--pool", "{pool}", "--type", "{type}", "--name", "{name}")),),
    #: ``{queue}`` is a queue's name; with "agent queues" the option may be given several times.
    "agent": (
        ("2.0", ("prefect", "agent", "start", "--hide-welcome", "{queue}")),
        ("2.1", ("prefect", "agent", "start", "--hide-welcome", "--work-queue", "{queue}")),
        ("3.0", ()),
    ),
    "database upgrade": (
        ("2.0", ("prefect", "orion", "database", "upgrade", "-y")),
        ("2.8", ("prefect", "server", "database", "upgrade", "-y")),
    ),
}
#: Where ``GET /api/admin/settings`` shows the value of a setting.
RESOLVED: Mapping[str, Row[str]] = {
    "home": (("2.0", "PREFECT_HOME"), ("3.0.11", "home")),
    "api_port": (
        ("2.0", "PREFECT_ORION_API_PORT"),
        ("2.8", "PREFECT_SERVER_API_PORT"),
        ("3.0.11", "server.api.port"),
    ),
}
#: Pythons a release runs on, where its own metadata set no upper limit: those it was tested with at the time.
PYTHON: Row[str] = (("2.0", "<3.12"), ("2.14.15", "<3.13"), ("3.4", ""))
#: The image that upstream publishes of a release. (Which was the first with Python 3.11 was not looked up.)
IMAGE: Row[str] = (("2.0", "prefecthq/prefect:{version}-python3.10"), ("2.8", "prefecthq/prefect:{version}-python3.11"))
#: What must be locked besides, to build what has no wheel: pendulum 2 came out for Python 3.9 and earlier.
BUILD: Row[tuple[str, ...]] = (("2.0", ("poetry-core", "setuptools", "wheel")), ("3.0", ()))
SUPPORTED_SINCE = "2.0"


def parse(version: str) -> Version:
    """``3.9.1`` as numbers. Raises SettingsError for anything that is not a release number."""
    words = version.split(".")
    if not 2 <= len(words) <= 3 or not all(word.isdigit() for word in words):
        raise SettingsError(f"prefect_version: {version!r} is not a release number", "write it like '3.9.1', quoted")
    return tuple(int(word) for word in words)


def has(version: str, since: str) -> bool:
    """Whether ``version`` is ``since`` or later."""
    return parse(version) >= parse(since)


def supported(version: str) -> bool:
    """Whether this encamp deploys a release."""
    return has(version, SUPPORTED_SINCE)


def within(version: str, since: str, fixed: str) -> bool:
    """Whether ``version`` is ``since`` or later, and earlier than ``fixed``."""
    return has(version, since) and not has(version, fixed)


def _of(row: Row[T], version: str) -> T | None:
    """The value of a row in a release; None before the first."""
    value = None
    for since, candidate in row:
        if has(version, since):
            value = candidate
    return value


def setting(key: str, version: str) -> str | None:
    """The environment variable that sets ``key`` in a release; None where the release has no such setting."""
    return _of(NAMES[key], version)


def since(key: str) -> str:
    """The first release with a setting (a key of NAMES) or an ability (a key of ABILITIES), for messages."""
    return NAMES[key][0][0] if key in NAMES else ABILITIES[key][0][0]


def able(ability: str, version: str) -> bool:
    """Whether a release has one of ABILITIES."""
    return bool(_of(ABILITIES[ability], version))


def environment(values: Mapping[str, T], version: str) -> dict[str, T]:
    """Settings by their names in ``version``. What the release does not have is left out."""
    named = {setting(key, version): value for key, value in values.items()}
    return {name: value for name, value in named.items() if name is not None}


def resolved(values: Mapping[str, str], version: str) -> dict[str, str]:
    """Values by their paths in ``GET /api/admin/settings`` of a release, for keys of RESOLVED."""
    return {path: value for key, value in values.items() for path in [_of(RESOLVED[key], version)] if path}


def refused(worker: str, server: str, auth: bool = False) -> str:
    """What happens where a worker or agent of a release works for a server of another; empty where it can.

    ``auth``: the server asks for user and password. Raises SettingsError for anything that is not a release number.
    """
    _ = parse(worker), parse(server)
    found = mismatch(worker, server, FLOW_RUNS, WORKERS, auth=auth)
    return found.symptom if found else ""


def python_range(version: str, declared: str) -> str:
    """The Pythons that a release runs on: what it ``declared``, such as ``>=3.8``, within what it was made for."""
    return ",".join(filter(None, (declared, _of(PYTHON, version))))


def build_tools(version: str) -> tuple[str, ...]:
    """Packages that the lock of a release needs besides, to build those without a wheel."""
    return _of(BUILD, version) or ()


def image(version: str) -> str:
    """The container image that upstream publishes of a release, by its tag."""
    return (_of(IMAGE, version) or "").format(version=version)


def command(job: str, version: str, **values: str) -> tuple[str, ...]:
    """The command line for a key of COMMANDS, program first; empty where the release has none.

    Raises KeyError when a value that the command line names is not given.
    """
    return tuple(word.format_map(values) for word in _of(COMMANDS[job], version) or ())
