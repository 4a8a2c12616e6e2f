"""Connection URLs of Postgres: taken apart as people give them, put together as Prefect's driver needs them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from encamp.shared.record import record
from encamp.shared.secret import Secret

DRIVER = "postgresql+asyncpg"
DEFAULT_PORT = 5432
#: off: never; prefer: where the server offers it; require: or no connection; verify: and the certificate is checked.
Tls = Literal["off", "prefer", "require", "verify"]
#: What libpq calls it, which is what providers write into the URLs that they hand out.
_MODES: dict[str, Tls] = {
    "disable": "off",
    "allow": "prefer",
    "prefer": "prefer",
    "require": "require",
    "true": "require",
    "verify-ca": "verify",
    "verify-full": "verify",
}
#: Parameters that Prefect's driver takes from a URL. Any other ends the server's start with a TypeError.
_PARAMETERS = (
    *("host", "port", "target_session_attrs", "krbsrvname", "gsslib"),
    *("statement_cache_size", "prepared_statement_cache_size"),
)
_INSTEAD = {
    "sslrootcert": "set database_ca_file: to the file of the CA",
    "sslcert": "set database_cert_file: to the file of the certificate",
    "sslkey": "set database_key:",
    "channel_binding": "remove it: Prefect's driver does not support channel binding",
    "application_name": "set it with server_environment",
    "options": "remove it",
}
#: What may stand unencoded before the @ (RFC 3986).
_USERINFO = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*")
_ENCODED = (
    "percent-encode each character of user and password that is not a letter or digit (@ is %40, / is %2F, % is %25)"
)
_PLAIN_NAME = "use a database whose name has only letters, digits, - and _"


@record
class Connection:
    """How to reach a database. ``host`` is a name, an address or a socket's directory; empty: see ``parameters``.

    ``tls`` is None where the URL says nothing of it.
    """

    user: str
    password: Secret | None
    host: str
    port: int
    database: str
    tls: Tls | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def cluster(self) -> str:
        """Identifies a Postgres by its URL: equal texts mean the same one."""
        return f"{self.host.lower()}:{self.port}" if self.host else repr(sorted(self.parameters))

    def url(self) -> str | Secret:
        """The URL for Prefect, everything percent-encoded; a Secret where there is a password. TLS is left out."""
        return self._text(DRIVER, self.parameters)

    def dsn(self) -> str | Secret:
        """The same for the driver alone, which knows no parameters of SQLAlchemy's."""
        kept = tuple((name, value) for name, value in self.parameters if not name.endswith("_cache_size"))
        return self._text("postgresql", kept)

    def _text(self, scheme: str, parameters: Sequence[tuple[str, str]]) -> str | Secret:
        login = quote(self.user, safe="")
        if self.password is not None:
            login += f":{quote(self.password.reveal(), safe='')}"
        text = f"{scheme}://{login}@{self._place}/{quote(self.database, safe='')}{self._query(parameters)}"
        return Secret(text) if self.password is not None else text

    @property
    def _place(self) -> str:
        if not self.host or self.host.startswith("/"):
            return ""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def _query(self, others: Sequence[tuple[str, str]]) -> str:
        parameters = list(others)
        if self.host.startswith("/"):
            parameters.insert(0, ("host", self.host))
            parameters += [("port", str(self.port))] if self.port != DEFAULT_PORT else []
        return "?" + "&".join(f"{name}={quote(value, safe='/:,')}" for name, value in parameters) if parameters else ""


def parse(given: Secret) -> Connection:
    """Take a URL apart. Raises ValueError, which never repeats any part of it, with (problem, fix) as its arguments."""
    text = given.reveal()
    scheme, separator, rest = text.partition("://")
    _check_scheme(scheme if separator else "")
    _check_encoding(rest)
    parts = urlsplit(f"postgresql://{rest}")
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        raise _problem("has a port that is not a number from 1 to 65535", _ENCODED) from None
    login, at, _ = parts.netloc.rpartition("@")
    user, colon, password = login.partition(":")
    if not at or not user:
        raise _problem("names no user", "write it as postgresql://user:password@host:port/database")
    database = parts.path[1:]
    if "%" in database:  # SQLAlchemy decodes user and password only
        raise _problem("has a percent-encoded database name, which Prefect does not decode", _PLAIN_NAME)
    if not database or "/" in database:
        raise _problem("names no database", "write it as postgresql://user:password@host:port/database")
    tls, parameters = _parameters(parts.query)
    host, port = _socket(parts.hostname or "", port, parameters)
    if not host and "host" not in dict(parameters):
        raise _problem("names no host", "write it as postgresql://user:password@host:port/database")
    left = () if host.startswith("/") else tuple(parameters)
    return Connection(unquote(user), Secret(unquote(password)) if colon else None, host, port, database, tls, left)


def _check_scheme(scheme: str) -> None:
    base, _, driver = scheme.partition("+")
    if base == "sqlite":
        raise _problem(
            "is a SQLite URL", "set database: sqlite instead: the file is then created in the instance's home"
        )
    if base not in ("postgresql", "postgres"):
        raise _problem("is not a Postgres URL", "write it as postgresql://user:password@host:port/database")
    if driver not in ("", "asyncpg"):
        raise _problem(f"names the driver {driver}, which Prefect does not support", f"write it as {DRIVER}://...")


def _check_encoding(rest: str) -> None:
    """Find what would be cut in the wrong place: a @, /, ?, # or % of a password that is not percent-encoded."""
    if any(char.isspace() or not char.isprintable() for char in rest):
        raise _problem("contains a space or an unprintable character", _ENCODED)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    beyond = rest[len(authority) :]
    login, at, place = authority.rpartition("@")
    broken = "#" in beyond or (not at and "@" in beyond) or "@" in beyond.partition("?")[0]
    if broken or not _USERINFO.fullmatch(login) or re.search(r"%(?![0-9A-Fa-f]{2})", place + beyond):
        raise _problem("has characters in its user or password that are not percent-encoded", _ENCODED)


def _parameters(query: str) -> tuple[Tls | None, list[tuple[str, str]]]:
    """What the URL says of TLS, and its other parameters."""
    tls: Tls | None = None
    kept = []
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in ("ssl", "sslmode"):
            if value.lower() not in _MODES:
                raise _problem(f"has an unknown {name}", f"use one of {', '.join(_MODES)}, or database_tls")
            tls = _MODES[value.lower()]
        elif name in _PARAMETERS:
            kept.append((name, value))
        else:
            known = name if name in _INSTEAD else "a parameter"  # an unknown word may be a piece of a password
            raise _problem(f"has {known} that Prefect's driver does not accept", _INSTEAD.get(name, "remove it"))
    return tls, kept


def _socket(host: str, port: int, parameters: Sequence[tuple[str, str]]) -> tuple[str, int]:
    """Host and port, where the URL names a socket's directory as a parameter."""
    named = dict(parameters)
    if host or not named.get("host", "").startswith("/"):
        return host, port
    return named["host"], int(named["port"]) if named.get("port", "").isdigit() else port


def _problem(what: str, fix: str) -> ValueError:
    return ValueError(what, fix)
