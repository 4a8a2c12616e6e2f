"""What the settings of a worker open of its host: the lines of its unit, its files, its refusals."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from encamp.errors import EncampError
from encamp.resources.files.directory import Directory
from encamp.resources.files.file import File
from encamp.resources.packages.installed import Packages
from encamp.resources.python.environment import PythonEnv
from encamp.shared.secret import Secret
from roles.worker.kinds.host_paths import HostParts, PathAccess
from roles.worker.kinds.overlay import EnvironmentOverlay
from tests.unit.roles.test_stages import planned
from tests.unit.roles.worker.test_role import plan_of, units_of


def lines(plan: Any, *names: str) -> list[str]:
    """The lines of the only worker's unit with these directives."""
    (text,) = units_of(plan).values()
    return [line for line in text.splitlines() if line.split("=")[0] in names]


def of_kind(plan: Any, kind: type) -> list[Any]:
    return [step.resource for step in plan.steps if isinstance(step.resource, kind)]


SHUT = ["NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectSystem", "ProtectHome"]
PATHS = ["ProtectHome", "PrivateTmp", "ReadWritePaths", "BindPaths", "BindReadOnlyPaths"]
HOME = "ReadWritePaths=/var/lib/prefect/default-worker"


def test_by_default_everything_is_shut_and_git_is_there(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "workers: [{pool: etl}]")
    assert lines(plan, *SHUT) == [f"{name}={'strict' if name == 'ProtectSystem' else 'yes'}" for name in SHUT]
    assert lines(plan, "RequiresMountsFor", "DeviceAllow", "SupplementaryGroups") == []
    assert [found.debian for found in of_kind(plan, Packages) if found.name == "workers"] == [("git",)]
    assert not of_kind(plan, HostParts) and not of_kind(plan, PathAccess)
    assert [one.name for one in of_kind(plan_of(tmp_path, "workers: [{system_packages: []}]"), Packages)] == ["base"]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("writable_paths: [/data, /data/]", ["ProtectHome=yes", "PrivateTmp=yes", HOME, "ReadWritePaths=/data"]),
        (
            "writable_paths: [/home/etl/out], readable_paths: [/home/etl/code, /srv/x]",
            [
                "PrivateTmp=yes",
                "ProtectHome=tmpfs",
                HOME,
                "BindPaths=/home/etl/out",
                "BindReadOnlyPaths=/home/etl/code",
            ],
        ),
        ("writable_paths: [/home]", ["ProtectHome=no", "PrivateTmp=yes", HOME, "ReadWritePaths=/home"]),
        ("readable_paths: [/home]", ["ProtectHome=read-only", "PrivateTmp=yes", HOME]),
        ("readable_paths: [/tmp/in]", ["ProtectHome=yes", "PrivateTmp=yes", HOME, "BindReadOnlyPaths=/tmp/in"]),
        (
            "writable_paths: [/tmp]",
            ["PrivateTmp=no", "ProtectHome=yes", HOME, "ReadWritePaths=/tmp", "ReadWritePaths=/var/tmp"],
        ),
        (
            "working_directory: /home/etl/flows",
            ["PrivateTmp=yes", "ProtectHome=tmpfs", HOME, "BindReadOnlyPaths=/home/etl/flows"],
        ),
        (
            "working_directory: /home/etl/x, writable_paths: [/home/etl]",
            ["PrivateTmp=yes", "ProtectHome=tmpfs", HOME, "BindPaths=/home/etl"],
        ),
        ("sandbox: false", []),
    ],
)
def test_paths_by_where_they_are(tmp_path: Path, settings: str, wanted: list[str]) -> None:
    plan = plan_of(tmp_path, f"workers: [{{{settings}}}]")
    assert sorted(lines(plan, *PATHS)) == sorted(wanted)
    assert lines(plan, "NoNewPrivileges") == ([] if "sandbox" in settings else ["NoNewPrivileges=yes"])


