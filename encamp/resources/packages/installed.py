"""Packages of the distribution."""

from __future__ import annotations

from typing import Sequence, Union

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.packages import apt
from encamp.resources.packages.apt import ABSENT, INSTALLED
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret


@kind
class Packages(Resource):
    """Installed distribution packages, by their names in each family.

    ``name``: the set's name in reports. ``debian``: package names for apt; ``rhel``: for dnf; an empty tuple: this
    family needs none. ``lock_timeout``: seconds to wait for cloud-init, and for a lock of apt, dpkg, debconf or dnf
    that another process holds. ``proxy``, ``no_proxy``: as of PythonEnv, but apt's or dnf's own configuration goes
    before them, and without them is all that counts. ``source``: a folder on the host with Debian packages
    and their index, used in place of its own sources. Packages are never removed or upgraded; recommended ones are not
    installed.
    """

    name: str
    debian: tuple[str, ...] = ()
    rhel: tuple[str, ...] = ()
    lock_timeout: int = apt.LOCK_SECONDS
    proxy: Union[str, Secret] = ""
    no_proxy: tuple[str, ...] = ()
    source: str = ""

    def check(self, host: Reader) -> list[Change]:
        names = self._names(host)
        if not names:
            return []
        if host.os_release().family == "rhel":
            return [Change(name, ABSENT, INSTALLED) for name in _missing_rpms(host, names)]
        known = apt.states(host)
        changes = [
            Change(name, known.get(name, ABSENT), INSTALLED) for name in names if known.get(name, ABSENT) != INSTALLED
        ]
        if changes and apt.interrupted(host):
            changes.append(Change("dpkg", "interrupted", "finished"))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        wanted = self._names(host)
        names = [change.what for change in changes if change.what in wanted]
        from encamp.resources.proxy import proxy_of

        proxy = proxy_of(host, self.proxy, self.no_proxy) if self.proxy else None
        variables = proxy.variables if proxy else {}
        if host.os_release().family == "rhel":
            from encamp.resources.packages import dnf

            dnf.Installation(host, names, self.lock_timeout, variables).run()
        else:
            from encamp.resources.packages import installation

            options = installation.only_from(host, self.source) if self.source else ()
            installation.Installation(host, names, self.lock_timeout, variables, options).run()

    def _names(self, host: Reader) -> tuple[str, ...]:
        family = host.os_release().family
        if family not in ("debian", "rhel"):
            raise Refused(
                f"this host runs {host.os_release().pretty}; encamp installs packages on the Debian and RHEL families",
                fix="use a host of one of these families",
            )
        return self.debian if family == "debian" else self.rhel


def _missing_rpms(host: Reader, names: Sequence[str]) -> list[str]:
    """Those of ``names`` that no installed RPM provides. One process for all names."""
    argv = ["rpm", "--query", "--whatprovides", "--queryformat", "ok\\n", *names]
    answer = host.once(f"rpm {' '.join(names)}", lambda: host.query(argv))
    if answer.code == 127:
        raise Failure("this host has no rpm command", fix="install rpm")
    # rpm prints one line a name, and several for a name that several packages provide; errors may go to standard
    # output. So only its error message is reliable.
    return [name for name in names if f"no package provides {name}\n" in answer.out + answer.err]
