"""What backups need on the database's host: the program, its configuration, and timers."""

from __future__ import annotations

from collections.abc import Iterator

import encamp
from encamp.planning.plan import Item
from encamp.resources.files.absent import Absent
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.resources.systemd.service import Service
from encamp.resources.systemd.unit import SystemdUnit
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.backup import copies, jobs
from roles.backup.installed import PROGRAM, configured, program_files
from roles.backup.jobs import Job
from roles.backup.kinds.timers_only import BackupTimersOnly
from roles.backup.settings import HOURS
from roles.database import host as database_host
from roles.database import settings as database
from roles.prefect.release import prefect_version
from roles.prefect.sandbox import has_namespaces

#: The first release whose server can be started without its services.
NO_SERVICES_SINCE = (3, 1, 13)
UNITS = BACKUP, REHEARSAL = ("backup", "rehearsal")


def of_server(host: SiteHost, site: Site) -> Iterator[Item]:
    """Backups of a database on the server's own host, as the inventory asks for them.

    Raises SettingsError where it asks for what encamp cannot do.
    """
    if jobs.is_declared(host):
        job = jobs.job_of(host, site)
        if job.local:
            yield from resources(job, site)
    yield timers_only(host, site)


def undeploy(host: SiteHost, instance: str) -> Iterator[Item]:
    """Timers and configuration of an instance's backups, which stay themselves."""
    names = jobs.names_of(host, instance)
    yield BackupTimersOnly("timers", among=tuple(jobs.unit(name, what, "timer") for name in names for what in UNITS))
    files = (jobs.config, jobs.key_path, jobs.known_path)
    yield from (Absent(path(name)) for name in names for path in files)


def of_database_host(host: SiteHost, site: Site) -> Iterator[Item]:
    """Backups of the databases that a host keeps for servers on other hosts."""
    for job in jobs.on_host(host, site):
        if not job.local and job.settings.every != "never":
            yield from resources(job, site)
    yield timers_only(host, site)


def timers_only(host: SiteHost, site: Site) -> BackupTimersOnly:
    """No timers but those that the inventory asks for on a host."""
    kept = []
    for job in jobs.on_host(host, site):
        if job.settings.every != "never":
            kept.append(job.unit(BACKUP, "timer"))
            if job.settings.rehearse != "never":
                kept.append(job.unit(REHEARSAL, "timer"))
    return BackupTimersOnly("timers", tuple(sorted(kept)))


def resources(job: Job, site: Site) -> Iterator[Item]:
    """The program, its configuration, and the timers of a database's backups."""
    yield from program(job, site)
    yield from _units(job, site, BACKUP, "backup", calendar(job), "15min")
    if job.settings.rehearse != "never":
        yield from _units(job, site, REHEARSAL, "rehearse", rehearsal_calendar(job), "15min")


def program(job: Job, site: Site) -> Iterator[Item]:
    """The program and its configuration: all that a backup on demand needs."""
    yield from program_files()
    yield Directory("/etc/prefect", shared=True)
    yield from copies.sender(job, site)
    given = job.settings.environment
    plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in given.items()}
    text = configured({**configuration(job, site), "environment": plain})
    secret = any(isinstance(value, Secret) for value in given.values())
    yield File(job.config, Secret(text) if secret else text, mode=0o600)


def configuration(job: Job, site: Site) -> dict[str, object]:
    """What the program is told: the fields of ``program.job.Job``, without secrets."""
    layout, release = job.layout, prefect_version(job.server)
    found: dict[str, object] = {
        "name": job.name,
        "kind": "sqlite" if job.kind == "sqlite" else "postgres",
        "directory": job.settings.directory,
        "release": release,
        "keep": job.settings.keep,
        "keep_days": job.settings.keep_days,
        "encamp": encamp.__version__,
        "host": job.server.name,
        "no_services": tuple(map(int, release.split("."))) >= NO_SERVICES_SINCE,
        "command": job.settings.command,
        **copies.sending(job, site),
    }
    if job.local:
        found |= {"link": layout.link, "env_file": layout.server_env, "user": layout.user, "group": layout.group}
    if job.kind == "sqlite":
        return {**found, "path": database.sqlite_file(job.server)}
    owner = _owner(job)
    port = job.host.settings(database_host.Settings).postgres_port
    return {**found, "database": job.name, "owner": owner, "cluster": database_host.cluster(job.host), "port": port}


def _owner(job: Job) -> str:
    """The role that owns the database: the service's own over the socket, else one named like the database."""
    return job.layout.user if job.kind == "socket" else job.name


def _units(job: Job, site: Site, what: str, command: str, when: str, delay: str) -> Iterator[Item]:
    """A service and its timer."""
    title = f"{what.capitalize()} of the database {job.name} of Prefect on {job.server.name} ({job.server.instance})"
    words = {"job": job, "title": title, "program": PROGRAM, "command": command, "when": when, "delay": delay}
    words |= {"namespaces": has_namespaces(job.host)}
    for ending in ("service", "timer"):
        text = site.templates.render(f"prefect_backup/prefect-backup.{ending}.j2", **words)
        yield SystemdUnit(job.unit(what, ending), text)
    yield Service(job.unit(what, "timer"))


def calendar(job: Job) -> str:
    """When backups are taken, as systemd.time(7) writes it."""
    hour, _, minute = job.settings.at.partition(":")
    every = HOURS[job.settings.every]
    if every == 168:
        return f"Sun *-*-* {hour}:{minute}:00"
    if every == 24:
        return f"*-*-* {hour}:{minute}:00"
    return f"*-*-* *:{minute}:00" if every == 1 else f"*-*-* {int(hour) % every:02}/{every}:{minute}:00"


def rehearsal_calendar(job: Job) -> str:
    """When the newest backup is rehearsed: an hour and a half after the time of a backup."""
    hour, _, minute = job.settings.at.partition(":")
    minutes = (int(hour) * 60 + int(minute) + 90) % 1440
    day = "Sun " if job.settings.rehearse == "week" else ""
    return f"{day}*-*-* {minutes // 60:02}:{minutes % 60:02}:00"
