"""A secret's change, killed between any two system calls; and what plans are told of both values meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from encamp.commands.deploy import prepare
from encamp.errors import SettingsError
from encamp.inventory.load import load_inventory
from encamp.resources.caddy.expectation import CaddyExpectation
from encamp.resources.certificates.ca_bundle import CaBundle
from encamp.secrets.rotation import Rotation
from encamp.secrets.store import SecretStore, changing
from encamp.shared.secret import Secret
from encamp.site import Site
from roles import generated_secrets
from roles.network import trust
from roles.prefect.kinds.api_auth import ApiAuth

NAME = "vm1/default/api-auth"
#: Every call that changes files on the way.
CALLS = ("link", "replace", "unlink", "fsync", "open")


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    made = SecretStore(tmp_path / "secrets", "make")
    made.get(NAME)
    return made


def values(folder: Path) -> tuple[Secret, tuple[Secret, ...]]:
    """What a new process takes for the secret, and what it knows besides."""
    found = SecretStore(folder, "refuse")
    return found.get(NAME), found.others(NAME)


def change(path: Path) -> None:
    rotation = Rotation(path)
    rotation.prepare()
    rotation.switch()
    rotation.confirm(SecretStore(path.parent, "refuse").get(NAME))


def _killed_at(path: str, call: int) -> None:
    """Switch to a new secret, and die before the ``call``-th system call of those that change files."""
    left = [call]

    def mortal(real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*arguments, **options)

        return run

    for name in CALLS:
        setattr(os, name, mortal(getattr(os, name)))
    rotation = Rotation(Path(path))
    rotation.prepare()
    rotation.switch()


def test_a_rotation_keeps_both_values_until_the_new_one_holds(store: SecretStore) -> None:
    old, path = store.get(NAME), store.path(NAME)
    rotation = Rotation(path)
    assert rotation.state() == "none" and values(store.folder) == (old, ())
    rotation.prepare()
    new = Secret(path.with_name(path.name + "~next").read_text().strip())
    assert rotation.state() == "prepared" and values(store.folder) == (old, (new,)) and new != old
    rotation.switch()
    assert rotation.state() == "switched" and values(store.folder) == (new, (old,))
    assert not rotation.confirm(old), "a run that began before the switch says nothing of the new value"
    assert rotation.confirm(new) and values(store.folder) == (new, ()) and not changing(store.folder)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(store.folder)) == [".gitignore", path.name]


def test_killed_between_any_two_system_calls_it_goes_on(store: SecretStore) -> None:
    context, path = multiprocessing.get_context("fork"), store.path(NAME)
    calls, killed = 0, True
    while killed:
        before = values(store.folder)[0]
        run = context.Process(target=_killed_at, args=(str(path), calls))
        run.start()
        run.join(60)
        killed = run.exitcode == -signal.SIGKILL
        assert killed or run.exitcode == 0
        present, others = values(store.folder)
        assert before in (present, *others), "the value that hosts have is never lost"
        change(path)
        after, others = values(store.folder)
        assert after != before and others == ()
        calls += 1
    assert calls > 8, "the sweep met no system call"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    rotation = Rotation(tmp_path / "none" / "x")
    with pytest.raises(SettingsError):
        (tmp_path / "none").write_text("a file")
        rotation.prepare()


# -- what plans know ---------------------------------------------------------------------------------------------------


def fleet(folder: Path, text: str) -> Site:
    (folder / "hosts.yml").write_text(text)
    return Site(load_inventory(folder), [], "make")


AUTH = """
all:
  children:
    servers: {hosts: {vm1: {ansible_host: 198.18.0.7, auth: auto}}}
    workers: {hosts: {vm2: {ansible_host: 198.18.0.8}}}
    clients: {hosts: {laptop1: {}, laptop2: {client_mode: local}}}
"""


def test_a_host_with_the_old_auth_string_is_not_taken_for_anothers(tmp_path: Path) -> None:
    site = fleet(tmp_path, AUTH)
    old = site.generated(NAME)
    rotation = Rotation(site.secrets.path(NAME))
    rotation.prepare()
    rotation.switch()
    site = fleet(tmp_path, AUTH)
    plans = prepare(site, [site.host("vm1"), site.host("vm2")], verify=False).plans.values()
    looks = [step.resource for plan in plans for step in plan.steps if isinstance(step.resource, ApiAuth)]
    assert len(looks) == 2
    for look in looks:
        assert [line.reveal() for line in look.known] == [f"{look.setting}=admin:{old.reveal()}"]
        assert look.line and site.generated(NAME).reveal() in look.line.reveal()


def test_an_authority_is_trusted_before_it_signs_and_after(tmp_path: Path) -> None:
    text = AUTH.replace("auth: auto", "tls: internal, public_url: 'https://p.example.com'")
    path = fleet(tmp_path, text).secrets.path(trust.AUTHORITY)
    first = trust.authority(fleet(tmp_path, text))
    rotation, seen = Rotation(path), []
    for step in (rotation.prepare, rotation.switch):
        step()
        site = fleet(tmp_path, text)
        seen.append(trust.authority(site).id)
        plans = prepare(site, [site.host("vm1"), site.host("vm2")], verify=False).plans.values()
        steps = [step.resource for plan in plans for step in plan.steps]
        bundles = [one.content for one in steps if isinstance(one, CaBundle)]
        assert len(bundles) == 2 and all(str(text).count("BEGIN CERTIFICATE") == 2 for text in bundles)
        assert all(first.certificate in str(text) for text in bundles)
        looks = [one for one in steps if isinstance(one, CaddyExpectation)]
        assert [len(marks) for look in looks for marks in look.authorities.values()] == [2]
    assert seen[0] == first.id != seen[1]


def test_what_is_generated_and_who_has_it(tmp_path: Path) -> None:
    text = """
all:
  children:
    databases: {hosts: {db1: {ansible_host: 198.18.0.5}}}
    servers:
      hosts:
        vm1:
          ansible_host: 198.18.0.7
          database_host: db1
          instances:
            default: {auth: auto, tls: internal, public_url: "https://a.example.com"}
            own:
              port: 4201
              public_url: http://b.example.com:4201
              auth: {env: NOBODY_ASKS}
              database_password: {env: NOBODY_ASKS}
    workers: {hosts: {vm2: {ansible_host: 198.18.0.8, server: vm1/default}}}
    clients: {hosts: {laptop1: {}, laptop2: {client_mode: database}}}
"""
    (tmp_path / "hosts.yml").write_text(text)
    site = Site(load_inventory(tmp_path), [], "plan", fetch=False)
    found = {one.name: (one.kind, one.hosts, one.clients) for one in generated_secrets.find(site)}
    assert found == {
        "vm1/default/api-auth": ("auth", ("vm1", "vm2"), ("laptop1",)),
        "db1/postgres/prefect": ("role", ("db1", "vm1"), ("laptop2",)),
        "tls-ca": ("authority", ("vm1", "vm2"), ("laptop1",)),
    }
