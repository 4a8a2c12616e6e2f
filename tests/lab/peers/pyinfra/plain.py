"""The plain workload as a pyinfra deploy: the same resources as ../ansible/plain.yml and ../encamp/fabfile.py."""

from pathlib import Path

from pyinfra import host
from pyinfra.operations import apt, files, server, systemd

FILES = Path(__file__).resolve().parent.parent / "templates"
ROOT = {"user": "root", "group": "root"}
OURS = {"user": "root", "group": "app", "mode": "640"}

apt.packages(name="Packages", packages=["ca-certificates", "curl", "procps"])
server.group(name="Group", group="app", system=True)
server.user(
    name="User", user="app", group="app", system=True, home="/srv/app", create_home=False, shell="/usr/sbin/nologin"
)
for path, owner in (
    ("/srv/app", "app"),
    ("/srv/app/data", "app"),
    ("/srv/app/log", "app"),
    ("/etc/app", "root"),
    ("/etc/app/conf.d", "root"),
):
    files.directory(name=f"Directory {path}", path=path, user=owner, group="app", mode="750")

watched = [
    files.template(
        name="Environment",
        src=str(FILES / "app.env.j2"),
        dest="/etc/app/app.env",
        **OURS,
        title=host.name,
        workers=host.data.workers,
    )
]
for part in ("web", "db", "cache", "queue", "mail", "search"):
    watched.append(
        files.template(
            name=f"Settings of {part}",
            src=str(FILES / "part.conf.j2"),
            dest=f"/etc/app/conf.d/{part}.conf",
            **OURS,
            title=host.name,
            part=part,
        )
    )
watched.append(files.put(name="Program", src=str(FILES / "app.sh"), dest="/usr/local/bin/app", **ROOT, mode="755"))
files.link(name="Link", path="/srv/app/current", target="/srv/app/data")
for source, path in (("app.logrotate", "/etc/logrotate.d/app"), ("app.profile", "/etc/profile.d/app.sh")):
    files.put(name=f"File {path}", src=str(FILES / source), dest=path, **ROOT, mode="644")
units = [
    files.put(name=f"Unit {unit}", src=str(FILES / unit), dest=f"/etc/systemd/system/{unit}", **ROOT, mode="644")
    for unit in ("app.service", "app-report.service", "app-report.timer")
]
systemd.daemon_reload(name="Read the units again", _if=lambda: any(unit.did_change() for unit in units))
for unit in ("app.service", "app-report.timer"):
    systemd.service(name=f"Started {unit}", service=unit, running=True, enabled=True)
systemd.service(
    name="Restart the application",
    service="app.service",
    restarted=True,
    _if=lambda: any(file.did_change() for file in watched),
)
