"""What deployments of a work pool need of its workers' host, by their pull steps: found before a flow run fails."""

from __future__ import annotations

import json
from typing import Any, Iterable, Mapping, Optional

from encamp.resources.system import Reader
from roles.doctor.kinds.findings import Finding, fail, ok, warn

#: Beside ~/.ssh of the account.
GLOBAL_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


def examine(
    host: Reader, deployments: Iterable[Mapping[str, Any]], python: str, home: str, environment: Mapping[str, str]
) -> Optional[Finding]:
    """Whether the host has what the steps use; None where no deployment has steps that need anything.

    ``python``: the worker's interpreter. ``home``: its account's. ``environment``: its variables.
    """
    steps = [(str(one.get("name")), step) for one in deployments for step in one.get("pull_steps") or []]
    cloning = _using(steps, "git_clone")
    over_ssh = [name for name, text in cloning.items() if '"git@' in text or '"ssh://' in text]
    installing = _using(steps, "pip_install_requirements")
    if cloning and host.which("git") is None:
        fix = "set system_packages: [git] for this worker (the default), then run `fab deploy`"
        return fail(f"deployments clone with git, and this host has none: {_listed(cloning)}", "", fix)
    if installing and not _has_pip(host, python):
        fix = "set pip: true for this worker, or lock the packages: packages: [...]; then run `fab deploy`"
        text = f"deployments install requirements, and the worker's environment has no pip: {_listed(installing)}"
        return fail(text, "the environment is locked", fix)
    if over_ssh and not _knows_hosts(host, home, environment):
        fix = "set known_hosts: (and deploy_key:) for this worker, then run `fab deploy`"
        return warn(f"deployments clone over SSH, and the worker knows no host keys: {_listed(over_ssh)}", "", fix)
    return ok("git and pip as deployments need them") if cloning or installing else None


def _using(steps: Iterable[tuple[str, Mapping[str, Any]]], function: str) -> dict[str, str]:
    """The deployments with a step of a function, each with that step's inputs as JSON."""
    return {
        name: json.dumps(inputs)
        for name, step in steps
        for called, inputs in step.items()
        if called.rpartition(".")[2] == function
    }


def _has_pip(host: Reader, python: str) -> bool:
    folder = f"{python.rpartition('/bin/')[0]}/lib"
    names = [name for name in host.listdir(folder) if name.startswith("python3")]
    return any(host.stat(f"{folder}/{name}/site-packages/pip") for name in names)


def _knows_hosts(host: Reader, home: str, environment: Mapping[str, str]) -> bool:
    """Whether OpenSSH may find a host key. The files' contents are not examined: names in them may be hashed."""
    command = environment.get("GIT_SSH_COMMAND", "")
    given = any(option in command for option in ("UserKnownHostsFile", "StrictHostKeyChecking"))
    return given or any(host.stat(path) for path in (*GLOBAL_KNOWN_HOSTS, f"{home}/.ssh/known_hosts"))


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
