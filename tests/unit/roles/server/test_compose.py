"""``runtime: compose`` at plan time: names, settings that cannot work, values that must survive, archives of images."""

from __future__ import annotations

import hashlib
import io
import json
import string
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from encamp.errors import EncampError, SettingsError
from encamp.planning.templates import SHIPPED
from encamp.resources.docker.image import DockerImage
from encamp.resources.files.file import File
from encamp.resources.systemd.unit import SystemdUnit
from encamp.shared.wire import PART_SIZE, BlobStore
from encamp.support import quoting
from roles.prefect.layout import Layout
from roles.prefect.runtime import Stack
from roles.server import image_archive
from tests.unit.roles.test_stages import planned

IMAGES = "prefect_image: a/prefect:1, postgres_image: 'a/postgres:1'"


def stack(tmp_path: Path, settings: str = "") -> Any:
    """The Compose file of a host's plan."""
    _, plan = planned(tmp_path, {"vm1": f"{{ansible_host: 192.0.2.7, runtime: compose{settings}}}"})
    files = [step.resource for step in plan.steps if isinstance(step.resource, File)]
    return yaml.safe_load(str(next(file.content for file in files if file.path.endswith("/compose.yaml"))))


def archive(path: Path, tags: dict[str, str]) -> Path:
    """A file as `docker save` writes it: the tags, and the name of each one's configuration."""
    manifest = [{"Config": f"{config}.json", "RepoTags": [tag], "Layers": []} for tag, config in tags.items()]
    with tarfile.open(path, "w:gz") as tar:
        data = json.dumps(manifest).encode()
        member = tarfile.TarInfo("manifest.json")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return path


def test_postgres_has_no_network_and_the_server_the_hosts(tmp_path: Path) -> None:
    services = stack(tmp_path)["services"]
    assert services["server"]["network_mode"] == "host" and "ports" not in services["server"]
    assert services["postgres"]["network_mode"] == "none"
    assert services["server"]["image"] == "prefecthq/prefect:3.9.1-python3.11"


def test_sqlite_has_no_postgres(tmp_path: Path) -> None:
    found = stack(tmp_path, ", database: sqlite")
    assert list(found["services"]) == ["server"] and list(found["volumes"]) == ["home"]
    assert list(found["secrets"]) == ["server.env"] and "depends_on" not in found["services"]["server"]


def test_all_data_is_in_volumes_that_no_stack_removes(tmp_path: Path) -> None:
    volumes = stack(tmp_path)["volumes"]
    assert volumes["home"]["external"] and volumes["database"]["external"]


def test_instances_share_no_name(tmp_path: Path) -> None:
    values = "{ansible_host: 192.0.2.7, runtime: compose, instances: {default: {}, personal: {port: 4202}}}"
    _, plan = planned(tmp_path, {"vm1": values})
    texts = [str(step.resource.content) for step in plan.steps if isinstance(step.resource, File)]
    one, two = (yaml.safe_load(text) for text in texts if text.startswith("# Managed") and "services:" in text)
    for service in ("server", "postgres"):
        assert one["services"][service]["container_name"] != two["services"][service]["container_name"]
    assert {volume["name"] for volume in one["volumes"].values() if volume}.isdisjoint(
        volume["name"] for volume in two["volumes"].values() if volume
    )
    assert len({step.resource.name for step in plan.steps if isinstance(step.resource, SystemdUnit)}) == 2


@pytest.mark.parametrize("image", ["prefecthq/prefect", "prefecthq/prefect:latest", "a b", "a@sha256:1", "host:5000/a"])
def test_an_image_that_is_not_pinned_is_refused(tmp_path: Path, image: str) -> None:
    with pytest.raises(EncampError, match="prefect_image"):
        stack(tmp_path, f", prefect_image: '{image}'")


@pytest.mark.parametrize("image", ["a:1", "host:5000/a/b:1.2-x", f"a/b@sha256:{'0' * 64}"])
def test_a_pinned_image_is_taken(tmp_path: Path, image: str) -> None:
    assert stack(tmp_path, f", prefect_image: '{image}'")["services"]["server"]["image"] == image


# -- archives --------------------------------------------------------------------------------------------------------


def test_an_archive_gives_the_images_that_it_holds_and_no_other(tmp_path: Path) -> None:
    path = archive(tmp_path / "images.tar.gz", {"a/prefect:1": "f" * 64})
    values = f"{{ansible_host: 192.0.2.7, runtime: compose, {IMAGES}, image_archive: {path}}}"
    _, plan = planned(tmp_path, {"vm1": values})
    prefect, postgres = (step.resource for step in plan.steps if isinstance(step.resource, DockerImage))
    assert prefect.ids == (f"sha256:{'f' * 64}",) and prefect.archive
    assert not postgres.ids and not postgres.archive


