"""What the flow run that verifies a host's workers shows of them, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encamp.site import SiteHost
from roles.prefect import versions
from roles.prefect.release import prefect_version
from roles.worker.settings import Worker
from roles.worker.units import Unit

INSTALLS = "pip_install_requirements"


def clones(host: SiteHost, unit: Unit) -> bool:
    """Whether its code is cloned: git is there, and the flow run is on this host."""
    return _runs_steps(unit) and "git" in unit.spec.system_packages and versions.able("clone", prefect_version(host))


def installs_into(host: SiteHost, unit: Unit) -> str:
    """The interpreter of the environment that a requirement of it is installed into; empty: none is installed."""
    able = _runs_steps(unit) and unit.spec.pip and versions.able("requirements", prefect_version(host))
    return f"{unit.environment_path}/bin/python" if able else ""


def not_tried(host: SiteHost, unit: Unit, all_units: Sequence[Unit]) -> Iterator[str]:
    """The workers and agents that have no flow run where only ``unit`` is given one: a line, if any."""
    others = [other.name for other in all_units if (other.kind, other.label) != (unit.kind, unit.label)]
    if others:
        names = ", ".join(name.removesuffix(".service") for name in others)
        yield f"a flow run on {names}: a deploy tries one worker, `fab -H {host.name} verify` each"


def unproven(host: SiteHost, unit: Unit) -> Iterator[str]:
    """What a flow run of a unit does not show of it, and why: a line each."""
    version = prefect_version(host)
    if not _runs_steps(unit):
        reason = "agents have none" if unit.kind == "agent" else f"flow runs of {unit.label} are not on this host"
        yield f"pull steps that clone and install: {reason}"
    else:
        yield from _steps(unit, version)


def _steps(unit: Unit, version: str) -> Iterator[str]:
    if "git" not in unit.spec.system_packages:
        yield f"git_clone: system_packages of {unit.label} has no git"
    elif not versions.able("clone", version):
        yield f"git_clone: Prefect {version} clones no local repository, {versions.since('clone')} does"
    if not unit.spec.pip:
        yield f"{INSTALLS}: flow runs of {unit.label} may not install packages; `pip: true` lets them"
    elif not versions.able("requirements", version):
        yield f"{INSTALLS}: not tried with Prefect {version}, but from {versions.since('requirements')} on"


def _runs_steps(unit: Unit) -> bool:
    """Whether a flow run of the unit has pull steps, carried out on this host."""
    return isinstance(unit.spec, Worker) and unit.is_process
