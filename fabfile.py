"""encamp's tasks. Each parses its options and calls one function; `fab --help TASK` explains them."""

from __future__ import annotations

import gc

# A run lives for seconds: collecting cyclic garbage among what it imports is time for nothing. Before the imports.
gc.set_threshold(200_000)

from typing import Any  # noqa: E402

from invoke.exceptions import Exit  # noqa: E402

from encamp import rollout  # noqa: E402
from encamp.commands.options import Options, guarded  # noqa: E402
from encamp.executor import fleet_task  # noqa: E402

INVENTORY = "Site to use: a folder or a file (default: inventory/, or ENCAMP_INVENTORY)."
CHECK = "Change nothing; say what would change."
DIFF = "Show the contents that change."
SET = "Override a setting, as KEY=VALUE. May be given several times."
JSON = "Write every event to this file, one JSON object a line; - is standard output."
JUNIT = "Write the result to this file as JUnit XML, for CI systems."
FORKS = "How many hosts to work on at once (default: 10)."
LIMIT = "Of those hosts only the ones that this pattern names."
INSTANCE = "Only the instance of this name, on hosts that have several."
VERBOSE = "Name what is in order, too."
COMMON = {"inventory": INVENTORY, "set": SET, "json": JSON, "junit": JUNIT, "verbose": VERBOSE}
FLEET = {**COMMON, "forks": FORKS, "limit": LIMIT}


def _options(c: Any, forks: str = "10", **given: Any) -> Options:
    given["forks"] = int(forks) if forks.isdecimal() else 0
    return Options(c.config, hosts=c.config.encamp.hosts, **given)


def _end(code: int) -> None:
    if code:
        raise Exit(code=code)


@fleet_task(
    iterable=["set"],
    help={
        **FLEET,
        "check": CHECK,
        "diff": DIFF,
        "exit-code": "With --check or --plan: exit 10 when something would change.",
        "plan": "Change nothing, and write to this file exactly what would be done.",
        "apply": "Do exactly what such a file says, or refuse.",
        "verify": "End with a real flow run on each host that changed.",
        "instance": INSTANCE,
        "retry": "Only hosts that did not end well last time.",
        "batch": "How many hosts to finish before the next are begun: a number, or a share such as 25%.",
        "max-fail": "How many hosts of a stage may fail, or what share, before no more are begun (default: 0).",
        "any-errors-fatal": "After the first failure begin no host any more.",
        "wait": "Seconds to wait for a host that another run is at work on.",
    },
)
def deploy(
    c: Any,
    check: bool = False,
    diff: bool = False,
    exit_code: bool = False,
    verify: bool = True,
    inventory: str = "",
    set: Any = None,
    json: str = "",
    junit: str = "",
    verbose: bool = False,
    forks: str = "10",
    instance: str = "",
    limit: str = "",
    retry: bool = False,
    batch: str = "",
    max_fail: str = "",
    any_errors_fatal: bool = False,
    wait: str = "0",
    plan: str = "",
    apply: str = "",
) -> None:
    """Make the hosts (-H, or all servers and workers) be what the files say."""
    from encamp.commands.deploy import deploy as run

    def go() -> int:
        options = _options(
            c,
            forks,
            check=check,
            diff=diff,
            want_exit_code=exit_code,
            inventory=inventory,
            overrides=set or (),
            json_file=json,
            junit_file=junit,
            verbose=verbose,
            instance=instance,
            limit=limit,
            retry=retry,
            rollout=rollout.parse(batch, max_fail, any_errors_fatal),
            wait=rollout.seconds("--wait", wait),
        )
        if not (plan or apply):
            return run(options, verify)
        from encamp.commands import saved_plan

        return saved_plan.run(options, verify, plan, apply)

    _end(guarded(go))


