"""The checks at a client before and after the way to its server: installation, profiles, API URL, projects, disk."""

from __future__ import annotations

import os
from typing import Callable, Optional, Sequence
from urllib.parse import urlsplit

from roles.doctor.kinds.client.subject import ClientSubject
from roles.doctor.kinds.disk import check_disk
from roles.doctor.kinds.findings import Check, Finding, fail, ok, warn
from roles.doctor.kinds.network import connect, same_server
from roles.doctor.kinds.precedence import DEFAULT, ClientSettings, unknown_names
from roles.doctor.kinds.shell import other_variables, systemd_variables
from roles.prefect.kinds.api import without_password
from roles.prefect.kinds.call_errors import explain_network
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.kinds.user_environment import SESSION, Variable, profiles_path, text_of

CONFIGURE = "run `fab configure-client` for this user"
#: The database of a client's own temporary server, by its names.
DATABASE_URL = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
URL, PROFILE, KEY = "PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_API_KEY"


def check_prefect(subject: ClientSubject) -> Optional[Finding]:
    """A Prefect is installed for this user."""
    if not subject.installed:
        fix = "run `fab configure-client --install`: it installs the server's release for this user"
        return warn("Prefect is not installed for this user", "", fix)
    first, *others = subject.installed
    also = f"; also {', '.join(f'{install.version} in {install.path}' for install in others)}" if others else ""
    return ok(f"{first.version} in {first.path}{also}")


def check_profiles(subject: ClientSubject) -> Optional[Finding]:
    """The profiles file can be read, and the profile that is chosen is there."""
    settings = subject.settings
    chosen, path = settings.profile, settings.profiles_path
    if chosen.error:
        return fail(
            chosen.error, "the profiles file is not valid TOML; Prefect cannot read it", "correct that line by hand"
        )
    unknown = unknown_names(subject.host, settings, subject.packages)
    if unknown:
        what = f"{unknown[0].name} in {unknown[0].source} is unknown to Prefect {settings.version}"
        cause = "in this release, an unknown name in the active profile makes every import of Prefect fail"
        return fail(what, cause, "remove that line, or upgrade this Prefect (`prefect profile use` fails as well)")
    if chosen.missing:
        return _missing(subject)
    if chosen.source == DEFAULT:
        return ok(f"{path} sets no active profile: Prefect uses its built-in {chosen.name}")
    return ok(f"{chosen.name} is active, set by {_chooser(chosen.source)}")


def _missing(subject: ClientSubject) -> Finding:
    """The chosen profile is not there: Prefect warns, and goes on with its built-in one."""
    settings = subject.settings
    chosen = settings.profile
    by_variable = not chosen.source.startswith(settings.profiles_path + ":")
    setter = f"{PROFILE} ({_chooser(chosen.source)})" if by_variable else f"`active` in {chosen.source}"
    text = f"{setter} names the profile {chosen.missing}, which {settings.profiles_path} does not contain"
    cause = f"Prefect falls back to its built-in profile {chosen.name}" + (
        ", which starts a temporary server for each flow" if settings.ephemeral and not subject.url else ""
    )
    fix = (
        f"remove {PROFILE} there"
        if by_variable
        else f"{CONFIGURE}, or select an existing one with `prefect profile use NAME`"
    )
    return warn(text, cause, fix) if subject.url else fail(text, cause, fix)


def check_api(subject: ClientSubject) -> Optional[Finding]:
    """The URL in force, and whether it is the one that the site wants."""
    url = subject.url
    if url is None:
        return _no_url(subject)
    try:
        Endpoint.of(url.value)
    except ValueError as error:
        fix = f"write it as http://HOST:4200/api ({subject.where(url)})"
        return fail(
            str(error).replace(url.value, without_password(url.value)), "the scheme or the host is missing", fix
        )
    weaker = subject.settings.all(URL)[1:]
    wins = f"; it overrides {subject.where(weaker[0])} ({without_password(weaker[0].value)})" if weaker else ""
    text = f"{without_password(url.value)}, set by {subject.where(url)}{wins}"
    wanted = [address for address in (subject.kind.api_url, *subject.kind.others) if address]
    if subject.kind.mode in ("local", "database"):
        return warn(
            text, f"the inventory sets client_mode: {subject.kind.mode} for this client, which uses no API", CONFIGURE
        )
    if not wanted or any(
        same_server(url.value, address) or _only_path_differs(url.value, address) for address in wanted
    ):
        return ok(text)
    return fail(f"{text}: not an API of this site", *_elsewhere(subject, url))


