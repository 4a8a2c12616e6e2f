"""The inventory's lines that continue a hand-made server: its release, address, data, access and settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from encamp.errors import SettingsError
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.shared.secret_names import is_secret
from roles.adopt.discovery import Discovery
from roles.adopt.kinds.database_place import FILE, IN_CONTAINER
from roles.adopt.kinds.keeper import CONTAINER
from roles.database import url as database_url
from roles.network.address_checks import is_loopback
from roles.prefect import versions
from roles.prefect.layout import Layout

_NOWHERE = ("", "0.0.0.0", "::", "localhost")
#: What a server's settings begin with, by release. The rest is the client's.
_SERVERS = (
    *("PREFECT_SERVER_", "PREFECT_ORION_", "PREFECT_API_SERVICES_", "PREFECT_API_DATABASE_", "PREFECT_UI_"),
    *("PREFECT_EVENTS_", "PREFECT_SQLALCHEMY_", "PREFECT_TASK_SCHEDULING_", "PREFECT_API_DEFAULT_LIMIT"),
)
#: Settings of ``versions.NAMES`` that server_environment may set; encamp sets the others itself.
_FREE = ("ui_enabled", "scheduler_round", "metrics", "database_timeout", "database_connection_timeout")
#: What a release makes its database's URL of, where none is set; encamp sets that URL.
_PARTS_OF_URL = tuple(f"PREFECT_SERVER_DATABASE_{part}" for part in ("DRIVER", "HOST", "PORT", "USER", "NAME"))
#: Values that say nothing: no text, and lists and maps without an item.
_EMPTY = ("", "[]", "{}", "()", "set()")
#: Without its key no block of the server can be read again. Elsewhere the key is in the database.
KEYS = ("PREFECT_SERVER_ENCRYPTION_KEY", "PREFECT_API_ENCRYPTION_KEY", "ORION_ENCRYPTION_KEY")


@record
class Lines:
    """What to write: settings in their order, secrets by the file that keeps each, and what an operator must know."""

    settings: Mapping[str, Any]
    secrets: Mapping[str, Secret]
    notes: Sequence[str]


def lines_for(host: str, found: Discovery, has_address: bool) -> Lines:
    """The lines for ``host``. ``has_address``: whether the inventory knows an address of it that clients can use.

    Raises SettingsError for a server that encamp cannot continue.
    """
    _check(found)
    secrets: dict[str, Secret] = {}

    def kept(what: str, value: Secret) -> dict[str, str]:
        name = f"secrets/adopted-{host}-{what}"
        secrets[name] = value
        return {"file": name}

    settings: dict[str, Any] = {"adopt": found.name, "prefect_version": found.release}
    if found.user == Layout().user:
        settings["service_user"] = found.user  # an account of that name is not encamp's to change
    settings.update(_address(found, has_address))
    if found.place == FILE:
        settings["database"] = "sqlite"
    elif found.place == IN_CONTAINER:
        settings["database"] = "postgres"
    elif found.database_url:
        settings["database_url"] = kept("database-url", found.database_url)
    if found.auth:
        settings["auth"] = kept("auth", found.auth)
    if _true(found, "csrf"):
        settings["csrf"] = True
    environment: dict[str, Any] = {}
    for name, value in _environment(found):
        secret = is_secret(name, value.reveal())
        environment[name] = kept(name.lower().replace("_", "-"), value) if secret else value.reveal()
    environment.update({name: kept("encryption-key", found.given[name]) for name in KEYS if name in found.given})
    if environment:
        settings["server_environment"] = environment
    workers = _workers(found)
    if workers:
        settings["workers"] = workers
    return Lines(settings, secrets, list(_notes(found, has_address)))


def _check(found: Discovery) -> None:
    """Raises SettingsError."""
    if found.obstacle:
        raise SettingsError(found.obstacle, found.remedy)
    if not found.release:
        raise SettingsError(
            f"{found.name}: its installation did not answer: {found.problem.splitlines()[-1] if found.problem else ''}",
            "start it, or repair its environment, then run `fab adopt` again",
        )
    if not versions.supported(found.release):
        raise SettingsError(
            f"{found.name} is Prefect {found.release}", f"encamp continues {versions.SUPPORTED_SINCE} and later"
        )
    if found.unread:
        raise SettingsError(
            f"{found.name}: its database {found.database} could not be read: {found.unread}",
            "without its data there is nothing to continue: start the database, then run `fab adopt` again",
        )
    if not found.sqlite and found.database_url and found.place != IN_CONTAINER:
        try:
            database_url.parse(found.database_url)
        except ValueError as error:
            problem, fix = error.args
            raise SettingsError(f"{found.name}: its database URL {problem}", fix) from None


def _address(found: Discovery, has_address: bool) -> Iterator[tuple[str, Any]]:
    """Port and address, where they are not encamp's default."""
    if found.port != 4200:
        yield "port", found.port
    if found.bind not in _NOWHERE:
        yield "bind", found.bind
    public = public_url(found)
    if public:
        yield "public_url", public
    elif not has_address and is_loopback(found.bind):
        yield "public_url", f"http://localhost:{found.port}"


