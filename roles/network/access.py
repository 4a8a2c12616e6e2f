"""Who may use an instance: basic auth, CSRF, CORS, telemetry; and that it is not open to the world by mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from encamp.errors import SettingsError
from encamp.planning.plan import Item
from encamp.secrets.store import FOLDER, file_name
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from encamp.support import quoting
from roles.network import address, firewall
from roles.network.address_checks import is_address
from roles.network.kinds.exposure import BOTH, WILDCARDS, Exposure, is_public
from roles.prefect import versions
from roles.prefect.kinds.api_auth import ApiAuth
from roles.prefect.layout import Layout
from roles.prefect.release import prefect_version

#: The user of an auth string that encamp makes itself.
USER = "admin"
MEANT = "auth: auto, or allowed_sources: [networks of your clients]; expose_without_auth: true if that is meant"
#: What server_environment must not set: clients, workers and probes would not know of it.
MANAGED = ("server_auth", "csrf", "cors_origins", "cors_methods", "cors_headers")


def _origins(value: Any) -> str | None:
    for item in value:
        parts = urlsplit(item)
        wanted = f"{parts.scheme}://{parts.netloc}"
        if item != "*" and (parts.scheme not in ("http", "https") or item != wanted or re.search(r"[\s,@]", item)):
            return f"{item!r} is no origin such as https://prefect.example.com:4200 (no path, no / at the end)"
    return None


def _tokens(value: Any) -> str | None:
    wrong = [item for item in value if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", item)]
    return f"{wrong[0]!r} is no single word of HTTP" if wrong else None


@record
class Settings:
    """Access and telemetry."""

    auth: Literal["auto", "off"] | Secret = setting(
        "off",
        "Basic auth of the API, in step on server, workers and clients. auto: generated on the first deploy and kept "
        "beside the inventory, in secrets/ (none where the release has no auth). Or where to find `user:password`.",
        example="{file: ~/prefect-auth}",
    )
    auth_renew: bool = setting(
        False, "Let a deploy replace a generated auth string that is on the host, but not on this machine."
    )
    expose_without_auth: bool = setting(
        False, "Deploy a server on a public address even without auth and without allowed_sources."
    )
    csrf: bool = setting(False, "Whether the API asks for CSRF tokens. Clients know them since Prefect 2.16.5.")
    cors_allowed_origins: tuple[str, ...] = setting(
        (),
        "Origins whose pages may call the API from a browser. Empty: Prefect's own default, everyone.",
        check=_origins,
        example="[https://prefect.example.com]",
    )
    cors_allowed_methods: tuple[str, ...] = setting(
        (), "HTTP methods that such pages may use. Empty: all.", check=_tokens, example="[GET, POST]"
    )
    cors_allowed_headers: tuple[str, ...] = setting(
        (), "HTTP headers that such pages may send. Empty: all.", check=_tokens, example="[Authorization]"
    )
    analytics: bool = setting(
        False, "Whether the server, and with it every SDK that uses it, may send usage telemetry to Prefect."
    )


def auth(server: SiteHost, site: Site) -> Secret | None:
    """``user:password`` of a server's API; None where it has none. Raises SettingsError for one that cannot work."""
    given, known = _given(server), versions.able("auth", _release(server))
    if given is not None and not known:
        raise _unknown(server, "auth", "auth")
    if given is not None or server.settings(Settings).auth == "off" or not known:
        return given
    return Secret(f"{USER}:{site.generated(secret_name(server)).reveal()}")


def _given(host: SiteHost) -> Secret | None:
    """The operator's own auth string. Raises SettingsError for one that cannot work."""
    given = host.settings(Settings).auth
    problem = auth_problem(given.reveal()) if isinstance(given, Secret) else None
    if problem:
        raise SettingsError(f"{host.name}: auth {problem}", "write user:password", host.origin("auth"))
    return given if isinstance(given, Secret) else None


def secret_name(server: SiteHost) -> str:
    """The name of a generated password in the site's store."""
    return f"{server.name}/{server.instance}/api-auth"


def kept_in(server: SiteHost) -> str:
    """The file with a generated password, relative to the inventory; empty where the auth is not generated."""
    return f"{FOLDER}/{file_name(secret_name(server))}" if server.settings(Settings).auth == "auto" else ""


def auth_problem(text: str) -> str | None:
    """What is wrong with an auth string; None for one that works everywhere. Never repeats it.

    Prefect's server compares with ``hmac.compare_digest``, which takes ASCII only: with any other letter each request
    ends as an internal error. Quotes around a value, as people copy them from a shell, become part of the password.
    """
    if not all(" " <= letter <= "~" for letter in text):
        return "holds something else than printable ASCII characters, which Prefect cannot compare"
    if text != text.strip():
        return "begins or ends with a space"
    if text[:1] in "'\"" or text[-1:] in "'\"":
        return "begins or ends with a quotation mark, which would become part of it"
    user, colon, password = text.partition(":")
    if not colon:
        return "has no colon between user and password"
    return None if user and password else "has an empty user or password"


