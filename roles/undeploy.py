"""Taking an instance off a host. Its data stays: nothing here drops a database or removes a home."""

from __future__ import annotations

from collections.abc import Iterator

from encamp.planning.plan import Item, Step
from encamp.resources.caddy import paths as caddy
from encamp.resources.files.absent import Absent
from encamp.resources.firewall.port import FirewallPort
from encamp.resources.systemd.restart import Reload
from roles.prefect.layout import Layout
from roles.prefect.runtime import Stack
from roles.server.kinds.instance_units import InstanceUnitsAbsent
from roles.server.kinds.stack_absent import StackAbsent
from roles.worker.kinds.surplus import SurplusWorkers

#: Any will do: a rule to remove is found by its name.
SOME_PORT = 4200


def resources(instance: str, shares_address: bool = False) -> Iterator[Item]:
    """Units, firewall rules, settings and the link to the release of ``instance``; the rest of the host is left.

    ``shares_address``: its site in the proxy is another instance's, too, and is left for that one.
    """
    layout = Layout(instance)
    stack = Stack(layout)
    yield SurplusWorkers(layout.name, layout.worker_user, prefixes=layout.runner_prefixes)
    yield InstanceUnitsAbsent(layout.name, layout.server_unit, (layout.user, layout.worker_user))
    yield StackAbsent(stack.program, (stack.server, stack.postgres))
    yield FirewallPort(f"prefect-{layout.name}", SOME_PORT, ensure="absent")
    yield FirewallPort(f"prefect-{layout.name}-http", SOME_PORT, ensure="absent")
    if not shares_address:
        yield Step(Absent(caddy.site_path(layout.name)), (Reload(caddy.UNIT),))
        yield Absent(caddy.certificate_path(layout.name))
    yield Absent(layout.config)
    yield Absent(layout.link)


def kept(instance: str) -> str:
    """What is left of an instance, and how its owner removes it for good."""
    layout = Layout(instance)
    volumes = " and ".join(Stack(layout).volumes)
    return (
        f"kept: {layout.home}, {layout.worker_home}, the Postgres database {layout.database} and Docker's volumes "
        f"{volumes}, where they exist. "
        f"To delete them for good: runuser -u postgres -- dropdb {layout.database}; "
        f"rm -r {layout.home} {layout.worker_home}; docker volume rm {' '.join(Stack(layout).volumes)}"
    )
