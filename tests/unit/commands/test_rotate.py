"""``fab secrets rotate``: which steps it takes around its deploys, and that it may be cut at each of them.

A stand-in for the deploy tells what it was asked for; what deploys do to hosts is for the integration tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import fabric
import pytest

from encamp.cli.options import Options
from encamp.commands import finish_rotation
from encamp.commands import rotate as command
from encamp.inventory.load import load_inventory
from encamp.secrets.rotation import Rotation
from encamp.site import Site

AUTH, AUTHORITY = "vm1/default/api-auth", "tls-ca"
HOSTS = """
all:
  children:
    servers:
      hosts: {vm1: {ansible_host: 198.18.0.7, auth: auto, tls: internal, public_url: "https://p.example.com"}}
    workers: {hosts: {vm2: {ansible_host: 198.18.0.8}}}
    clients: {hosts: {laptop1: {}}}
"""


class Cut(Exception):
    """The run ends here."""


class Deploys:
    """In place of real ones. ``cut``: the number of the call that is cut; ``after``: when it had done its work."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen, self.cut, self.after, self.code = folder, list[str](), -1, False, 0

    def site(self) -> Site:
        return Site(load_inventory(self.folder), [], "make")

    def state(self, name: str) -> str:
        return Rotation(self.site().secrets.path(name)).state()

    def __call__(self, options: Options, verify: bool = True) -> int:
        number = len(self.seen)
        states = [self.state(name) for name in (AUTH, AUTHORITY)]
        self.seen.append(f"{'look' if options.check else 'deploy'} {options.hosts} {'/'.join(states)}")
        if number == self.cut and not self.after:
            raise Cut
        if not options.check and self.code == 0:
            site = self.site()
            for name in (AUTH, AUTHORITY):
                site.generated(name)
            finish_rotation.finish_rotations(site, set(options.hosts.split(",")), True, options.rotating)
        if number == self.cut:
            raise Cut
        return self.code


@pytest.fixture
def deploys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deploys:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    made = Deploys(tmp_path)
    site = made.site()
    for name in (AUTH, AUTHORITY):
        site.generated(name)
    monkeypatch.setattr(command, "deploy", made)
    return made


@pytest.fixture
def run(deploys: Deploys) -> Callable[..., int]:
    def go(name: str, **more: bool) -> int:
        options = Options(fabric.Config(), inventory=str(deploys.folder))
        return command.rotate(dataclasses.replace(options, **more), name)

    return go


def test_a_password_is_switched_between_a_look_and_a_deploy(
    deploys: Deploys, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = deploys.site().generated(AUTH)
    assert run(AUTH) == 0
    assert deploys.seen == ["look vm1,vm2 none/none", "deploy vm1,vm2 switched/none"]
    assert deploys.site().generated(AUTH) != before and deploys.state(AUTH) == "none"
    told = capsys.readouterr().out
    assert "next: fab -H laptop1 configure-client" in told and before.reveal() not in told


def test_an_authority_waits_for_clients_between_two_calls(
    deploys: Deploys, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = deploys.site().generated(AUTHORITY)
    assert run(AUTHORITY) == 0
    assert deploys.seen == ["look vm1,vm2 none/none", "deploy vm1,vm2 none/prepared"]
    assert deploys.site().generated(AUTHORITY) == before
    told = capsys.readouterr().out
    assert "next: fab -H laptop1 configure-client" in told and told.count("fab secrets rotate tls-ca") == 1
    assert run(AUTHORITY) == 0
    assert deploys.seen[2:] == [f"deploy vm1,vm2 none/{state}" for state in ("prepared", "switched", "none")]
    assert deploys.site().generated(AUTHORITY) != before and deploys.state(AUTHORITY) == "none"


def test_a_check_changes_nothing_and_a_failed_look_stops(deploys: Deploys, run: Callable[..., int]) -> None:
    before = deploys.site().generated(AUTH)
    assert run(AUTH, check=True) == 0 and deploys.state(AUTH) == "none"
    deploys.code = 3
    assert run(AUTH) == 3
    assert [line.split()[0] for line in deploys.seen] == ["look", "look"]
    assert deploys.site().generated(AUTH) == before and deploys.site().secrets.others(AUTH) == ()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", [AUTH, AUTHORITY])
@pytest.mark.parametrize("by_deploy", [False, True])
def test_cut_at_any_deploy_it_ends_with_one_new_value(
    deploys: Deploys, run: Callable[..., int], name: str, after: bool, by_deploy: bool
) -> None:
    """Before or after the deploy had done its work; finished by a plain deploy and the next call, or by calls alone."""
    for cut in range(5):
        before = deploys.site().generated(name)
        deploys.seen.clear()
        deploys.cut, deploys.after = cut, after
        try:
            for _ in range(2 if name == AUTHORITY else 1):
                run(name)
        except Cut:
            present = deploys.site().generated(name)
            assert before in (present, *deploys.site().secrets.others(name)) or deploys.state(name) == "none"
        deploys.cut = -1
        if by_deploy:
            deploys(Options(fabric.Config(), hosts="vm1,vm2"))
        for _ in range(3):
            if deploys.site().generated(name) == before or deploys.state(name) != "none":
                run(name)
        assert deploys.site().generated(name) != before and deploys.state(name) == "none"
