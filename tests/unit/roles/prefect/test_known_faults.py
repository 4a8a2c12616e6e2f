"""Faults of releases: found by version and by what the host is to be, told or refused before a host is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import SettingsError
from encamp.inventory.load import load_inventory
from encamp.site import Site, SiteHost
from roles import stages
from roles.prefect import known_faults, versions


def site(tmp_path: Path, **settings: object) -> tuple[SiteHost, Site]:
    values = "".join(f"          {key}: {value}\n" for key, value in settings.items())
    path = tmp_path / "hosts.yml"
    path.write_text(
        f"all:\n  children:\n    servers:\n      hosts:\n        one:\n          ansible_host: 192.0.2.1\n{values}"
    )
    loaded = load_inventory(path)
    fleet = Site(loaded, list(loaded.hosts.values()))
    return fleet.host("one"), fleet


def names(version: str, **facts: bool) -> set[str]:
    return {fault.name for fault in known_faults.problems(version, **facts)}


def test_the_default_release_has_no_known_fault() -> None:
    assert not names("3.9.1", auth=True, worker=True, proxy=True)


@pytest.mark.parametrize(
    ("version", "found"),
    [
        ("3.1.7", set()),
        ("3.1.15", {"open-event-socket", "lost-task-runs"}),
        ("3.6.13", {"open-event-socket", "auth-bypass", "lost-task-runs"}),
        ("3.6.21", {"auth-bypass", "lost-task-runs"}),
        ("3.6.22", {"lost-task-runs"}),
        ("3.8.3", set()),
    ],
)
def test_faults_of_auth_begin_and_end_with_a_release(version: str, found: set[str]) -> None:
    assert names(version, auth=True) == found
    assert names(version) == set()


@pytest.mark.parametrize(
    ("version", "found"), [("3.1.12", False), ("3.4.25", True), ("3.6.13", True), ("3.6.14", False)]
)
def test_releases_that_do_not_start_on_an_ipv6_address(version: str, found: bool) -> None:
    assert ("no-ipv6" in names(version, ipv6=True)) is found and "no-ipv6" not in names(version)


def test_a_server_bound_to_ipv6_needs_a_release_that_can(tmp_path: Path) -> None:
    host, fleet = site(tmp_path, prefect_version="'3.6.13'", bind="'::'", auth="off", allowed_sources="['fd00::/8']")
    with pytest.raises(SettingsError, match=r"one: Prefect 3\.6\.13: the server does not start on an IPv6 address"):
        list(stages.items(host, fleet, stages.taking_part(host), prove=False))


def test_a_fault_of_two_generations_ends_in_each() -> None:
    fault = next(fault for fault in known_faults.FAULTS if fault.name == "cors-open")
    assert [fault.fixed_in(version) for version in ("2.0.4", "2.20.17", "3.0.2", "3.0.3")] == [
        "2.20.17",
        "",
        "3.0.3",
        "",
    ]


def test_every_fault_names_its_thread_and_a_later_release() -> None:
    for fault in known_faults.FAULTS:
        assert fault.thread.startswith(("https://", "CVE-"))
        assert all(versions.parse(since) < versions.parse(fixed) for since, fixed in fault.ranges)


def test_a_warning_names_thread_first_good_release_and_the_word_to_accept_it(tmp_path: Path) -> None:
    host, fleet = site(tmp_path, prefect_version="'2.7.12'")
    (told,) = stages.warnings(host, fleet)
    assert "CVE-2024-8183" in told and "First good release: 2.20.17" in told and told.endswith("[cors-open]")
    accepted, fleet = site(tmp_path, prefect_version="'2.7.12'", accept_known_faults="[cors-open]")
    assert stages.warnings(accepted, fleet) == []


def test_auth_that_guards_nothing_is_refused_unless_it_is_accepted(tmp_path: Path) -> None:
    host, _ = site(tmp_path, prefect_version="'3.6.21'")
    known_faults.refuse(host, [])
    with pytest.raises(SettingsError, match=r"21063.*First good release: 3\.6\.22") as error:
        known_faults.refuse(host, ["auth"])
    assert "accept_known_faults: [auth-bypass]" in error.value.fix and error.value.where
    accepted, _ = site(tmp_path, prefect_version="'3.6.21'", accept_known_faults="[auth-bypass]")
    known_faults.refuse(accepted, ["auth"])


def test_an_unknown_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    host, _ = site(tmp_path, accept_known_faults="[csrf]")
    with pytest.raises(SettingsError, match="csrf is not one of auth-bypass"):
        host.settings(known_faults.Settings)
