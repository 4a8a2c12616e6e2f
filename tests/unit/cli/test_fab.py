"""The command line: what it offers, and what it says to mistakes. A socket stands where a host would be."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from encamp import tasks
from tests.checkout import CHECKOUT
from tests.unit import warm_fab

FAB = Path(sys.executable).with_name("fab")
TASKS = ("deploy", "configure-client", "verify", "lock")
#: Tasks that only make sense behind ``secrets``.
GROUPED = ("encrypt", "rotate", "secrets-list", "list")


def fab(*arguments: str, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run fab in the checkout, as an operator would."""
    inventory = str(site or CHECKOUT / "inventory" / "lab")
    return warm_fab.fab(*arguments, env={**os.environ, "ENCAMP_INVENTORY": inventory, "COLUMNS": "80"})


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A port that notes who knocks: nobody may."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0)
        yield listening


@pytest.fixture
def site(tmp_path: Path, door: socket.socket) -> Path:
    """A site with two servers and a client behind the port."""
    (tmp_path / "hosts.yml").write_text(
        f"""
all:
  vars: {{ansible_host: 127.0.0.1, ansible_port: {door.getsockname()[1]}, connect_tries: 1}}
  children:
    servers:
      hosts:
        web1: {{public_url: "http://web1.example.com:4200"}}
        web2: {{public_url: "http://web2.example.com:4200"}}
    clients:
      hosts: {{laptop: {{}}}}
""",
        "utf-8",
    )
    return tmp_path


def nobody_knocked(door: socket.socket) -> bool:
    try:
        door.accept()
    except BlockingIOError:
        return True
    return False


def test_the_door_notices(door: socket.socket, site: Path) -> None:
    """What the tests below rely on: a run that gets to a host does knock."""
    with socket.create_connection(door.getsockname()):
        assert not nobody_knocked(door)


def test_list_names_every_task_with_what_it_does() -> None:
    done = fab("--list")
    assert done.returncode == 0 and done.stderr == ""
    for task in TASKS:
        assert f"  {task}  " in done.stdout
    assert "Bring hosts (-H, or all servers and workers) to the state" in done.stdout
    assert not any(line.split()[0] in GROUPED for line in done.stdout.splitlines() if line.startswith("  "))
    assert "`secrets rotate NAME`, `secrets encrypt`" in done.stdout


@pytest.mark.parametrize("task", TASKS)
def test_help_explains_every_option(task: str) -> None:
    done = fab("--help", task)
    assert done.returncode == 0 and done.stderr == ""
    options = [line for line in done.stdout.partition("Options:")[2].splitlines() if line.startswith("  -")]
    assert options
    for line in options:
        assert len(line.split("  ")) > 2, f"nothing is said of {line}"


def test_help_of_deploy_says_what_each_option_is_for() -> None:
    said = " ".join(fab("--help", "deploy").stdout.split())
    for words in ("--check Change nothing", "--set Override a setting, as KEY=VALUE", "--[no-]verify", "--json=STRING"):
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        pytest.param("-H web3 deploy", 4, ("no host or group web3", "did you mean web"), id="unknown-host"),
        pytest.param("-H web1 deploy --set prot=1", 4, ("no setting prot", "did you mean port?"), id="unknown-key"),
        pytest.param("-H web1 deploy --set port=70000", 4, ("--set port: port is 70000",), id="port"),
        pytest.param("-H web1 deploy --set port", 1, ("expected key=value",), id="no-value"),
        pytest.param("-H web1 deploy --forks x", 1, ("--forks",), id="forks"),
        pytest.param("-H web1 deploy --exit-code", 1, ("--check",), id="exit-code"),
        pytest.param("-H web1 deploy --nosuch", 1, ("--nosuch",), id="unknown-option"),
        pytest.param("-H web1 nosuch", 1, ("nosuch",), id="unknown-task"),
        pytest.param("inventory --graph --list", 1, ("leave --graph",), id="graph-or-list"),
        pytest.param("-H laptop deploy", 1, ("laptop", "configure-client"), id="a-client"),
        pytest.param("-H web1 deploy --set prefect_version=3", 4, ("three numbers", "3.9.1"), id="version"),
        pytest.param(
            "-H web1 deploy --set prefect_version=3.0.999",
            4,
            ("--set prefect_version: there is no lock", "fab lock --prefect 3.0.999"),
            id="no-lock",
        ),
        pytest.param(
            "-H laptop configure-client", 1, ("which server to use is not clear", "web1, web2"), id="which-server"
        ),
        pytest.param("lock", 1, ("prefect",), id="lock-of-what"),
        pytest.param("lock --prefect 3.9.1 --exclude-newer soon", 1, ("2026-10-30",), id="no-date"),
    ],
)
def test_a_mistake_ends_with_words_and_code(
    site: Path, door: socket.socket, arguments: str, code: int, words: tuple[str, ...]
) -> None:
    done = fab(*arguments.split(), site=site)
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert nobody_knocked(door)