def _only_path_differs(one: str, other: str) -> bool:
    """Whether the check of the path will say more (a missing /api) than this one."""
    root, plain = (url.rstrip("/").removesuffix("/api") for url in (one, other))
    return root == plain or same_server(root, plain)


def _elsewhere(subject: ClientSubject, url: Variable) -> tuple[str, str]:
    """Why flow runs go to another API, and what to do."""
    wanted = subject.kind.api_url
    if "prefect.cloud" in (urlsplit(url.value).hostname or ""):
        cause = f"flow runs go to Prefect Cloud, not to {wanted}"
    else:
        cause = f"flow runs go there instead of {wanted}"
    if subject.settings.profile.values.get(URL) is url:
        return cause, f"{CONFIGURE}, or `prefect profile use {subject.kind.profile or 'hosted'}`"
    return cause, _removal(subject, url)


def _removal(subject: ClientSubject, variable: Variable) -> str:
    """How to get rid of a value in a place of the user's own: the exact line."""
    if variable.source == SESSION:
        return f"run `unset {variable.name}` in this shell, and find out what sets it"
    return f"remove {variable.name} in {variable.source}" + (
        ", then log in again" if subject.where(variable).startswith("/") and "/." in variable.source else ""
    )


def _no_url(subject: ClientSubject) -> Finding:
    """No API URL: ephemeral, or nothing at all."""
    settings = subject.settings
    if subject.kind.mode == "local":
        return ok("none, as configured: each flow starts its own temporary server")
    if subject.kind.mode == "database":
        return _database(subject)
    if not subject.installed and (subject.kind.local or not subject.kind.api_url):
        return warn("no API URL is set", "", "ignore this if no flows are started on this machine")
    if settings.ephemeral:
        text = "no API URL is set: each flow run stays in the SQLite file of a temporary server"
    else:
        text = "no API URL is set, and ephemeral mode is off: flows fail with `No Prefect API URL provided`"
    return fail(text, *_why_none(subject, settings))


def _database(subject: ClientSubject) -> Finding:
    """In the mode database the flows' own temporary servers write to the one database of the site."""
    url = subject.settings.value(*DATABASE_URL)
    if url is None or url.value.startswith("sqlite"):
        text = "neither an API nor Postgres is set: flow runs stay in this machine's SQLite file"
        return fail(text, "the inventory sets client_mode: database for this client", CONFIGURE)
    parts = urlsplit(url.value)
    place = f"{parts.hostname or 'the socket'}:{parts.port or 5432}"
    try:
        if parts.hostname:
            connect(Endpoint("http", parts.hostname, parts.port or 5432)).close()
    except OSError as error:
        return fail(f"the database at {place} does not respond: {error}", *explain_network(str(error)))
    return ok(f"none, as configured: flows write to the database at {place} (set by {subject.where(url)})")


def _why_none(subject: ClientSubject, settings: ClientSettings) -> tuple[str, str]:
    """What stands in the way of a URL that is there, or that there is none at all."""
    empty = settings.value(URL)
    if empty:
        return f"{subject.where(empty)} sets {URL} to an empty value, which takes precedence", _removal(subject, empty)
    ignored = settings.ignored(URL)
    if ignored:
        cause = f"{ignored[0].source} sets it, but Prefect {settings.version} does not read that file"
        return cause, CONFIGURE
    path = settings.profiles_path
    if subject.kind.profile and f"[profiles.{subject.kind.profile}]" in text_of(subject.host, path):
        chooser = _chooser(settings.profile.source)
        cause = f"the active profile is {settings.profile.name} (set by {chooser}), which has no URL"
        return cause, f"`prefect profile use {subject.kind.profile}`"
    other = profiles_path(subject.host)
    if other != path and text_of(subject.host, other):
        return f"Prefect reads {path}, but the profiles are in {other}", "correct PREFECT_HOME or PREFECT_PROFILES_PATH"
    return (
        f"no variable, file in {settings.folder} or setting in the profile {settings.profile.name} sets it",
        CONFIGURE,
    )


