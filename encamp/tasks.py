"""The tasks. Each passes its options on to one function; `fab --help TASK` explains them."""

from __future__ import annotations

from typing import Any

from encamp.cli.options import Options
from encamp.cli.task import COMMON, FLEET, ROLLOUT, command

#: Those of a site; ``init`` is the program's alone.
__all__ = (
    "adopt",
    "backup",
    "backups",
    "bundle",
    "configure_client",
    "deploy",
    "doctor",
    "drain",
    "encrypt",
    "history",
    "inventory",
    "lock",
    "logs",
    "maintenance",
    "rehearse",
    "restart",
    "restore",
    "rotate",
    "secrets",
    "secrets_list",
    "settings",
    "start",
    "status",
    "stop",
    "undeploy",
    "undrain",
    "verify",
)


@command(
    *FLEET,
    *ROLLOUT,
    "check",
    "diff",
    "exit_code",
    "instance",
    help={
        "plan": "Change nothing; write what a deploy would do to this file.",
        "apply": "Do exactly what the plan in this file says, or refuse.",
        "verify": "Finish with a real flow run on each host that changed.",
        "bundle": "Download nothing on the hosts: use this file, which `fab bundle` made.",
    },
)
def deploy(options: Options, verify: bool = True, plan: str = "", apply: str = "", bundle: str = "") -> int:
    """Bring hosts (-H, or all servers and workers) to the state declared in the inventory."""
    if plan or apply:
        from encamp.commands import saved_plan

        return saved_plan.run(options, verify, plan, apply, bundle)
    from encamp.commands.deploy import deploy as run

    return run(options, verify, bundle)


@command(
    *FLEET,
    "check",
    "instance",
    help={
        "server": "Server to adopt, as `fab adopt` calls it; for a host with several.",
        "check": "Write nothing; print the lines. With --undo: change nothing.",
        "instance": "With --undo: the instance that continues the server (default: default).",
        "undo": "Start the adopted server again, with its data as it was, and stop encamp's.",
    },
)
def adopt(options: Options, server: str = "", undo: bool = False) -> int:
    """Find a Prefect server set up by hand on hosts (-H), and write the inventory lines that continue it."""
    from encamp.commands import adopt as command

    return command.undo(options, server) if undo else command.adopt(options, server)


@command(*FLEET, "check", "instance", "wait")
def backup(options: Options) -> int:
    """Back up the databases of hosts (-H, or all servers) now."""
    from encamp.commands.backups.take import backup as run

    return run(options)


@command(*FLEET, "instance")
def backups(options: Options) -> int:
    """List the backups of hosts (-H, or all servers): age, size, release, and when each was proven."""
    from encamp.commands.backups.listing import backups as run

    return run(options)


@command(
    *COMMON,
    "check",
    "instance",
    "wait",
    positional=["backup"],
    help={
        "backup": "Name of the backup, as `fab backups` lists it, or latest.",
        "into": "Load it into a new database of this name; the server keeps its own.",
        "yes": "Do not ask.",
        "deploy": "Deploy first: for a new host in the place of a lost one, with the backup in its directory.",
    },
)
def restore(options: Options, backup: str, into: str = "", yes: bool = False, deploy: bool = False) -> int:
    """`fab -H HOST restore latest`: put a backup in the place of a server's database, which is renamed and kept."""
    from encamp.commands.backups.restore import restore as run

    return run(options, backup, into, yes, deploy)


@command(
    *FLEET,
    "check",
    "instance",
    "wait",
    help={"backup": "Name of the backup, as `fab backups` lists it (default: the newest)."},
)
def rehearse(options: Options, backup: str = "") -> int:
    """Restore the newest backup of hosts (-H, or all servers) for trial, start Prefect on it, compare, remove it."""
    from encamp.commands.backups.rehearse import rehearse as run

    return run(options, backup)


@command(
    *FLEET,
    "check",
    "diff",
    "instance",
    help={
        "profile": "Name of the profile to write (default: hosted).",
        "server": "Server to use, by its name in the inventory; for a site with several.",
        "api-url": "API to use; for a server that is not in the inventory.",
        "mode": "hosted, database or local (default: the client's own setting client_mode).",
        "instance": "Use only this instance of the server, and activate its profile.",
        "undo": "Restore exactly what was there before.",
        "install": "Install the server's release of Prefect on a client without one; needs no root.",
        "script": "Write a script to this file that does the same on a machine without SSH, such as a Windows laptop.",
        "commands": "Print the prefect commands that do the same by hand, in any shell.",
    },
)
def configure_client(
    options: Options,
    profile: str = "",
    server: str = "",
    api_url: str = "",
    mode: str = "",
    undo: bool = False,
    install: bool = False,
    script: str = "",
    commands: bool = False,
) -> int:
    """Point clients (-H, or this machine) at the hosted API, at its database, or at no server (--mode local)."""
    from encamp.commands.configure_client import ClientOptions
    from encamp.commands.configure_client import configure_client as run

    client = ClientOptions(profile, server, api_url, mode, undo, install)
    if script or commands:
        from encamp.commands import without_ssh

        return without_ssh.run(options, client, script, commands)
    return run(options, client)