def test_groups_devices_and_what_must_exist(tmp_path: Path) -> None:
    settings = "groups: [docker, video], devices: [/dev/dri/card0, char-nvidia], writable_paths: [/data]"
    plan = plan_of(tmp_path, f"workers: [{{{settings}, working_directory: /srv/x}}]")
    assert lines(plan, "SupplementaryGroups", "PrivateDevices", "DevicePolicy", "DeviceAllow") == [
        "SupplementaryGroups=docker video",
        *("PrivateDevices=no", "DevicePolicy=closed", "DeviceAllow=/dev/dri/card0 rw", "DeviceAllow=char-nvidia rw"),
    ]
    assert lines(plan, "RequiresMountsFor", "WorkingDirectory") == [
        "RequiresMountsFor=/data /srv/x",
        "WorkingDirectory=/srv/x",
    ]
    unit = "prefect-worker-default.service"
    parts = HostParts(unit, groups=("docker", "video"), paths=("/data", "/srv/x"), devices=("/dev/dri/card0",))
    assert of_kind(plan, HostParts) == [parts]
    assert of_kind(plan, PathAccess) == [PathAccess(unit, ("/data",), ("/srv/x",))]


def test_an_account_of_the_owners_is_used_and_not_made(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "workers: [{user: etl}]")
    home = "/var/lib/prefect/default-worker.worker-default"
    assert lines(plan, "User", "Group", "WorkingDirectory") == ["User=etl", f"WorkingDirectory={home}"]
    assert {one.identity for one in plan_kinds(plan, "User", "Group")} == {"prefect"}
    assert Directory(home, "etl", "", 0o700) in of_kind(plan, Directory)
    own = next(one for one in of_kind(plan, File) if one.path.endswith("worker-default.env"))
    assert f"PREFECT_HOME={home}\n" in own.content and (own.owner, own.group) == ("root", "root")
    both = plan_of(tmp_path, "workers: [{user: etl}, {name: b}]")
    assert {one.identity for one in plan_kinds(both, "User")} == {"prefect", "prefect-worker"}


def plan_kinds(plan: Any, *names: str) -> list[Any]:
    return [step.resource for step in plan.steps if type(step.resource).__name__ in names]


def test_a_place_for_pip_is_on_top_of_the_locked_environment(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "workers: [{pip: true}]")
    (overlay,) = of_kind(plan, EnvironmentOverlay)
    made = next(one for one in of_kind(plan, PythonEnv) if one.path == overlay.path)
    assert made.python == f"{overlay.base}/bin/python" and overlay.user == "prefect-worker"
    start, path = lines(plan, "ExecStart")[0], lines(plan, "Environment")[1]
    assert start.startswith(f"ExecStart={overlay.path}/bin/python /opt/prefect/draining.py worker start")
    assert path.startswith(f"Environment=PATH={overlay.path}/bin:{overlay.base}/bin:")
    assert f"ReadWritePaths={overlay.path}" in lines(plan, "ReadWritePaths")


def keys(tmp_path: Path) -> None:
    for name, words in (("open", ["-N", ""]), ("shut", ["-N", "secret phrase"]), ("rsa", ["-N", "", "-m", "PEM"])):
        kind = "rsa" if name == "rsa" else "ed25519"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, *words, "-f", str(tmp_path / name)], check=True)


def test_a_deploy_key_is_a_secret_of_the_account(tmp_path: Path) -> None:
    keys(tmp_path)
    (tmp_path / "hosts").write_text("# servers\ngit.example.com ssh-ed25519 AAAA\n", "utf-8")
    for name in ("open", "rsa"):
        key = f"deploy_key: {{file: {tmp_path}/{name}}}, known_hosts: [{tmp_path}/hosts, 'a ssh-rsa BBBB']"
        plan = plan_of(tmp_path, f"workers: [{{{key}}}]")
        files = {one.path.rpartition("/")[2]: one for one in of_kind(plan, File)}
        made = files["worker-default.key"]
        assert isinstance(made.content, Secret) and (made.owner, made.mode) == ("prefect-worker", 0o600)
        assert made.content.reveal() == (tmp_path / name).read_text("utf-8")
        assert files["worker-default.known_hosts"].content.endswith("AAAA\na ssh-rsa BBBB\n")
        command = "ssh -o BatchMode=yes -i /etc/prefect/default/worker-default.key -o IdentitiesOnly=yes"
        assert f'GIT_SSH_COMMAND="{command} -o UserKnownHostsFile=' in files["worker-default.env"].content
        assert ("git", "openssh-client") in [one.debian for one in of_kind(plan, Packages)]