def _chooser(source: str) -> str:
    return {SESSION: f"the variable {PROFILE} of this session", DEFAULT: "Prefect's default"}.get(source, source)


def check_key(subject: ClientSubject) -> Optional[Finding]:
    """No Cloud key is set beside the URL of a self-hosted server."""
    key = subject.settings.value(KEY)
    if not key or not key.value or subject.url is None or "prefect.cloud" in subject.url.value:
        return None
    cause = "it is a Prefect Cloud key; the client may send it instead of user and password"
    return warn(f"{KEY} is set by {subject.where(key)}", cause, _removal(subject, key))


def check_proxy(subject: ClientSubject) -> Optional[Finding]:
    """Prefect's client obeys proxy variables, and a proxy that does not know the server loses its requests."""
    if subject.url is None:
        return None
    others, parts = other_variables(subject.host), urlsplit(subject.url.value)
    proxy = others.get(f"{parts.scheme.upper()}_PROXY") or others.get("ALL_PROXY")
    exempt = [domain.strip().lstrip(".") for domain in others.get("NO_PROXY", "").split(",") if domain.strip()]
    name = parts.hostname or ""
    if not proxy or "*" in exempt or any(name == domain or name.endswith(f".{domain}") for domain in exempt):
        return None
    text = f"requests to {name} go through the proxy {without_password(proxy)}"
    return warn(text, "proxy variables of the session; the checks below connect directly", f"add {name} to NO_PROXY")


def check_systemd(subject: ClientSubject) -> Optional[Finding]:
    """What systemd starts for this user gets the same API URL."""
    variables = systemd_variables(subject.host)
    if URL not in variables and PROFILE not in variables:
        return None
    own = {name: [variable] for name, variable in variables.items()}
    settings = ClientSettings(subject.host, subject.settings.version, subject.host.home, own)
    return _compared(subject, settings, "services that systemd starts for this user")


def check_project(folder: str) -> Callable[[ClientSubject], Optional[Finding]]:
    """A check of another directory in which flows are started."""

    def run(subject: ClientSubject) -> Optional[Finding]:
        return _compared(subject, subject.settings.in_folder(folder), f"flows started in {folder}")

    return run


def _compared(subject: ClientSubject, settings: ClientSettings, what: str) -> Finding:
    """Whether the same URL is in force elsewhere."""
    url, usual = settings.value(URL), subject.url
    if (url.value if url else "") == (usual.value if usual else ""):
        return ok(f"{what}: same API")
    found = f"{without_password(url.value)}, set by {url.source}" if url and url.value else "no API URL"
    return warn(f"{what} use {found}", "their flow runs appear only there", "check that this is intended")


def check_room(subject: ClientSubject) -> Optional[Finding]:
    """The home, where Prefect keeps results and its own files, has room."""
    home = subject.settings.value("PREFECT_HOME")
    return check_disk([subject.host.home, *([home.value] if home and home.value.startswith("/") else [])])


#: The checks at the client itself, before the way to the server.
BEFORE: tuple[Check[ClientSubject], ...] = (
    Check("Prefect", check_prefect),
    Check("profiles", check_profiles),
    Check("API", check_api, ("profiles",)),
    Check("Cloud key", check_key, ("profiles",)),
    Check("proxy", check_proxy, ("profiles",)),
)


def after(projects: Sequence[str]) -> list[Check[ClientSubject]]:
    """The checks behind it: other contexts of the same user, and the disk."""
    others = [Check(f"in {os.path.basename(folder.rstrip('/'))}", check_project(folder)) for folder in projects[1:]]
    return [Check("systemd", check_systemd, ("profiles",)), *others, Check("disk", check_room)]
