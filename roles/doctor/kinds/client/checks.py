"""The looks at a client before and after the way to its server: installation, profiles, API URL, projects, disk."""

from __future__ import annotations

import os
from typing import Callable, Optional, Sequence
from urllib.parse import urlsplit

from roles.doctor.kinds.client.subject import Patient
from roles.doctor.kinds.disk import see_disk
from roles.doctor.kinds.findings import Finding, Look, fail, ok, warn
from roles.doctor.kinds.network import Endpoint, connect, same_server
from roles.doctor.kinds.precedence import DEFAULT, ClientSettings, unknown_names
from roles.doctor.kinds.shell import other_variables, systemd_variables
from roles.prefect.kinds.api import explain_network, without_password
from roles.prefect.kinds.user_environment import SESSION, Variable, profiles_path, text_of

CONFIGURE = "run `fab configure-client` for this user"
#: The database of a client's own temporary server, by its names.
DATABASE_URL = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
URL, PROFILE, KEY = "PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_API_KEY"


def see_prefect(patient: Patient) -> Optional[Finding]:
    """A Prefect is installed for this user."""
    if not patient.installed:
        fix = "`fab configure-client --install` gives this user one of the server's release"
        return warn("no Prefect found for this user", "", fix)
    first, *others = patient.installed
    also = f"; also {', '.join(f'{one.version} in {one.path}' for one in others)}" if others else ""
    return ok(f"{first.version} in {first.path}{also}")


def see_profiles(patient: Patient) -> Optional[Finding]:
    """The profiles file can be read, and the profile that is chosen is there."""
    settings = patient.settings
    chosen, path = settings.profile, settings.profiles_path
    if chosen.error:
        return fail(
            chosen.error, "the profiles file is not valid TOML; Prefect stops at it", "correct that line by hand"
        )
    unknown = unknown_names(patient.host, settings, patient.packages)
    if unknown:
        what = f"{unknown[0].name} in {unknown[0].source} is unknown to Prefect {settings.version}"
        cause = "in this release an unknown name in the active profile breaks every import of Prefect"
        return fail(what, cause, "remove that line, or upgrade this Prefect (`prefect profile use` crashes, too)")
    if chosen.missing:
        return _missing(patient)
    if chosen.source == DEFAULT:
        return ok(f"none is chosen in {path}: Prefect's built-in {chosen.name} counts")
    return ok(f"{chosen.name} is active, by {_chooser(chosen.source)}")


def _missing(patient: Patient) -> Finding:
    """The chosen profile is not there: Prefect warns, and goes on with its built-in one."""
    settings = patient.settings
    chosen = settings.profile
    by_variable = not chosen.source.startswith(settings.profiles_path + ":")
    setter = f"{PROFILE} ({_chooser(chosen.source)})" if by_variable else f"`active` in {chosen.source}"
    text = f"{setter} names the profile {chosen.missing}, and {settings.profiles_path} has none of that name"
    cause = f"Prefect falls back on its built-in profile {chosen.name}" + (
        ", which starts a temporary server for each flow" if settings.ephemeral and not patient.url else ""
    )
    fix = f"remove {PROFILE} there" if by_variable else f"{CONFIGURE}, or `prefect profile use` one that exists"
    return warn(text, cause, fix) if patient.url else fail(text, cause, fix)


def see_api(patient: Patient) -> Optional[Finding]:
    """The URL in force, and whether it is the one that the site wants."""
    url = patient.url
    if url is None:
        return _no_url(patient)
    try:
        Endpoint.of(url.value)
    except ValueError as error:
        fix = f"write it as http://HOST:4200/api ({patient.where(url)})"
        return fail(str(error).replace(url.value, without_password(url.value)), "it lacks its scheme or its host", fix)
    weaker = patient.settings.all(URL)[1:]
    wins = f"; it wins over {patient.where(weaker[0])} ({without_password(weaker[0].value)})" if weaker else ""
    text = f"{without_password(url.value)}, by {patient.where(url)}{wins}"
    wanted = [one for one in (patient.kind.api_url, *patient.kind.others) if one]
    if patient.kind.mode in ("local", "database"):
        return warn(
            text, f"the site wants this client to be in the mode {patient.kind.mode}, without an API", CONFIGURE
        )
    if not wanted or any(same_server(url.value, one) or _only_path_differs(url.value, one) for one in wanted):
        return ok(text)
    return fail(f"{text}: that is not this site's API", *_elsewhere(patient, url))