def public_url(found: Discovery) -> str:
    """The address that its owner gave to clients and to the UI; empty where it names none that leads anywhere."""
    for url in (found.ui_api_url, found.api_url):
        parts = urlsplit(url)
        name = parts.hostname or ""
        if parts.scheme in ("http", "https") and name not in _NOWHERE and not is_loopback(name):
            if found.project and "." not in name and found.api_url == url:
                continue  # a service's name in the network of its Compose project
            return url.rstrip("/").removesuffix("/api")
    return ""


def _true(found: Discovery, key: str) -> bool:
    name = versions.setting(key, found.release)
    given = found.given.get(name or "")
    return given is not None and given.reveal().lower() in ("1", "true", "yes", "on")


def _names(found: Discovery) -> list[str]:
    managed = {name for key, row in versions.NAMES.items() if key not in _FREE for _, name in row}
    left = (*managed, *_PARTS_OF_URL, *KEYS, *(name for _, name in versions.ALSO_CALLED.values()))
    return [name for name in sorted(found.given) if name.startswith(_SERVERS) and name not in left]


def _environment(found: Discovery) -> Iterator[tuple[str, Secret]]:
    """The owner's further settings of the server; those for Redis have no use in encamp's single process.

    Without a value a setting has its default, and some are refused so.
    """
    for name in _names(found):
        value = found.given[name].reveal()
        if value not in _EMPTY and "redis" not in value.lower():
            yield name, found.given[name]


def _workers(found: Discovery) -> list[dict[str, Any]]:
    """Workers inside the server's own Compose project: they cannot reach it by its service's name any more."""
    if not found.project:
        return []
    pools = [pool for job, _, kind, pool, _ in found.runners if job == "worker" and kind == CONTAINER and pool]
    return [
        {"pool": pool, "count": pools.count(pool)} if pools.count(pool) > 1 else {"pool": pool}
        for pool in dict.fromkeys(pools)
    ]


def _notes(found: Discovery, has_address: bool) -> Iterator[str]:
    if not public_url(found) and not has_address and not is_loopback(found.bind):
        yield "set public_url: its clients' address is in none of its settings"
    if found.kind == CONTAINER:
        yield (
            f"{found.name} becomes a service of the host; image and Compose file stay, "
            "`docker compose up` would start them again"
        )
    if found.place == IN_CONTAINER:
        yield "its Postgres is dumped and restored into one of the host's own; the container and its volume stay"
    elif not found.sqlite:
        yield "its database is used where it is, with the same role and password"
    for name in _names(found):
        value = found.given[name].reveal()
        if "redis" in value.lower():
            yield f"{name} is left out: encamp's server is one process and uses no Redis"
        elif value in _EMPTY:
            yield f"{name} is left out: it is empty"
    for path in found.drop_ins:
        yield f"the drop-in {path} is not carried over: read what it sets"
    for job, keeper, _, pool, url in found.runners:
        if job in ("worker", "agent"):
            polls = f" of pool {pool}" if pool else ""
            yield f"{job} {keeper}{polls} is left as it is ({'API ' + url if url else 'API of its profile'})"
