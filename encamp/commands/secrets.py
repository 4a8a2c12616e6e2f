"""``fab secrets``: which secrets a site has, where each comes from and where it goes. Never a value, nor its length."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from encamp.cli.options import Options
from encamp.commands.all_settings import ALL_SETTINGS
from encamp.commands.load_site import load_site
from encamp.errors import Origin
from encamp.output.terminal import report
from encamp.secrets import sources as secret_sources
from encamp.secrets.rotation import Rotation
from encamp.secrets.store import FOLDER, NEXT, OLD, file_name, status
from encamp.settings.convert import Given
from encamp.site import Site
from encamp.support.paths import locate
from roles import generated_secrets

#: The state of a generated secret whose rotation is not complete.
UNDER_WAY = {
    "prepared": "rotation in progress: `fab secrets rotate {name}` continues it",
    "switched": "rotation in progress: `fab deploy` or `fab secrets rotate {name}` continues it",
}
_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))


@dataclasses.dataclass
class Row:
    """One line of the list. ``used`` are hosts and settings."""

    name: str
    source: str
    state: str
    used: list[str]


def show(options: Options, test: bool = False) -> int:
    """Print every secret of the site. ``test``: fetch each to test its source. Raises EncampError.

    Returns 0; with ``test`` 4 where one cannot be fetched.
    """
    site = load(options)
    rows = [*_generated(site), *_given(site, test)]
    for row in rows:
        report(f"{row.name}\n  from:  {row.source}\n  state: {row.state}")
        report(f"  used:  {'; '.join(row.used) or 'not used'}")
    if not rows:
        report("this site has no secrets")
    return 4 if test and any(row.state.startswith("cannot") for row in rows) else 0


def load(options: Options) -> Site:
    """The whole site, with no secret of the operator's fetched. Raises EncampError."""
    site, _ = load_site(options, ("all",), fetch=False)
    return site


def _generated(site: Site) -> list[Row]:
    known = generated_secrets.find(site)
    rows = []
    for secret in known:
        used = [f"{', '.join(secret.hosts)} ({secret.setting}: {secret.what})"]
        used += [f"clients {', '.join(secret.clients)}"] if secret.clients else []
        rows.append(Row(secret.name, _place(site.secrets.path(secret.name)), _state(site, secret.name), used))
    return rows + _left(site.secrets.folder, {file_name(secret.name) for secret in known})


def _left(folder: Path, known: set[str]) -> list[Row]:
    """Files of the store that no host uses any more."""
    found = sorted(path for path in folder.glob("[!.]*") if not path.name.endswith((NEXT, OLD)))
    return [Row(path.name, _place(path), _age(path), []) for path in found if path.name not in known]


def _state(site: Site, name: str) -> str:
    path = site.secrets.path(name)
    if not status(path):
        return "absent: the next `fab deploy` generates it"
    state = Rotation(path).state()
    return _age(path) if state == "none" else UNDER_WAY[state].format(name=name)


def _place(path: Path) -> str:
    return f"{FOLDER}: {Origin(str(path))}"


def _age(path: Path) -> str:
    seconds = max(0, int(time.time() - path.stat().st_mtime))
    for unit, length in _UNITS:
        count = seconds // length
        if count:
            return f"generated {count} {unit}{'s' if count > 1 else ''} ago"
    return "generated just now"


def _given(site: Site, test: bool) -> list[Row]:
    """The operator's own secrets: one row for each place that gives one."""
    rows: dict[tuple[str, str], Row] = {}
    for host in site.hosts:
        for view in host.instances:
            title = host.name if len(host.instances) == 1 else f"{host.name} ({view.instance})"
            for given in view.given_settings.given(ALL_SETTINGS):
                row = rows.get((given.key, str(given.origin)))
                if row is None:
                    row = Row(
                        given.key,
                        f"{kind(given)}, {given.origin}",
                        _presence(given, view.inventory.directory, test),
                        [],
                    )
                    rows[given.key, str(given.origin)] = row
                if title not in row.used:
                    row.used.append(title)
    return list(rows.values())


def kind(given: Given) -> str:
    """The source of an operator's secret, in words."""
    if given.source is None:
        return "Ansible Vault"
    words = {"env": "environment variable", "file": "file", "command": "command"}
    value = given.source.value
    return f"{words[given.source.kind]} {value if isinstance(value, str) else value[0]}"


def _presence(given: Given, directory: str, test: bool) -> str:
    """Whether a secret is present, without reading it; with ``test`` it is fetched."""
    if given.source is None:
        return "present"
    if test:
        try:
            secret_sources.fetch(given.source, directory)
        except ValueError as error:
            return f"cannot be fetched: it {error}"
        return "present"
    looks: dict[str, Callable[[str], object]] = {
        "env": lambda name: os.environ.get(name),
        "file": lambda path: os.path.isfile(locate(path, directory)),
        "command": lambda program: shutil.which(os.path.expanduser(program)),
    }
    value = given.source.value
    if given.source.kind == "file" and _is_exposed(locate(str(value), directory)):
        return "present, but readable by others: chmod 600"
    there = looks[given.source.kind](value if isinstance(value, str) else value[0])
    return ("not run yet (--test runs it)" if given.source.kind == "command" else "present") if there else "absent"


def _is_exposed(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & 0o077)
    except OSError:
        return False