def _only_path_differs(one: str, other: str) -> bool:
    """Whether the look at the path will tell more (a missing /api) than this one."""
    root, plain = (url.rstrip("/").removesuffix("/api") for url in (one, other))
    return root == plain or same_server(root, plain)


def _elsewhere(patient: Patient, url: Variable) -> tuple[str, str]:
    """Why flow runs go to another API, and what to do."""
    wanted = patient.kind.api_url
    if "prefect.cloud" in (urlsplit(url.value).hostname or ""):
        cause = f"flow runs go to Prefect Cloud, not to {wanted}"
    else:
        cause = f"flow runs go there, and {wanted} never hears of them"
    if patient.settings.profile.values.get(URL) is url:
        return cause, f"{CONFIGURE}, or `prefect profile use {patient.kind.profile or 'hosted'}`"
    return cause, _removal(patient, url)


def _removal(patient: Patient, variable: Variable) -> str:
    """How to get rid of a value in a place of the user's own: the exact line."""
    if variable.source == SESSION:
        return f"`unset {variable.name}` in this shell, and see what sets it there"
    return f"remove {variable.name} in {variable.source}" + (
        ", then log in again" if patient.where(variable).startswith("/") and "/." in variable.source else ""
    )


def _no_url(patient: Patient) -> Finding:
    """No API URL: ephemeral, or nothing at all."""
    settings = patient.settings
    if patient.kind.mode == "local":
        return ok("none, as the site wants it: each flow starts a temporary server of its own")
    if patient.kind.mode == "database":
        return _database(patient)
    if not patient.installed and (patient.kind.local or not patient.kind.api_url):
        return warn("no API URL is set", "", "nothing is wrong where no flows are started")
    if settings.ephemeral:
        text = "no API URL is set: each flow run goes to a temporary server and its SQLite file, and ends there"
    else:
        text = "no API URL is set, and ephemeral mode is off: flows end with `No Prefect API URL provided`"
    return fail(text, *_why_none(patient, settings))


def _database(patient: Patient) -> Finding:
    """In the mode database the flows' own temporary servers write to the one database of the site."""
    url = patient.settings.value(*DATABASE_URL)
    if url is None or url.value.startswith("sqlite"):
        text = "no API, and no Postgres either: flow runs stay in this machine's SQLite file"
        return fail(text, "the site wants this client to write to the database itself", CONFIGURE)
    parts = urlsplit(url.value)
    place = f"{parts.hostname or 'the socket'}:{parts.port or 5432}"
    try:
        if parts.hostname:
            connect(Endpoint("http", parts.hostname, parts.port or 5432)).close()
    except OSError as error:
        return fail(f"the database at {place} does not answer: {error}", *explain_network(str(error)))
    return ok(f"none, as the site wants it: flows write to the database at {place} (by {patient.where(url)})")


def _why_none(patient: Patient, settings: ClientSettings) -> tuple[str, str]:
    """What stands in the way of a URL that is there, or that there is none at all."""
    empty = settings.value(URL)
    if empty:
        return f"{patient.where(empty)} sets {URL} to nothing, and wins", _removal(patient, empty)
    ignored = settings.ignored(URL)
    if ignored:
        cause = f"{ignored[0].source} sets it, but Prefect {settings.version} does not read that file"
        return cause, CONFIGURE
    path = settings.profiles_path
    if patient.kind.profile and f"[profiles.{patient.kind.profile}]" in text_of(patient.host, path):
        cause = (
            f"the profile in force is {settings.profile.name} ({_chooser(settings.profile.source)}), which has no URL"
        )
        return cause, f"`prefect profile use {patient.kind.profile}`"
    other = profiles_path(patient.host)
    if other != path and text_of(patient.host, other):
        return f"Prefect reads {path}; the profiles are in {other}", "correct PREFECT_HOME or PREFECT_PROFILES_PATH"
    return (
        f"neither a variable, nor a file in {settings.folder}, nor the profile {settings.profile.name} sets it",
        CONFIGURE,
    )