@pytest.mark.parametrize(
    ("traps", "said"), [(["--dry", "-H", "vm1"], "--check"), (["-H", ""], "no host"), (["-H", " , "], "no host")]
)
def test_traps_of_fabrics_own_options_are_refused(traps: list[str], said: str) -> None:
    """--dry would deploy for real, and an unset variable after -H would mean the whole site."""
    done = fab(*traps, "deploy")
    assert done.returncode == 1 and said in done.stderr


@pytest.mark.parametrize(
    ("task", "option"),
    [
        *[("deploy", option) for option in ("--plan", "--apply", "--limit", "--inventory", "--set")],
        ("undeploy", "--instance"),
        ("lock", "--with"),
    ],
)
def test_an_option_without_a_value_does_not_count_as_left_out(
    site: Path, door: socket.socket, task: str, option: str
) -> None:
    """`--plan "$FILE"` with no such variable would be the deploy itself, `--limit "$HOSTS"` all hosts."""
    needed = ["--prefect", "3.9.1"] if task == "lock" else []
    done = fab("-H", "web1", task, *needed, option, "", site=site)
    assert done.returncode == 1 and f"{option} has no value" in done.stderr
    assert nobody_knocked(door)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "No such file", id="missing"),
        pytest.param(b"Host web1\n    Porrt\n", "line 2", id="not-for-openssh"),
    ],
)
def test_a_file_that_openssh_refuses_is_told_in_its_words(
    site: Path, door: socket.socket, tmp_path: Path, content: bytes | None, said: str
) -> None:
    """Fabric itself ends with a traceback over either, before any task is reached."""
    file = tmp_path / "ssh_config"
    if content is not None:
        file.write_bytes(content)
    done = fab("-S", str(file), "-H", "web1", "verify", site=site)
    assert done.returncode == 4 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert nobody_knocked(door)


def test_a_file_that_fabric_cannot_read_and_openssh_can(site: Path, door: socket.socket, tmp_path: Path) -> None:
    file = tmp_path / "ssh_config"
    file.write_bytes(b"# der Rechner in K\xf6ln\nHost web1\n    User dev\n")
    done = fab("-S", str(file), "-H", "web1", "verify", "--set", "connect_timeout=1", site=site)
    assert done.returncode == 3 and "Traceback" not in done.stderr, done.stderr
    assert not nobody_knocked(door)


OWN_TASK = """
import fabric


@fabric.task
def where(c):
    print(c.user, c.host, c.port)
"""


