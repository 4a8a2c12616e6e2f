"""The tasks. Each passes its options on to one function; `fab --help TASK` explains them."""

from __future__ import annotations

from typing import Any

from encamp.cli.options import Options
from encamp.cli.task import COMMON, FLEET, ROLLOUT, command

#: Those of a site; ``init`` is the program's alone.
__all__ = (
    "configure_client",
    "deploy",
    "doctor",
    "encrypt",
    "history",
    "inventory",
    "lock",
    "rotate",
    "secrets",
    "secrets_list",
    "settings",
    "undeploy",
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
        "plan": "Change nothing, and write to this file exactly what would be done.",
        "apply": "Do exactly what such a file says, or refuse.",
        "verify": "End with a real flow run on each host that changed.",
    },
)
def deploy(options: Options, verify: bool = True, plan: str = "", apply: str = "") -> int:
    """Make the hosts (-H, or all servers and workers) be what the files say."""
    if plan or apply:
        from encamp.commands import saved_plan

        return saved_plan.run(options, verify, plan, apply)
    from encamp.commands.deploy import deploy as run

    return run(options, verify)


@command(
    *FLEET,
    "check",
    "diff",
    "instance",
    help={
        "profile": "Name of the profile to write (default: hosted).",
        "server": "Inventory name of the server to use, where the site has several.",
        "api-url": "API to use, for a server that this inventory does not know.",
        "mode": "hosted, database or local (default: the client's own setting client_mode).",
        "instance": "Only this instance of the server, and its profile becomes the active one.",
        "undo": "Put back exactly what was there before.",
        "install": "Give a client without Prefect the server's release, without root.",
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
) -> int:
    """Point clients (-H; without it, this machine) at the hosted API, at its database, or at nothing (--mode local)."""
    from encamp.commands.configure_client import ClientOptions
    from encamp.commands.configure_client import configure_client as run

    return run(options, ClientOptions(profile, server, api_url, mode, undo, install))


@command(*FLEET, help={"server": "Server that clients are to be proved against."})
def verify(options: Options, server: str = "") -> int:
    """Prove clients and workers (or -H) by a real flow run, read back from the hosted API."""
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
        "project": "Directory that flows are started in (default: home; here: the current one). May be given again.",
        "server": "Inventory name of the server that clients are to use, where the site has several.",
        "fix": "Do what is safe: write and activate encamp's own profile, start a stopped or failed unit.",
        "symptom": "Explain an error text instead: a file, or - for standard input.",
    },
)
def doctor(options: Options, project: Any = None, server: str = "", fix: bool = False, symptom: str = "") -> int:
    """Say which API each host (-H; or this machine and the whole site) really uses, and what is wrong on the way."""
    from encamp.commands import doctor as run

    return run.symptom(symptom) if symptom else run.run(options, project or (), server, fix)


@command("inventory", help={"last": "How many runs to tell (default: 20)."})
def history(options: Options, last: str = "20") -> int:
    """Tell the latest runs from here; with -H, who changed what on those hosts."""
    from encamp.commands.history import history as run

    return run(options, last)


@command(*FLEET, "check", "instance", help={"instance": "The instance to remove."})
def undeploy(options: Options) -> int:
    """Take an instance off its hosts (-H): units, firewall rule and settings. Its database and home are kept."""
    from encamp.commands.undeploy import undeploy as run

    return run(options)


@command(
    "inventory",
    iterable=["with_"],
    help={
        "prefect": "The release, such as 3.9.1.",
        "exclude-newer": "Resolve as of this date (YYYY-MM-DD).",
        "with": "A further package for workers, 'name==1.2.3'; may be repeated. Such a lock is the site's own.",
    },
)
def lock(options: Options, prefect: str, exclude_newer: str = "", with_: Any = None) -> int:
    """Resolve and hash the dependencies of a Prefect release as of its own date, into the site's locks/."""
    from encamp.commands.lock import lock as run

    return run(options, prefect, exclude_newer, with_ or ())


@command(
    "inventory",
    "set",
    help={
        "graph": "Draw the groups and their hosts (that is the default).",
        "list": "All groups, hosts and variables as JSON.",
        "vars": "In the graph, name the variables of hosts and groups, too.",
    },
)
def inventory(options: Options, graph: bool = False, list: bool = False, vars: bool = False) -> int:
    """Show the site's groups and hosts (below the group -H), as ansible-inventory does, without secrets."""
    from encamp.commands.inventory import inventory as run

    return run(options, graph, list, vars)


@command("inventory", "set")
def settings(options: Options) -> int:
    """Show every effective setting of the hosts (-H, or all), and the file and line that set it."""
    from encamp.commands.settings import settings as run

    return run(options)


FETCH = {"test": "Fetch each to see whether it can be had; commands are run."}


@command("inventory", "set", help=FETCH)
def secrets(options: Options, test: bool = False) -> int:
    """List the site's secrets, their sources and users, never a value. `secrets rotate NAME`, `secrets encrypt`."""
    from encamp.commands.secrets import show

    return show(options, test)


@command("inventory", "set", group="secrets", name="list", help=FETCH)
def secrets_list(options: Options, test: bool = False) -> int:
    """As `fab secrets list`: the same as `fab secrets`."""
    from encamp.commands.secrets import show

    return show(options, test)


@command(
    *COMMON,
    "check",
    "wait",
    group="secrets",
    positional=["name"],
    help={
        "name": "The secret, as `fab secrets` names it.",
        "check": "Change nothing; say what a rotation would do, and look at its hosts.",
    },
)
def rotate(options: Options, name: str) -> int:
    """As `fab secrets rotate NAME`: change a generated secret everywhere it is used, in a safe order."""
    from encamp.commands.rotate import rotate as run

    return run(options, name)


@command(
    group="secrets",
    help={
        "name": "The setting that the value is for; printed before it.",
        "vault-id": "Which vault password to use, where there are several.",
    },
)
def encrypt(options: Options, name: str = "", vault_id: str = "") -> int:
    """As `fab secrets encrypt`: a value from standard input, or asked for, encrypted for the inventory."""
    from encamp.commands.encrypt import encrypt as run

    return run(name, vault_id)


@command(positional=["directory"], help={"directory": "Folder of the new site (default: the current one)."})
def init(options: Options, directory: str) -> int:
    """Make a site: fabfile, inventory and what git is to leave out. Nothing is overwritten."""
    from encamp.commands.init import init as run

    return run(directory)
