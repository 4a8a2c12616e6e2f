"""The plain workload with encamp's engine: the same resources as ../ansible/plain.yml and ../pyinfra/plain.py.

encamp's own roles are about Prefect; the kinds of resources, the planner and the run know nothing of it, so that other
work can be declared with them, as here.
"""

from __future__ import annotations

import dataclasses
import gc
import sys

gc.set_threshold(200_000)  # both as in encamp's own
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from encamp import site  # noqa: E402
from encamp.cli.options import Options  # noqa: E402
from encamp.cli.task import command  # noqa: E402
from encamp.commands.reporting import reporting  # noqa: E402
from encamp.inventory import location  # noqa: E402
from encamp.inventory.load import load_inventory, select_hosts  # noqa: E402
from encamp.planning import plan  # noqa: E402
from encamp.planning.plan import FLUSH, Item, Step  # noqa: E402
from encamp.planning.rollout import Wave  # noqa: E402
from encamp.planning.templates import Templates  # noqa: E402
from encamp.resources.accounts.group import Group  # noqa: E402
from encamp.resources.accounts.user import User  # noqa: E402
from encamp.resources.files.directory import Directory  # noqa: E402
from encamp.resources.files.file import File  # noqa: E402
from encamp.resources.files.symlink import Symlink  # noqa: E402
from encamp.resources.packages.installed import Packages  # noqa: E402
from encamp.resources.systemd.restart import Restart  # noqa: E402
from encamp.resources.systemd.service import Service  # noqa: E402
from encamp.resources.systemd.unit import SystemdUnit  # noqa: E402
from encamp.running import connectors  # noqa: E402
from encamp.running.run import Run  # noqa: E402
from encamp.settings.check import check_hosts  # noqa: E402
from encamp.settings.declare import setting  # noqa: E402

FILES = Path(__file__).resolve().parent.parent / "templates"
TEMPLATES = Templates((FILES,))
STAGE = ("plain",)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the inventory says of the application."""

    workers: int = setting(4, "How many workers the application has.", minimum=1)
    service: bool = setting(True, "Whether it runs. Without, there are only its user, directories and files.")


@command("inventory", "forks")
def converge(options: Options) -> int:
    """Make the hosts (-H, or all) be what is declared below."""
    loaded = load_inventory(location.locate(options.inventory, options.home), {})
    selected = select_hosts(loaded, options.hosts or "all")
    fleet = site.Site(loaded, selected)
    check_hosts([host.given_settings for host in fleet.hosts], (connectors.Settings, Settings))
    names = [host.name for host in selected]
    plans = {(name, STAGE): plan.build(name, items(fleet.host(name))) for name in names}
    with reporting(options, "converge") as told:
        told.start(str(loaded.path), names)
        run = Run("converge", options.mode, connectors.SshConnector(fleet, options.config), [told])
        run.converge([Wave("plain", dict.fromkeys(names, STAGE))], plans)
        return told.end()


def items(host: site.SiteHost) -> Iterator[Item]:
    """The whole workload for one host."""
    given = host.settings(Settings)
    restart = (Restart("app.service"),) if given.service else ()
    yield Packages("base", debian=("ca-certificates", "curl", "procps"))
    yield Group("app")
    yield User("app", group="app", home="/srv/app", shell="/usr/sbin/nologin")
    for path in ("/srv/app", "/srv/app/data", "/srv/app/log"):
        yield Directory(path, owner="app", group="app", mode=0o750)
    for path in ("/etc/app", "/etc/app/conf.d"):
        yield Directory(path, group="app", mode=0o750)
    yield Step(_text("/etc/app/app.env", "app.env.j2", title=host.name, workers=given.workers), notify=restart)
    for part in ("web", "db", "cache", "queue", "mail", "search"):
        yield Step(_text(f"/etc/app/conf.d/{part}.conf", "part.conf.j2", title=host.name, part=part), notify=restart)
    yield Step(File("/usr/local/bin/app", (FILES / "app.sh").read_text(), mode=0o755), notify=restart)
    yield Symlink("/srv/app/current", "/srv/app/data")
    yield File("/etc/logrotate.d/app", (FILES / "app.logrotate").read_text())
    yield File("/etc/profile.d/app.sh", (FILES / "app.profile").read_text())
    if given.service:
        yield from _service()


def _service() -> Iterator[Item]:
    for unit in ("app.service", "app-report.service", "app-report.timer"):
        yield SystemdUnit(unit, (FILES / unit).read_text())
    for unit in ("app.service", "app-report.timer"):
        yield Service(unit)
    yield FLUSH


def _text(path: str, template: str, **variables: Any) -> File:
    return File(path, TEMPLATES.render(template, **variables), group="app", mode=0o640)