@pytest.mark.parametrize(
    ("config", "code", "said"),
    [
        pytest.param(
            "Host web1\n    Hostname web1.example.com\n    Port 2222\n", 0, "web1.example.com 2222", id="read"
        ),
        pytest.param("Host web1\n    Port\n", 1, "Fabric cannot read OpenSSH's configuration", id="refused"),
    ],
)
def test_a_task_of_the_users_own_has_fabrics_view_of_openssh(tmp_path: Path, config: str, code: int, said: str) -> None:
    (tmp_path / "fabfile.py").write_text((CHECKOUT / "fabfile.py").read_text("utf-8") + OWN_TASK, "utf-8")
    shutil.copy(CHECKOUT / "fabric.yaml", tmp_path)
    (tmp_path / "ssh_config").write_text(config, "utf-8")
    done = fab("-r", str(tmp_path), "-S", str(tmp_path / "ssh_config"), "-H", "web1", "where")
    assert done.returncode == code and said in done.stdout + done.stderr, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--plan", "a", "--apply", "b"), 1, "--plan and --apply exclude each other"),
        (("--apply", "b", "--set", "port=1"), 1, "--set cannot change that"),
        (("--apply", "b", "--limit", "web1"), 1, "--limit cannot change that"),
        (("--apply", "b", "--no-verify"), 1, "--no-verify cannot change that"),
        (("--apply", "b"), 6, "the key of this site's plans is not on this machine"),
        (("--plan", "/nosuch/plan.json"), 6, "cannot write a plan to /nosuch/plan.json"),
        (("--plan", "plan.json", "--set", "prot=1"), 4, "there is no setting prot"),
    ],
)
def test_mistakes_with_saved_plans(
    site: Path, door: socket.socket, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = fab("deploy", *arguments, site=site)
    assert done.returncode == code and words in done.stderr, done.stdout + done.stderr
    assert not (site / "secrets").exists()
    with pytest.raises(BlockingIOError):
        door.accept()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("adopt",), "adopt needs the names of its hosts"),
        (("-H", "web1", "adopt", "--instance", "b"), "--instance requires --undo"),
        (("-H", "web1", "adopt", "--undo", "--server", "b.service"), "--undo excludes --server"),
        (("bundle",), "a bundle is made on a host with a network"),
        (("-H", "web1", "bundle", "--file", "/tmp"), "--file /tmp: not a regular file"),
        (("-H", "web1", "bundle", "--file", "/nosuch/x"), "--file /nosuch/x: No such file or directory"),
        (("-H", "web1", "bundle", "--file", __file__), "exists, and is no bundle"),
        (("deploy", "--bundle", "/nosuch"), "--bundle /nosuch: No such file or directory"),
        (("deploy", "--bundle", "/tmp"), "--bundle /tmp is a folder"),
        (("deploy", "--bundle", __file__), "is no whole bundle: file could not be opened successfully\n"),
        (("doctor", "--server", "nosuch"), "name it with --server HOST"),
    ],
)
def test_mistakes_touch_no_host(site: Path, door: socket.socket, arguments: tuple[str, ...], words: str) -> None:
    done = fab(*arguments, site=site)
    assert done.returncode == 1 and words in done.stderr and "fix: " in done.stderr, done.stdout + done.stderr
    assert nobody_knocked(door)


def test_adopt_of_a_host_that_is_unreachable(site: Path, door: socket.socket) -> None:
    door.close()
    done = fab("-H", "web1", "adopt", "--set", "connect_timeout=1", site=site)
    assert done.returncode == 3 and "UNREACHABLE" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("forbidden", "kept"), [("", True), ("1", False)])
def test_a_run_keeps_its_bytecode_for_the_next(tmp_path: Path, forbidden: str, kept: bool) -> None:
    """Fabric forbids Python to; compiling encamp would be a third of each run. The user's own word counts."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": forbidden}
    subprocess.run([FAB, "--list"], cwd=CHECKOUT, env=environment, capture_output=True, check=True)
    assert any(tmp_path.rglob("encamp/cli/options.*.pyc")) is kept


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_nothing(site: Path, closed: str) -> None:
    """Some schedulers start their jobs so; the next file that is opened must not take a stream's number."""
    events = site / "events.jsonl"
    command = f'exec "{FAB}" -H web1 deploy --check --set ansible_port=1 --json "{events}" {closed}'
    done = subprocess.run(
        ["sh", "-c", command], cwd=CHECKOUT, env={**os.environ, "ENCAMP_INVENTORY": str(site)}, check=False
    )
    last = json.loads(events.read_text().splitlines()[-1])
    assert (done.returncode, last["event"], last["exit_code"]) == (3, "recap", 3)


@pytest.mark.parametrize("task", [["inventory", "--list"], ["settings"], ["secrets", "encrypt"]])
def test_output_that_is_lost_is_an_error(site: Path, tmp_path: Path, task: list[str]) -> None:
    """`fab secrets encrypt >> host_vars/web1.yml` on a full disk would leave half a value and say nothing."""
    password = tmp_path / "password"
    password.write_text("s3same")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [FAB, *task],
            cwd=CHECKOUT,
            env={**os.environ, "ENCAMP_INVENTORY": str(site), "ENCAMP_VAULT_PASSWORD_FILE": str(password)},
            input="value",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1 and "standard output: No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_task_may_have_letters_of_its_own_and_only_those() -> None:
    assert set(tasks.logs.short) == {"follow", "lines"}
    names = {name for argument in tasks.logs.get_arguments() for name in argument.names}
    assert {"f", "follow", "n", "lines"} <= names and not {"s", "u", "l", "g"} & names