@pytest.mark.parametrize(("name", "reason"), [("open.pub", "is a public key"), ("shut", "has a passphrase")])
def test_a_key_that_no_worker_can_use_is_refused_without_a_word_of_it(tmp_path: Path, name: str, reason: str) -> None:
    keys(tmp_path)
    with pytest.raises(EncampError, match=f"vm1: deploy_key {reason}") as caught:
        plan_of(tmp_path, f"workers: [{{deploy_key: {{file: {tmp_path}/{name}}}}}]")
    assert caught.value.where and "AAAA" not in f"{caught.value} {caught.value.fix}"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ("writable_paths: [data]", "must be an absolute path"),
        ("writable_paths: [/a/../b]", "must be an absolute path"),
        ("readable_paths: ['/a b']", "must be an absolute path"),
        ("writable_paths: [/]", "sandbox: false"),
        ("working_directory: ~/x", "must be an absolute path"),
        ("devices: [nvidia0]", "must be a path below /dev"),
        ("groups: ['a b']", "not the name of a group"),
        ("user: 'a b'", "name of an account"),
        ("system_packages: ['-y']", "not the name of a package"),
        ("known_hosts: ['git.example.com AAAA']", "not a line of known_hosts"),
        ("known_hosts: [missing]", "missing: No such file"),
        ("sandbox: false, writable_paths: [/data]", "without a sandbox"),
        ("known_hosts: ['a b c'], environment: {GIT_SSH_COMMAND: ssh}", "remove it from environment"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(tmp_path: Path, settings: str, reason: str) -> None:
    with pytest.raises(EncampError) as caught:
        plan_of(tmp_path, f"workers: [{{{settings}}}]")
    assert reason in f"{caught.value} {caught.value.fix}" and caught.value.where


def env_of(plan: Any) -> str:
    """The settings file of a host's workers."""
    (text,) = [one.content for one in of_kind(plan, File) if one.path == "/etc/prefect/default/worker.env"]
    return text.reveal() if isinstance(text, Secret) else str(text)


SERVER = "{ansible_host: 192.0.2.7, public_url: 'https://flows.example.com/x', database: sqlite%s}"
WORKER = "{ansible_host: 192.0.2.8, server: vm1, work_pool: etl%s}"


def test_the_servers_own_host_does_not_leave_itself(tmp_path: Path) -> None:
    own = env_of(planned(tmp_path, {"vm1": SERVER % ", work_pool: etl"})[1])
    assert "PREFECT_API_URL=http://127.0.0.1:4200/x/api\n" in own
    assert "PREFECT_UI_URL=https://flows.example.com/x\n" in own
    other = env_of(planned(tmp_path, {"w1": WORKER % "", "vm1": SERVER % ""})[1])
    assert "PREFECT_API_URL=https://flows.example.com/x/api\n" in other and "PREFECT_UI_URL" not in other


def test_a_proxy_is_for_everything_but_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SITE_PROXY", "http://me:s3cret@p.example.com:3128")
    proxy = ", proxy: {env: SITE_PROXY}, no_proxy: ['*.example.org']"
    plan = planned(tmp_path, {"w1": WORKER % proxy, "vm1": SERVER % ""})[1]
    text = env_of(plan)
    exceptions = ".example.org,w1,192.0.2.8,vm1,192.0.2.7,flows.example.com,localhost,127.0.0.1,::1"
    assert f"NO_PROXY={exceptions}\n" in text.replace('"', "") and f"no_proxy={exceptions}\n" in text.replace('"', "")
    assert all(f"{name}=http://me:s3cret@p.example.com:3128\n" in text for name in ("HTTPS_PROXY", "http_proxy"))
    for made in of_kind(plan, File):
        secret = isinstance(made.content, Secret)
        assert secret == made.path.endswith("worker.env") and (secret or "s3cret" not in str(made.content))


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("proxy: 'http://u:p@h:1'", "use a secret source"),
        ("proxy: 'socks5://h:1'", "must be http://HOST:PORT"),
        ("proxy: 'h:3128'", "must be http://HOST:PORT"),
        ("proxy: 'http://h:abc'", "must be http://HOST:PORT"),
        ("no_proxy: ['a b']", "neither a name nor an address"),
    ],
)
def test_a_proxy_that_cannot_be_is_refused(tmp_path: Path, proxy: str, reason: str) -> None:
    with pytest.raises(EncampError, match=reason):
        plan_of(tmp_path, proxy)


@pytest.mark.parametrize("url", ["h:3128", "http://me:s3cret@h", "http://me:s3cret/@h:3128", "http://me:s3cret@h:x"])
def test_a_secret_that_is_no_proxy_is_refused_without_a_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("SITE_PROXY", url)
    with pytest.raises(EncampError, match="http://USER:PASSWORD@HOST:PORT") as caught:
        plan_of(tmp_path, "proxy: {env: SITE_PROXY}")
    assert caught.value.where is not None and "s3cret" not in f"{caught.value} {caught.value.fix}"