def test_an_archive_with_none_of_the_images_names_those_it_has(tmp_path: Path) -> None:
    path = archive(tmp_path / "images.tar.gz", {"b/other:2": "f" * 64})
    with pytest.raises(SettingsError, match="b/other:2") as caught:
        stack(tmp_path, f", {IMAGES}, image_archive: {path}")
    assert caught.value.where is not None


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.tar.gz"
    path.write_bytes(b"not a tar")
    with pytest.raises(SettingsError, match="not an image archive"):
        stack(tmp_path, f", {IMAGES}, image_archive: {path}")
    with pytest.raises(SettingsError, match="No such file"):
        stack(tmp_path, f", {IMAGES}, image_archive: {tmp_path / 'nowhere.tar'}")


def test_the_parts_of_an_archive_are_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "images.tar.gz", {"a/prefect:1": "f" * 64})
    with path.open("ab") as stream:
        stream.write(bytes(PART_SIZE) + b"end")
    read = image_archive.read(path)
    store = BlobStore()
    sent = b"".join(store.get(part.sha256) for part in store.put_file(read.content))
    assert hashlib.sha256(sent).digest() == hashlib.sha256(path.read_bytes()).digest()
    assert image_archive.read(path) == read, "what is known of it is kept"


# -- values ----------------------------------------------------------------------------------------------------------

TEXT = st.text(alphabet="".join(set(string.printable) - set("\n\r\v\f")) + "é€😀", max_size=40)


@given(TEXT)
def test_a_value_reaches_the_server_as_it_is(value: str) -> None:
    """What env_value quotes, the container's start.py reads back, as systemd would."""
    import builtins
    import os
    import sys

    program = str(SHIPPED.render("compose/start.py.j2"))
    found: dict[str, str] = {}
    names = {"open": lambda *args, **options: io.StringIO(f"# a comment\nNAME={quoting.env_value(value)}\n")}
    saved = os.environ.copy(), os.execvp, sys.argv
    try:
        sys.argv = ["start.py", "prefect", "server", "start"]
        os.execvp = lambda *args: found.update(NAME=os.environ["NAME"])  # type: ignore[assignment,misc]
        exec(compile(program, "start.py", "exec"), {"__builtins__": {**vars(builtins), **names}})
    finally:
        os.environ.clear()
        os.environ.update(saved[0])
        os.execvp, sys.argv = saved[1:]
    assert found["NAME"] == value


@given(TEXT)
def test_a_compose_string_is_read_back_by_yaml(value: str) -> None:
    assert yaml.safe_load(quoting.compose_string(value)) == value.replace("$", "$$")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("database_pool_size: 500", "has 97 connections for clients"),
        ("database_host: vm1", "database_host is this host"),
        ("port: 80", "port 80 is privileged"),
        ("database_url: {command: [echo, 'postgresql://u:p@/db?host=/run/pg']}", "a socket on the host"),
        ("registry_user: deploy", "registry_user and registry_password must be set together"),
        (
            "instances: {default: {}, other: {port: 4202, database_pool_size: 90}}",
            r"may open 101 \(vm1 \(other\) 101\)",
        ),
    ],
)
def test_what_a_stack_cannot_have_is_refused(tmp_path: Path, settings: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as caught:
        stack(tmp_path, f", {settings}")
    assert caught.value.fix and "postgres_max_connections" not in caught.value.fix, "a stack's Postgres has none of it"


def test_no_instance_takes_the_names_of_another(tmp_path: Path) -> None:
    projects = {Stack(Layout(name)).project for name in ("default", "a2", "a-server2", "server2")}
    assert projects == {"prefect", "prefect-a2", "prefect-a-server2", "prefect-server2"}


def test_two_stacks_cannot_share_a_database_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_URL", "postgresql://u:p@db/prefect")
    host = "{ansible_host: 192.0.2.%s, runtime: compose, database_url: {env: A_URL}}"
    with pytest.raises(SettingsError, match=r"hosts.yml:5: vm1 and vm2 would use one database"):
        planned(tmp_path, {"vm1": host % 7, "vm2": host % 8})


def test_the_postgres_of_a_stack_is_nobody_elses(tmp_path: Path) -> None:
    big = "database_pool_size: 50"
    instances = f"{{default: {{{big}}}, other: {{port: 4202, runtime: compose, database_name: prefect, {big}}}}}"
    planned(tmp_path, {"vm1": f"{{ansible_host: 192.0.2.7, instances: {instances}}}"})
