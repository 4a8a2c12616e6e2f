"""Copies on another host of the inventory: the key that may only send, and what takes in what it sends."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from encamp.errors import SettingsError
from encamp.planning.plan import Item
from encamp.resources.accounts.group import Group
from encamp.resources.accounts.user import User
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import Site, SiteHost
from roles.backup import jobs
from roles.backup.installed import MARK, PROGRAM, configured, program_files
from roles.backup.jobs import Job
from roles.database.host import check_name
from roles.prefect.groups import BACKUPS, SERVERS
from roles.prefect.release import system_packages
from roles.role import GeneratedSecret

ACCOUNT = "prefect-backup"
HOME = "/var/lib/prefect-backup"


def _check_directory(value: str) -> str | None:
    return None if re.fullmatch(r"/[A-Za-z0-9_./-]+", value) and ".." not in value else "must be an absolute path"


@record
class Settings:
    """A host that keeps copies of backups.

    For hosts of the group backups.
    """

    backup_address: str = setting(
        "",
        "Name or address at which other hosts reach SSH on this host. Empty: the host's address in the inventory.",
        check=check_name,
        example="10.0.0.9",
        per_host=True,
    )
    backup_ssh_port: int = setting(
        0, "Port of SSH for other hosts. 0: ansible_port, or 22.", minimum=0, maximum=65535, per_host=True
    )
    backup_store: str = setting(
        "/var/backups/prefect-copies",
        "Directory of the copies, one folder for each server in it.",
        check=_check_directory,
        per_host=True,
    )


def store_of(job: Job, site: Site) -> SiteHost | None:
    """The host that gets copies; None where none is declared. Raises SettingsError."""
    wanted = job.settings.copy_to
    if not wanted:
        return None
    known = {host.name: host for host in site.in_group(BACKUPS)}
    if wanted in known and wanted != job.host.name:
        return known[wanted]
    problem = "is the database's own host" if wanted in known else f"is not a host of the group {BACKUPS}"
    raise SettingsError(
        f"backup: copy_to: {wanted} {problem} (its hosts: {', '.join(known) or 'none'})",
        f"add {wanted} to that group" if wanted not in known else "name another host",
        job.server.origin("backup"),
    )


def sender(job: Job, site: Site) -> Iterator[Item]:
    """The key of a job, and the host keys of the host that it sends to."""
    store = store_of(job, site)
    if store is not None:
        yield system_packages(job.host, "ssh", ("openssh-client",), ("openssh-clients",))
        yield File(jobs.key_path(job.name), _private_key(job, site), mode=0o600)
        yield File(jobs.known_path(job.name), MARK + "".join(f"{store.name} {key}\n" for key in host_keys(store)))


def sending(job: Job, site: Site) -> Mapping[str, object]:
    """The fields of the program's configuration that say how to send."""
    store = store_of(job, site)
    if store is None:
        return {}
    settings = store.settings(Settings)
    address = settings.backup_address or store.client_address
    if not address:
        raise SettingsError(
            f"{store.name}: backup_address is not set, and {store.inventory.address} is a local address",
            "set backup_address: <name or address at which other hosts reach it>",
            store.origin("ansible_host"),
        )
    options = {
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": jobs.known_path(job.name),
        "GlobalKnownHostsFile": "/dev/null",
        "HostKeyAlias": store.name,
        "ConnectTimeout": "20",
        "ServerAliveInterval": "15",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    port = settings.backup_ssh_port or store.inventory.port or 22
    command = [
        "ssh",
        "-F",
        "none",
        "-T",
        "-i",
        jobs.key_path(job.name),
        *words,
        "-p",
        str(port),
        f"{ACCOUNT}@{address}",
    ]
    return {"copy_host": store.name, "copy_command": [*command, "receive"]}


def resources(host: SiteHost, site: Site) -> Iterator[Item]:
    """An account that nobody logs in to, and for each database a key that can only hand in backups."""
    store = host.settings(Settings).backup_store
    yield Group(ACCOUNT)
    yield User(ACCOUNT, ACCOUNT, HOME, shell="/bin/sh", comment="Copies of Prefect backups", setting="")
    yield from program_files()
    yield Directory("/etc/prefect", shared=True)
    yield Directory(store, ACCOUNT, ACCOUNT, 0o700)
    lines = []
    for job in senders(host, site):
        told = {"name": job.name, "kind": "sqlite" if job.kind == "sqlite" else "postgres"}
        told |= {"directory": f"{store}/{job.server.name}", "host": job.server.name}
        kept = {"keep": job.settings.keep, "keep_days": job.settings.keep_days}
        path = f"/etc/prefect/copies-{job.server.name}-{job.name}.conf"
        yield File(path, configured({**told, **kept}), group=ACCOUNT, mode=0o640)
        forced = f"/usr/bin/python3 -I {PROGRAM} receive {path}"
        lines.append(f'restrict,command="{forced}" {_public_key(job, site)} encamp {job.server.name} {job.name}\n')
    yield Directory(HOME)
    yield Directory(f"{HOME}/.ssh")
    yield File(f"{HOME}/.ssh/authorized_keys", MARK + "".join(lines))


def senders(host: SiteHost, site: Site) -> Iterator[Job]:
    """The databases whose backups are copied to a host. Those with wrong settings are left to their own deploy."""
    for server in site.in_group(SERVERS):
        for view in server.instances:
            try:
                job = jobs.job_of(view, site)
                store = store_of(job, site)
            except SettingsError:
                continue
            if store is not None and store.name == host.name:
                yield job


def host_keys(host: SiteHost) -> list[str]:
    """The host keys that this machine knows of a host, as known_hosts files have them. Raises SettingsError."""
    from encamp.ssh import known_hosts
    from encamp.support.paths import locate

    given = host.inventory.variables.get("known_hosts")
    own = [locate(str(given.data), host.inventory.directory)] if given else []
    files = [*own, locate("~/.ssh/known_hosts", ""), "/etc/ssh/ssh_known_hosts"]
    address, port = host.inventory.address.lower(), host.inventory.port or 22
    name = address if port == 22 else f"[{address}]:{port}"
    entries = [entry for file in files for entry in known_hosts.entries(file)]
    found = [f"{entry.key.type} {entry.key.text}" for entry in entries if not entry.marker and entry.is_for(name)]
    if not found:
        raise SettingsError(
            f"no host key of {host.name} is known on this machine, which others need to recognise it ({name})",
            f"connect to it once: ssh {address}",
            host.origin("ansible_host"),
        )
    return list(dict.fromkeys(found))


def secret_name(job: Job) -> str:
    """The generated secret that a job's key is derived from."""
    return f"{job.server.name}/{job.server.instance}/backup-key"


def generated(host: SiteHost, site: Site) -> Iterator[GeneratedSecret]:
    """The secrets that the keys of its senders are derived from."""
    for job in senders(host, site):
        what = f"SSH key that hands in the backups of {job.name} of {job.server.name}"
        yield GeneratedSecret(secret_name(job), "key", "backup", what, (host.name, job.host.name))


def _private_key(job: Job, site: Site) -> Secret:
    from roles.backup import ssh_key

    return ssh_key.private(site.generated(secret_name(job)))


def _public_key(job: Job, site: Site) -> str:
    from roles.backup import ssh_key

    return ssh_key.public(site.generated(secret_name(job)))