@fleet_task(
    iterable=["set"],
    help={
        **FLEET,
        "check": CHECK,
        "diff": DIFF,
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
    c: Any,
    profile: str = "",
    server: str = "",
    api_url: str = "",
    mode: str = "",
    instance: str = "",
    undo: bool = False,
    install: bool = False,
    check: bool = False,
    diff: bool = False,
    inventory: str = "",
    set: Any = None,
    json: str = "",
    junit: str = "",
    verbose: bool = False,
    forks: str = "10",
    limit: str = "",
) -> None:
    """Point clients (-H; without it, this machine) at the hosted API, at its database, or at nothing (--mode local)."""
    from encamp.commands.configure_client import Wish
    from encamp.commands.configure_client import configure_client as run

    options = _options(
        c,
        forks,
        limit=limit,
        check=check,
        diff=diff,
        inventory=inventory,
        overrides=set or (),
        json_file=json,
        junit_file=junit,
        verbose=verbose,
        instance=instance,
    )
    wish = Wish(profile, server, api_url, mode, undo, install)
    _end(guarded(lambda: run(options, wish)))


@fleet_task(iterable=["set"], help={**FLEET, "server": "Server that clients are to be proved against."})
def verify(
    c: Any,
    server: str = "",
    inventory: str = "",
    set: Any = None,
    json: str = "",
    junit: str = "",
    verbose: bool = False,
    forks: str = "10",
    limit: str = "",
) -> None:
    """Prove clients and workers (or -H) by a real flow run, read back from the hosted API."""
    from encamp.commands.verify import verify as run

    options = _options(
        c,
        forks,
        limit=limit,
        inventory=inventory,
        overrides=set or (),
        json_file=json,
        junit_file=junit,
        verbose=verbose,
    )
    _end(guarded(lambda: run(options, server)))


@fleet_task(
    iterable=["set", "project"],
    help={
        "inventory": INVENTORY,
        "set": SET,
        "json": JSON,
        "junit": JUNIT,
        "forks": FORKS,
        "limit": LIMIT,
        "project": "Directory that flows are started in (default: home; here: the current one). May be given again.",
        "server": "Inventory name of the server that clients are to use, where the site has several.",
        "fix": "Do what is safe: write and activate encamp's own profile, start a stopped or failed unit.",
        "symptom": "Explain an error text instead: a file, or - for standard input.",
    },
)
def doctor(
    c: Any,
    project: Any = None,
    server: str = "",
    fix: bool = False,
    symptom: str = "",
    inventory: str = "",
    set: Any = None,
    json: str = "",
    junit: str = "",
    forks: str = "10",
    limit: str = "",
) -> None:
    """Say which API each host (-H; or this machine and the whole site) really uses, and what is wrong on the way."""
    from encamp.commands import doctor as command

    options = _options(
        c, forks, limit=limit, inventory=inventory, overrides=set or (), json_file=json, junit_file=junit
    )
    _end(guarded(lambda: command.symptom(symptom) if symptom else command.run(options, project or (), server, fix)))


@fleet_task(help={"inventory": INVENTORY, "last": "How many runs to tell (default: 20)."})
def history(c: Any, last: str = "20", inventory: str = "") -> None:
    """Tell the latest runs from here; with -H, who changed what on those hosts."""
    from encamp.commands.history import history as run

    options = _options(c, inventory=inventory, check=True)
    _end(guarded(lambda: run(options, last)))


@fleet_task(iterable=["set"], help={**FLEET, "check": CHECK, "instance": "The instance to remove."})
def undeploy(
    c: Any,
    instance: str = "",
    check: bool = False,
    inventory: str = "",
    set: Any = None,
    json: str = "",
    junit: str = "",
    verbose: bool = False,
    forks: str = "10",
    limit: str = "",
) -> None:
    """Take an instance off its hosts (-H): units, firewall rule and settings. Its database and home are kept."""
    from encamp.commands.undeploy import undeploy as run

    options = _options(
        c,
        forks,
        limit=limit,
        check=check,
        inventory=inventory,
        overrides=set or (),
        json_file=json,
        junit_file=junit,
        verbose=verbose,
        instance=instance,
    )
    _end(guarded(lambda: run(options)))


@fleet_task(
    iterable=["with_"],
    help={
        "prefect": "The release, such as 3.8.8.",
        "exclude-newer": "Resolve as of this date (YYYY-MM-DD).",
        "with": "A further package for workers, 'name==1.2.3'; may be repeated. Such a lock is the site's own.",
        "inventory": INVENTORY,
    },
)
def lock(c: Any, prefect: str, exclude_newer: str = "", with_: Any = None, inventory: str = "") -> None:
    """Resolve and hash the dependencies of a Prefect release as of its own date, into roles/locks."""
    from encamp.commands.lock import lock as run

    _end(guarded(lambda: run(prefect, exclude_newer, with_ or (), inventory)))


@fleet_task(
    iterable=["set"],
    help={
        "inventory": INVENTORY,
        "set": SET,
        "graph": "Draw the groups and their hosts (that is the default).",
        "list": "All groups, hosts and variables as JSON.",
        "vars": "In the graph, name the variables of hosts and groups, too.",
    },
)
def inventory(
    c: Any, graph: bool = False, list: bool = False, vars: bool = False, inventory: str = "", set: Any = None
) -> None:
    """Show the site's groups and hosts (below the group -H), as ansible-inventory does, without secrets."""
    from encamp.commands.inventory import inventory as run

    options = _options(c, inventory=inventory, overrides=set or ())
    _end(guarded(lambda: run(options, list and not graph, vars)))


@fleet_task(iterable=["set"], help={"inventory": INVENTORY, "set": SET})
def settings(c: Any, inventory: str = "", set: Any = None) -> None:
    """Show every effective setting of the hosts (-H, or all), and the file and line that set it."""
    from encamp.commands.settings import settings as run

    options = _options(c, inventory=inventory, overrides=set or ())
    _end(guarded(lambda: run(options)))


@fleet_task(
    iterable=["set"],
    help={"inventory": INVENTORY, "set": SET, "test": "Fetch each to see whether it can be had; commands are run."},
)
def secrets(c: Any, test: bool = False, inventory: str = "", set: Any = None) -> None:
    """List the site's secrets, their sources and users, never a value. `secrets rotate NAME`, `secrets encrypt`."""
    from encamp.commands.secrets import show

    _end(guarded(lambda: show(_options(c, inventory=inventory, overrides=set or ()), test)))


@fleet_task(group="secrets", name="list", help={"inventory": INVENTORY, "test": "Fetch each, as in `secrets`."})
def secrets_list(c: Any, test: bool = False, inventory: str = "") -> None:
    """As `fab secrets list`: the same as `fab secrets`."""
    from encamp.commands.secrets import show

    _end(guarded(lambda: show(_options(c, inventory=inventory), test)))


@fleet_task(
    group="secrets",
    positional=["name"],
    iterable=["set"],
    help={
        **COMMON,
        "name": "The secret, as `fab secrets` names it.",
        "check": "Change nothing; say what a rotation would do, and look at its hosts.",
        "wait": "Seconds to wait for a host that another run is at work on.",
    },
)
def rotate(
    c: Any,
    name: str,
    check: bool = False,
    inventory: str = "",
    set: Any = None,
    json: str = "",
    junit: str = "",
    verbose: bool = False,
    wait: str = "0",
) -> None:
    """As `fab secrets rotate NAME`: change a generated secret everywhere it is used, in a safe order."""
    from encamp.commands.rotate import rotate as run

    def go() -> int:
        options = _options(
            c,
            check=check,
            inventory=inventory,
            overrides=set or (),
            json_file=json,
            junit_file=junit,
            verbose=verbose,
            wait=rollout.seconds("--wait", wait),
        )
        return run(options, name)

    _end(guarded(go))


@fleet_task(
    group="secrets",
    help={
        "name": "The setting that the value is for; printed before it.",
        "vault-id": "Which vault password to use, where there are several.",
    },
)
def encrypt(c: Any, name: str = "", vault_id: str = "") -> None:
    """As `fab secrets encrypt`: a value from standard input, or asked for, encrypted for the inventory."""
    from encamp.commands.encrypt import encrypt as run

    _end(guarded(lambda: run(name, vault_id)))