def server_settings(host: SiteHost, site: Site) -> Mapping[str, str | Secret]:
    """What the server is told of access, by the keys of ``versions.NAMES``.

    Raises SettingsError for a setting that its release does not know: it would be ignored without a word.
    """
    settings, secret = host.settings(Settings), auth(host, site)
    chosen: dict[str, tuple[str, str]] = {
        "csrf": ("csrf", "true" if settings.csrf else ""),
        "cors_origins": ("cors_allowed_origins", ",".join(settings.cors_allowed_origins)),
        "cors_methods": ("cors_allowed_methods", ",".join(settings.cors_allowed_methods)),
        "cors_headers": ("cors_allowed_headers", ",".join(settings.cors_allowed_headers)),
    }
    values: dict[str, str | Secret] = {"analytics": str(settings.analytics).lower()}
    for key, (name, value) in chosen.items():
        if value and versions.setting(key, _release(host)) is None:
            raise _unknown(host, name, key)
        values |= {key: value} if value else {}
    return values if secret is None else {**values, "server_auth": secret}


def client_settings(server: SiteHost, site: Site) -> Mapping[str, str | Secret]:
    """What workers and clients of ``server`` are told of access, by the keys of ``versions.NAMES``."""
    secret, csrf = auth(server, site), server.settings(Settings).csrf
    values: dict[str, str | Secret] = {"client_csrf": "true"} if csrf else {}
    return values if secret is None else {**values, "client_auth": secret}


def foreign_settings(client: SiteHost) -> Mapping[str, str | Secret]:
    """What a client is told of an API that is none of this site's: the auth string in its own settings, if any."""
    given = _given(client)
    return {} if given is None else {"client_auth": given}


def worker_expectations(host: SiteHost, server: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before a worker is changed: it is not given another secret than its server has.

    Raises SettingsError for a release that the server would turn away.
    """
    _check_client(host, server, site)
    secret, layout = auth(server, site), Layout(host.instance)
    name = versions.setting("client_auth", _release(host))
    if name and secret is not None and kept_in(server):
        line, renew, known = _line(name, secret), server.settings(Settings).auth_renew, _known(name, server, site)
        key = f"{layout.name} worker"
        yield ApiAuth(key, layout.worker_env, name, line, kept_in(server), renew, known=known)


def _check_client(host: SiteHost, server: SiteHost, site: Site) -> None:
    words = {"client_auth": "basic auth", "client_csrf": "CSRF tokens"}
    for what, since in [(words[key], versions.since(key)) for key in client_settings(server, site)]:
        if not versions.has(_release(host), since):
            raise SettingsError(
                f"{host.name}: Prefect {_release(host)} knows no {what}, and {server.name} asks for it",
                f"set prefect_version: of the worker to {since} or later",
                host.origin("prefect_version"),
            )


def expectations(host: SiteHost, site: Site) -> Iterator[Item]:
    """What must hold before anything is changed: who is locked out is told, and nothing is opened to the world."""
    secret, layout, settings = auth(host, site), Layout(host.instance), host.settings(Settings)
    name = versions.setting("server_auth", _release(host))
    if name:
        line, generated = (_line(name, secret), kept_in(host)) if secret else (None, "")
        known = _known(name, host, site) if generated else ()
        yield ApiAuth(layout.name, layout.server_env, name, line, generated, settings.auth_renew, True, known)
    if secret is None and not settings.expose_without_auth:
        yield _exposure(host)


def _line(name: str, secret: Secret) -> Secret:
    """The line of an environment file."""
    return Secret(f"{name}={quoting.env_value(secret.reveal())}")


def _known(name: str, server: SiteHost, site: Site) -> tuple[Secret, ...]:
    """The lines that hosts may still have while a generated auth string is rotated."""
    values = site.other_values(secret_name(server))
    return tuple(_line(name, Secret(f"{USER}:{value.reveal()}")) for value in values)


def _exposure(host: SiteHost) -> Exposure:
    """The look at the host's own addresses. Raises SettingsError where the inventory tells already that it is public.

    The address that we log in to tells nothing of a server which listens on one address only.
    """
    where, sources = host.settings(address.Settings), firewall.limit(host)
    bind, port = address.outside(host)
    public = address.public(host).host
    given = [("public_url", public)] if where.public_url else []
    given += [("ansible_host", host.inventory.address)] if bind in (*WILDCARDS, BOTH) else []
    for key, name in [*given, ("bind", bind)]:
        same_family = bind not in WILDCARDS or (":" in name) == (":" in bind)
        if is_public(name) and same_family and not sources:
            reason = f"{host.name}: {name} is a public address, and the API has neither auth nor a limit of sources"
            raise SettingsError(reason, f"set {MEANT}", host.origin(key))
    names = tuple(dict.fromkeys(name for _, name in given if name and not is_address(name)))
    return Exposure(Layout(host.instance).name, bind, port, names, sources)


def _unknown(host: SiteHost, name: str, key: str) -> SettingsError:
    return SettingsError(
        f"{host.name}: {name} has no effect on Prefect {_release(host)}, which knows it since {versions.since(key)}",
        f"set a later prefect_version, or remove {name}",
        host.origin(name),
    )


def _release(host: SiteHost) -> str:
    return prefect_version(host)