@command(*FLEET, help={"server": "Server to verify clients against, by its name in the inventory."})
def verify(options: Options, server: str = "") -> int:
    """Verify clients and workers (or -H) with a real flow run, read back from the hosted API."""
    from encamp.commands.verify import verify as run

    return run(options, server)


@command(
    "inventory",
    "set",
    "json",
    "junit",
    "forks",
    "limit",
    iterable=["project"],
    help={
        "project": "Directory that flows start in (default: home; on this machine the current one). May be repeated.",
        "server": "Server that clients should use, by its name in the inventory; for a site with several.",
        "fix": "Make safe repairs: write and activate encamp's own profile, start a stopped or failed unit.",
        "symptom": "Explain an error message instead: a file, or - for standard input.",
    },
)
def doctor(options: Options, project: Any = None, server: str = "", fix: bool = False, symptom: str = "") -> int:
    """Show which API each host (-H, or this machine and the whole site) really uses, and what is wrong with it."""
    from encamp.commands import doctor as run

    return run.symptom(symptom) if symptom else run.run(options, project or (), server, fix)


@command(
    *FLEET,
    help={
        "watch": "Show it again and again, until Ctrl-C.",
        "every": "With --watch: seconds between two looks (default: 10).",
        "exit-code": "Exit 2 if something is red.",
    },
)
def status(options: Options, watch: bool = False, every: str = "10", exit_code: bool = False) -> int:
    """Show the state of the site on one screen (-H, or all hosts but clients), what is wrong first."""
    from encamp.commands.operate.status import status as run

    return run(options, watch, every, exit_code)


ONLY = {"only": "Only these: server, worker, or a unit's name or pattern. May be repeated."}


@command(*FLEET, *ROLLOUT, "check", "instance", iterable=["only"], help=ONLY)
def restart(options: Options, only: Any = None) -> int:
    """Restart servers host by host until each is healthy, then workers, which finish their flow runs first."""
    from encamp.commands.operate.power import restart as run

    return run(options, only or ())


@command(*FLEET, *ROLLOUT, "check", "instance", iterable=["only"], help=ONLY)
def start(options: Options, only: Any = None) -> int:
    """Start servers and workers that do not run, in the order of dependence."""
    from encamp.commands.operate.power import start as run

    return run(options, only or ())


@command(*FLEET, *ROLLOUT, "check", "instance", iterable=["only"], help=ONLY)
def stop(options: Options, only: Any = None) -> int:
    """Stop workers, which finish their flow runs first, then servers: until `fab start`, a deploy or the next boot."""
    from encamp.commands.operate.power import stop as run

    return run(options, only or ())


DRAINED = {"host": "The host, or a pattern of hosts, as with -H."}


@command(*FLEET, *ROLLOUT, "check", "instance", positional=["host"], help=DRAINED)
def drain(options: Options, host: str) -> int:
    """`fab drain HOST`: workers finish their flow runs and take no more, until `fab undrain`; reboots do not end it."""
    from encamp.commands.operate.power import drain as run

    return run(options, host)


@command(*FLEET, *ROLLOUT, "check", "instance", positional=["host"], help=DRAINED)
def undrain(options: Options, host: str) -> int:
    """`fab undrain HOST`: the workers of a drained host work again."""
    from encamp.commands.operate.power import undrain as run

    return run(options, host)


@command(
    *FLEET,
    iterable=["unit"],
    short={"follow": "f", "lines": "n"},
    help={
        "follow": "Go on until Ctrl-C, also after a link has dropped (-f).",
        "since": "Only what is newer: '1 hour ago', 09:30, '2026-12-01 09:30', as journalctl takes it.",
        "lines": "The last so many lines (-n; default: 100, or all with --since).",
        "unit": "server, worker, postgres, caddy, or a unit's name or pattern. May be repeated.",
        "level": "Only lines of this level or above: debug, info, warning, error, critical.",
        "grep": "Only lines with a match of this regular expression.",
    },
)
def logs(
    options: Options,
    follow: bool = False,
    since: str = "",
    lines: str = "",
    unit: Any = None,
    level: str = "",
    grep: str = "",
) -> int:
    """Show what all hosts (-H, or all databases, servers and workers) log, as one log in the order of time."""
    from encamp.commands.operate.logs import logs as run
    from roles.logs.sources import Wanted

    return run(options, Wanted(tuple(unit or ()), since, 0, level, grep, follow), lines)