def _chooser(source: str) -> str:
    return {SESSION: f"the variable {PROFILE} of this session", DEFAULT: "Prefect's default"}.get(source, source)


def see_key(patient: Patient) -> Optional[Finding]:
    """A Cloud key beside the URL of a server of one's own does nothing good."""
    key = patient.settings.value(KEY)
    if not key or not key.value or patient.url is None or "prefect.cloud" in patient.url.value:
        return None
    cause = "it is a key of Prefect Cloud; where the server asks for user and password it may be sent instead"
    return warn(f"{KEY} is set by {patient.where(key)}", cause, _removal(patient, key))


def see_proxy(patient: Patient) -> Optional[Finding]:
    """Prefect's client obeys proxy variables, and a proxy that does not know the server loses its requests."""
    if patient.url is None:
        return None
    others, parts = other_variables(patient.host), urlsplit(patient.url.value)
    proxy = others.get(f"{parts.scheme.upper()}_PROXY") or others.get("ALL_PROXY")
    exempt = [one.strip().lstrip(".") for one in others.get("NO_PROXY", "").split(",") if one.strip()]
    name = parts.hostname or ""
    if not proxy or "*" in exempt or any(name == one or name.endswith(f".{one}") for one in exempt):
        return None
    text = f"requests to {name} go through the proxy {without_password(proxy)}"
    return warn(text, "the session's proxy variables; the looks below go there directly", f"add {name} to NO_PROXY")


def see_systemd(patient: Patient) -> Optional[Finding]:
    """What systemd starts for this user gets the same API URL."""
    variables = systemd_variables(patient.host)
    if URL not in variables and PROFILE not in variables:
        return None
    own = {name: [variable] for name, variable in variables.items()}
    settings = ClientSettings(patient.host, patient.settings.version, patient.host.home, own)
    return _compared(patient, settings, "what systemd starts for this user")


def see_project(folder: str) -> Callable[[Patient], Optional[Finding]]:
    """A look at another directory that flows are started in."""

    def see(patient: Patient) -> Optional[Finding]:
        return _compared(patient, patient.settings.in_folder(folder), f"what is started in {folder}")

    return see


def _compared(patient: Patient, settings: ClientSettings, what: str) -> Finding:
    """Whether the same URL is in force elsewhere."""
    url, usual = settings.value(URL), patient.url
    if (url.value if url else "") == (usual.value if usual else ""):
        return ok(f"{what} uses the same API")
    found = f"{without_password(url.value)}, by {url.source}" if url and url.value else "no API URL"
    return warn(f"{what} uses {found}", "its flow runs are found there, and only there", "see that this is meant")


def see_room(patient: Patient) -> Optional[Finding]:
    """The home, where Prefect keeps results and its own files, has room."""
    home = patient.settings.value("PREFECT_HOME")
    return see_disk([patient.host.home, *([home.value] if home and home.value.startswith("/") else [])])


#: The looks at the client itself, before the way to the server.
BEFORE: tuple[Look[Patient], ...] = (
    Look("Prefect", see_prefect),
    Look("profiles", see_profiles),
    Look("API", see_api, ("profiles",)),
    Look("Cloud key", see_key, ("profiles",)),
    Look("proxy", see_proxy, ("profiles",)),
)


def after(projects: Sequence[str]) -> list[Look[Patient]]:
    """The looks behind it: other contexts of the same user, and the disk."""
    others = [Look(f"in {os.path.basename(folder.rstrip('/'))}", see_project(folder)) for folder in projects[1:]]
    return [Look("systemd", see_systemd, ("profiles",)), *others, Look("disk", see_room)]
