"""Faults of Prefect releases that matter to who runs them, each with its thread and the first good release.

Told or refused before a host is touched. Each was read in the thread or seen in the release's own source; those that
encamp works around are not listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from encamp.errors import SettingsError
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import SiteHost
from roles.prefect import versions
from roles.prefect.release import prefect_version


@record
class Fault:
    """``ranges``: (first release with it, first without). It counts where all ``facts`` hold: ``auth`` (the API asks
    for a password), ``worker`` (the host runs a worker or agent), ``proxy`` (one is in front), ``ipv6`` (the server is
    bound to an IPv6 address).

    ``refuse``: not deployed unless the operator accepts it by ``name``; else it is a warning.
    """

    name: str
    ranges: tuple[tuple[str, str], ...]
    what: str
    thread: str
    facts: tuple[str, ...] = ()
    refuse: bool = False

    def fixed_in(self, version: str) -> str:
        """The first fixed release after ``version``; empty where that one is not affected."""
        return next((fixed for since, fixed in self.ranges if versions.within(version, since, fixed)), "")

    def text(self, version: str) -> str:
        """The fault for an operator."""
        return f"Prefect {version}: {self.what} ({self.thread}). First good release: {self.fixed_in(version)}"


FAULTS = (
    Fault(
        "auth-bypass",
        (("3.2.1", "3.6.22"),),
        "any path that ends in `health` or `ready` is served without the password",
        "https://github.com/PrefectHQ/prefect/pull/21063",
        ("auth",),
        refuse=True,
    ),
    Fault(
        "open-event-socket",
        (("3.1.8", "3.6.14"),),
        "the WebSocket for events requires no password: anyone who can reach the port can forge task runs",
        "CVE-2026-7723, https://github.com/PrefectHQ/prefect/pull/20372",
        ("auth",),
        refuse=True,
    ),
    Fault(
        "ui-in-package",
        (("2.14.14", "2.14.16"),),
        "the server writes its UI into its own package, and does not start if that is read-only, as encamp makes it",
        "https://github.com/PrefectHQ/prefect/issues/11640",
        refuse=True,
    ),
    Fault(
        "no-ipv6",
        (("3.1.13", "3.6.14"),),
        "the server does not start on an IPv6 address (Invalid host)",
        "https://github.com/PrefectHQ/prefect/issues/20343",
        ("ipv6",),
        refuse=True,
    ),
    Fault(
        "lost-task-runs",
        (("3.1.8", "3.8.3"),),
        "clients do not send the password when they open the WebSocket for events: behind a proxy that requires it, "
        "task runs are lost without an error",
        "https://github.com/PrefectHQ/prefect/issues/22812",
        ("auth",),
    ),
    Fault(
        "worker-exit-at-boot",
        (("2.10", "3.8.1"),),
        "a worker exits if the API is down when it starts; its unit restarts it every few seconds",
        "https://github.com/PrefectHQ/prefect/issues/22638",
        ("worker",),
    ),
    Fault(
        "git-argument-injection",
        (("2.10", "3.6.25"),),
        "anyone who may create deployments can make git run a program on the worker's host",
        "CVE-2026-5366",
        ("worker",),
    ),
    Fault(
        "cors-open",
        (("2.0", "2.20.17"), ("3.0", "3.0.3")),
        "any web page can call the API from the browser of a user who can reach it",
        "CVE-2024-8183, https://github.com/PrefectHQ/prefect/pull/17559",
    ),
    Fault(
        "redirect-host",
        (("2.0", "3.7.7"),),
        "redirects contain the server's internal address instead of the proxy's",
        "https://github.com/PrefectHQ/prefect/pull/22406",
        ("proxy",),
    ),
)
NAMES = tuple(fault.name for fault in FAULTS)


def _check_names(value: Any) -> str | None:
    wrong = [name for name in value if name not in NAMES]
    return f"{wrong[0]} is not one of {', '.join(NAMES)}" if wrong else None


@record
class Settings:
    """Known faults of Prefect releases."""

    accept_known_faults: tuple[str, ...] = setting(
        (),
        "Known faults of a Prefect release to accept, by the names in the error or warning.",
        check=_check_names,
        example="[auth-bypass]",
    )


def problems(version: str, **facts: bool) -> list[Fault]:
    """The faults of a release where these facts hold: ``auth``, ``worker``, ``proxy``, ``ipv6``."""
    holding = {name for name, holds in facts.items() if holds}
    return [fault for fault in FAULTS if fault.fixed_in(version) and holding.issuperset(fault.facts)]


def refuse(host: SiteHost, facts: Iterable[str]) -> None:
    """Raises SettingsError for the first fault that makes a release unfit for what the host is to be."""
    for fault in _open(host, facts):
        if fault.refuse:
            raise SettingsError(
                f"{host.name}: {fault.text(_version(host))}",
                f"deploy that release or a later one; or accept_known_faults: [{fault.name}]",
                host.origin("prefect_version"),
            )


def warnings(host: SiteHost, facts: Iterable[str]) -> list[str]:
    """Warnings about the release before a deploy."""
    return [f"{fault.text(_version(host))} [{fault.name}]" for fault in _open(host, facts) if not fault.refuse]


def _open(host: SiteHost, facts: Iterable[str]) -> Sequence[Fault]:
    accepted = host.settings(Settings).accept_known_faults
    found = problems(_version(host), **dict.fromkeys(facts, True))
    return [fault for fault in found if fault.name not in accepted]


def _version(host: SiteHost) -> str:
    return prefect_version(host)