@command(*FLEET, help={"file": "The file to write (default: encamp.bundle)."})
def bundle(options: Options, file: str = "encamp.bundle") -> int:
    """Collect all that the site's hosts would download, on a host like them that has a network (-H), into one file."""
    from encamp.commands.bundle import bundle as run

    return run(options, file)


@command("inventory", help={"last": "How many runs to show (default: 20)."})
def history(options: Options, last: str = "20") -> int:
    """Show recent runs from this machine; with -H, who changed what on those hosts."""
    from encamp.commands.history import history as run

    return run(options, last)


@command(*FLEET, "check", "instance", help={"instance": "The instance to remove."})
def undeploy(options: Options) -> int:
    """Remove an instance from its hosts (-H): units, firewall rule and settings. Its database and home stay."""
    from encamp.commands.undeploy import undeploy as run

    return run(options)


@command(
    *FLEET,
    "check",
    "instance",
    positional=["state"],
    help={
        "state": "on or off.",
        "for": "With on: open again by itself after this time, such as 30m or 2h.",
        "message": "With on: what people read who open the UI meanwhile.",
    },
)
def maintenance(options: Options, state: str, for_: str = "", message: str = "") -> int:
    """Shut servers (-H, or all) for maintenance (`on`) so that their clients wait, or open them again (`off`)."""
    from encamp.commands.operate.maintenance import maintenance as run

    return run(options, state, for_, message)


@command(
    "inventory",
    iterable=["with_"],
    help={
        "prefect": "The release, such as 3.9.1.",
        "exclude-newer": "Resolve as of this date (YYYY-MM-DD).",
        "with": "An additional package for workers, 'name==1.2.3'. May be repeated.",
    },
)
def lock(options: Options, prefect: str, exclude_newer: str = "", with_: Any = None) -> int:
    """Lock the dependencies of a Prefect release as of its release date, with hashes, and test the lock."""
    from encamp.commands.lock import lock as run

    return run(options, prefect, exclude_newer, with_ or ())


@command(
    "inventory",
    "set",
    help={
        "graph": "Draw the groups and their hosts (the default).",
        "list": "All groups, hosts and variables as JSON.",
        "vars": "Include the variables of hosts and groups in the graph.",
    },
)
def inventory(options: Options, graph: bool = False, list: bool = False, vars: bool = False) -> int:
    """Show the site's groups and hosts (with -H, one group) as ansible-inventory does, without secrets."""
    from encamp.commands.inventory import inventory as run

    return run(options, graph, list, vars)


@command("inventory", "set")
def settings(options: Options) -> int:
    """Show every effective setting of the hosts (-H, or all) and the file and line that set it."""
    from encamp.commands.settings import settings as run

    return run(options)


FETCH = {"test": "Fetch each secret to test its source; this runs commands."}


@command("inventory", "set", help=FETCH)
def secrets(options: Options, test: bool = False) -> int:
    """List the site's secrets, sources and users, never a value. Also: `secrets rotate NAME`, `secrets encrypt`."""
    from encamp.commands.secrets import show

    return show(options, test)


@command("inventory", "set", group="secrets", name="list", help=FETCH)
def secrets_list(options: Options, test: bool = False) -> int:
    """`fab secrets list`: the same as `fab secrets`."""
    from encamp.commands.secrets import show

    return show(options, test)


@command(
    *COMMON,
    "check",
    "wait",
    group="secrets",
    positional=["name"],
    help={
        "name": "The secret, as `fab secrets` lists it.",
        "check": "Change nothing; report what a rotation would do on each host.",
    },
)
def rotate(options: Options, name: str) -> int:
    """`fab secrets rotate NAME`: replace a generated secret everywhere it is used, in a safe order."""
    from encamp.commands.rotate import rotate as run

    return run(options, name)


@command(
    group="secrets",
    help={
        "name": "The setting that the value is for; printed before it.",
        "vault-id": "Vault password to use, if there are several.",
    },
)
def encrypt(options: Options, name: str = "", vault_id: str = "") -> int:
    """`fab secrets encrypt`: encrypt a value from standard input, or from a prompt, for the inventory."""
    from encamp.commands.encrypt import encrypt as run

    return run(name, vault_id)


@command(positional=["directory"], help={"directory": "Folder of the new site (default: the current one)."})
def init(options: Options, directory: str) -> int:
    """Create a site: fabfile, inventory and .gitignore. Existing files are never overwritten."""
    from encamp.commands.init import init as run

    return run(directory)
