"""Clients: profiles written and taken back, flows that arrive, and what is told when they would not."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from live import LiveLab

from tests.integration.looks import Fab, api, changed, counts, psql, succeeded, traces
from tests.integration.patients import proxy
from tests.integration.places import FLOW, fab_here

SERVER = "vm1"
LAPTOPS = ("laptop1", "laptop2")
HOME = "/home/dev"
PROFILES = f"{HOME}/.prefect/profiles.toml"
STATE = f"{HOME}/.local/state/encamp"
PYTHON = f"{HOME}/.local/share/encamp/prefect/bin/python"
SHIPPED_SITE = Path(__file__).resolve().parents[2] / "inventory"
PROXY_PORT = 4300
NO_PROFILE = "absent"

#: A profiles file that someone wrote by hand: odd spacing, comments, an order that means something to them.
THEIRS = """\
# Mine. The one for work comes first.
active = "work"   # keep

[profiles.work]
PREFECT_API_URL = "https://prefect.work.example/api"      # the old server

# For trying things out
[profiles.local]
PREFECT_API_URL='http://127.0.0.1:4200/api'
PREFECT_LOGGING_LEVEL = "DEBUG"
"""

#: A file with a profile that knows no server.
MINE = """active = "mine"

[profiles.mine]
PREFECT_LOGGING_LEVEL = "INFO"
"""


def api_url(lab: LiveLab, port: int = 4200) -> str:
    return f"http://{lab.address(SERVER)}:{port}/api"


def profile(lab: LiveLab, name: str = "hosted") -> str:
    """The lines that encamp adds to a profiles file."""
    return f'\n[profiles.{name}]\nPREFECT_API_URL = "{api_url(lab)}"\nPREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "false"\n'


def put(lab: LiveLab, laptop: str, path: str, text: str, mode: str = "0600") -> None:
    """Write a file as the laptop's user would."""
    lab.ssh(laptop, f"mkdir -p $(dirname {path}) && cat > {path} && chmod {mode} {path}", text=text)


def state_of(lab: LiveLab, laptop: str, path: str = PROFILES) -> tuple[str, str]:
    """A file's content, and its mode and owner."""
    file = lab.host(laptop).file(path)
    return (file.content.decode(), f"{file.mode:04o} {file.user}") if file.exists else (NO_PROFILE, "")


@pytest.fixture(scope="module")
def lab_with_server(server: LiveLab) -> Iterator[LiveLab]:
    """The lab with two laptops on which nothing was configured; they are left as they were found."""
    server.up(*LAPTOPS)
    for laptop in LAPTOPS:
        server.ssh(laptop, f"rm -rf {HOME}/.prefect {STATE}")
    yield server
    for laptop in LAPTOPS:
        server.ssh(laptop, f"rm -rf {HOME}/.prefect {STATE}")


def test_a_laptop_without_prefect_is_told_how_to_get_one(lab_with_server: LiveLab) -> None:
    lab = lab_with_server
    lab.ssh("laptop2", f"rm -rf {HOME}/.local/share/encamp {HOME}/.local/bin/prefect")
    done = lab.fab("-H", "laptop2", "configure-client")
    assert "Prefect is not installed for this user; `fab configure-client --install`" in succeeded(done)
    assert changed(done) == {"PrefectProfile:hosted"}
    proof = lab.fab("-H", "laptop2", "verify")
    assert proof.returncode == 2
    assert "Prefect is not installed" in proof.stdout and "--install" in proof.stdout
    succeeded(lab.fab("-H", "laptop2", "configure-client", "--undo"))
    assert state_of(lab, "laptop2") == (NO_PROFILE, "")


@pytest.fixture(scope="module")
def configured(lab_with_server: LiveLab) -> tuple[LiveLab, Fab]:
    """Both laptops configured at once, by their group; laptop1 had a profiles file of its own, laptop2 none."""
    lab = lab_with_server
    put(lab, "laptop1", PROFILES, THEIRS, "0640")
    before = {laptop: lab.ssh_sessions(laptop) for laptop in LAPTOPS}
    done = lab.fab("-H", "clients", "configure-client", "--install")
    succeeded(done)
    assert {laptop: lab.ssh_sessions(laptop) - before[laptop] for laptop in LAPTOPS} == dict.fromkeys(LAPTOPS, 1)
    return lab, done


@pytest.fixture
def laptops(configured: tuple[LiveLab, Fab]) -> LiveLab:
    return configured[0]


def test_a_group_of_laptops_is_configured_at_once(configured: tuple[LiveLab, Fab]) -> None:
    lab, done = configured
    for laptop in LAPTOPS:
        assert counts(done, laptop)["failed"] == 0
        assert f"{laptop}  note     {api_url(lab)} is reachable from this machine: Prefect 3." in done.stdout
        assert re.search(rf"{laptop}  note     Prefect 3\.\S+ in {HOME}/.local/share/encamp/envs/", done.stdout)
    assert "active profile: work -> hosted" in done.stdout


def test_other_profiles_comments_order_and_mode_are_kept(laptops: LiveLab) -> None:
    text, rights = state_of(laptops, "laptop1")
    assert text == THEIRS.replace('active = "work"', 'active = "hosted"') + profile(laptops)
    assert rights == "0640 dev"
    assert state_of(laptops, "laptop2") == ('active = "hosted"\n' + profile(laptops), "0600 dev")


def test_a_second_run_changes_nothing_in_one_session(laptops: LiveLab) -> None:
    before = laptops.ssh_sessions("laptop1")
    done = laptops.fab("-H", "laptop1", "configure-client", "--install")
    succeeded(done)
    assert counts(done, "laptop1")["changed"] == 0
    assert laptops.ssh_sessions("laptop1") == before + 1


def test_the_laptops_own_prefect_uses_the_profile(laptops: LiveLab) -> None:
    view = laptops.ssh("laptop1", "bash -lc 'prefect config view --show-sources'").stdout
    assert f"PREFECT_API_URL='{api_url(laptops)}' (from profile)" in view
    assert "PREFECT_PROFILE='hosted'" in view


def test_a_flow_started_on_the_laptop_is_found_on_the_server(laptops: LiveLab) -> None:
    name = f"from-the-laptop-{os.getpid()}-{time.time_ns()}"
    put(laptops, "laptop1", "flow.py", FLOW)
    try:
        laptops.ssh("laptop1", f"{PYTHON} flow.py {name}")
        query = {"flows": {"name": {"any_": [name]}}}
        runs = api(laptops, "laptop2", f"{api_url(laptops)}/flow_runs/filter", query)
        assert [run["state_type"] for run in runs] == ["COMPLETED"]
        where = f"flow_id = (SELECT id FROM flow WHERE name = '{name}')"
        assert (
            psql(laptops, SERVER, f"SELECT id, state_type FROM flow_run WHERE {where}") == f"{runs[0]['id']}|COMPLETED"
        )
    finally:
        laptops.ssh("laptop1", "rm -f flow.py")
        for run in api(laptops, "laptop2", f"{api_url(laptops)}/flow_runs/filter", query):
            laptops.ssh("laptop2", f"curl -sS -X DELETE {api_url(laptops)}/flow_runs/{run['id']}")
        laptops.ssh("laptop2", f"curl -sS -X DELETE {api_url(laptops)}/flows/{runs[0]['flow_id']}")


def test_verify_proves_every_client_and_leaves_nothing(laptops: LiveLab) -> None:
    before = traces(laptops, SERVER)
    done = laptops.fab("verify")
    succeeded(done)
    for laptop in LAPTOPS:
        proof = (
            rf"{laptop}  note     flow run [0-9a-f-]{{36}}, task run [0-9a-f-]{{36}}, log line read back in .* \(client"
        )
        assert re.search(proof, done.stdout), done.stdout
        assert counts(done, laptop)["changed"] == 0
        left = laptops.ssh(laptop, f"ls {STATE}").stdout.split()
        assert set(left) <= {"audit.jsonl", "profiles-undo.json"}
    assert re.search(r"^  vm1 ", done.stdout, re.MULTILINE) is None, "a server proves nothing where clients do"
    assert traces(laptops, SERVER) == before


def test_check_and_diff_change_nothing(laptops: LiveLab) -> None:
    before = state_of(laptops, "laptop1"), state_of(laptops, "laptop1", f"{STATE}/profiles-undo.json")
    done = laptops.fab("-H", "laptop1", "configure-client", "--profile", "other", "--check", "--diff")
    succeeded(done)
    assert changed(done, "would") == {"PrefectProfile:other"}
    assert "+[profiles.other]" in done.stdout and '-active = "hosted"' in done.stdout
    assert (state_of(laptops, "laptop1"), state_of(laptops, "laptop1", f"{STATE}/profiles-undo.json")) == before


def test_a_deleted_profile_is_repaired_and_nothing_else(laptops: LiveLab) -> None:
    whole = state_of(laptops, "laptop1")
    put(laptops, "laptop1", PROFILES, THEIRS.replace('active = "work"', 'active = "hosted"'), "0640")
    done = laptops.fab("-H", "laptop1", "configure-client", "--install")
    succeeded(done)
    assert changed(done) == {"PrefectProfile:hosted"} and counts(done, "laptop1")["changed"] == 1
    assert "profile hosted: absent -> present" in done.stdout and "active profile" not in done.stdout
    assert state_of(laptops, "laptop1") == whole
    laptops.ssh("laptop2", f"rm {PROFILES}")
    done = laptops.fab("-H", "laptop2", "configure-client")
    assert changed(done) == {"PrefectProfile:hosted"} and f"file: absent -> {PROFILES}" in done.stdout
    assert state_of(laptops, "laptop2") == ('active = "hosted"\n' + profile(laptops), "0600 dev")


def test_what_would_win_over_the_profile_is_told(laptops: LiveLab) -> None:
    """Each with its place, and no key in the output."""
    files = {
        ".bashrc": "\nexport PREFECT_API_URL=http://elsewhere:4200/api\n",
        ".profile": "\nexport PREFECT_PROFILE=work\n",
        ".env": "PREFECT_API_KEY=pnu_verysecret\n",
        "prefect.toml": '[api]\nurl = "http://project:4200/api"\n',
    }
    for name, text in files.items():
        laptops.ssh("laptop1", f"touch {name}; cp {name} {name}.kept; cat >> {name}", text=text)
    laptops.ssh("laptop1", f"sed -i '/profiles.local/aPREFECT_API_KEY = \"pnu_alsosecret\"' {PROFILES}")
    try:
        said = succeeded(laptops.fab("-H", "laptop1", "configure-client"))
    finally:
        laptops.ssh("laptop1", f"sed -i /pnu_alsosecret/d {PROFILES}")
        for name in files:
            laptops.ssh("laptop1", f"mv {name}.kept {name}; [ -s {name} ] || rm {name}")
    for wanted in (
        rf"{HOME}/\.bashrc:\d+: PREFECT_API_URL=http://elsewhere:4200/api overrides the profile's API URL",
        rf"{HOME}/\.profile:\d+: PREFECT_PROFILE=work overrides the active profile",
        rf"{HOME}/\.env:1: PREFECT_API_KEY=\*\*\* is a Prefect Cloud key",
        rf"{HOME}/prefect\.toml:2: PREFECT_API_URL=http://project:4200/api overrides the profile's API URL",
        rf"{re.escape(PROFILES)}:\d+: profile local contains PREFECT_API_KEY",
    ):
        assert re.search(wanted, said), f"{wanted}\n{said}"
    assert "secret" not in said


def test_an_api_that_does_not_answer_the_laptop_is_a_failure_and_the_profile_stays(laptops: LiveLab) -> None:
    before = state_of(laptops, "laptop1")
    done = laptops.fab("-H", "laptop1", "configure-client", "--api-url", f"http://{laptops.address(SERVER)}:4999")
    assert done.returncode == 2
    assert "Connection refused" in done.stdout
    assert "cause:  the machine is reachable, but nothing listens on that port" in done.stdout
    assert "fix:" in done.stdout
    assert state_of(laptops, "laptop1") == before


def test_invalid_toml_is_refused_with_its_place_and_left_alone(laptops: LiveLab) -> None:
    whole = state_of(laptops, "laptop2")
    broken = whole[0] + "\n[profiles.half\n"
    put(laptops, "laptop2", PROFILES, broken)
    try:
        done = laptops.fab("-H", "laptop2", "configure-client")
        assert done.returncode == 2
        assert re.search(rf"{re.escape(PROFILES)}:\d+:\d+: ", done.stdout)
        assert "nothing was changed" in done.stdout
        assert state_of(laptops, "laptop2") == (broken, "0600 dev")
    finally:
        put(laptops, "laptop2", PROFILES, whole[0])


@pytest.fixture
def through_a_proxy(laptops: LiveLab, tmp_path: Path) -> Iterator[Path]:
    """A site whose clients reach the server by a proxy that lets no WebSocket pass, while health checks are green."""
    public_url = f"http://{laptops.address(SERVER)}:{PROXY_PORT}"
    with proxy(laptops, PROXY_PORT):
        yield laptops.site(tmp_path / "site", host_vars={SERVER: {"public_url": public_url}})


def test_verify_tells_that_task_runs_get_lost(laptops: LiveLab, through_a_proxy: Path) -> None:
    before, text = traces(laptops, SERVER), state_of(laptops, "laptop1")
    configure = ("-H", "laptop1", "configure-client", "--profile", "proxied")
    succeeded(laptops.fab(*configure, inventory=through_a_proxy))
    done = laptops.fab("-H", "laptop1", "verify", inventory=through_a_proxy)
    assert done.returncode == 2, done.stdout
    assert re.search(r"flow run [0-9a-f-]{36} arrived, but its task run did not", done.stdout)
    assert "WebSocket" in done.stdout and "run `fab doctor` for this client" in done.stdout
    assert traces(laptops, SERVER) == before
    succeeded(laptops.fab(*configure, "--undo", inventory=through_a_proxy))
    assert state_of(laptops, "laptop1") == text, "the profile written before, and its being active, come back"


def test_verify_tells_that_another_profile_is_active(laptops: LiveLab) -> None:
    whole = state_of(laptops, "laptop2")[0]
    put(laptops, "laptop2", PROFILES, MINE + whole.removeprefix('active = "hosted"\n'))
    done = laptops.fab("-H", "laptop2", "verify")
    assert done.returncode == 2
    assert "Prefect uses no API URL here" in done.stdout and "fab configure-client" in done.stdout
    done = laptops.fab("-H", "laptop2", "configure-client")
    assert changed(done) == {"PrefectProfile:hosted"} and "active profile: mine -> hosted" in done.stdout


def test_it_must_be_clear_which_server(laptops: LiveLab, tmp_path: Path) -> None:
    two = laptops.site(tmp_path / "two")
    hosts = yaml.safe_load((two / "hosts.yml").read_text("utf-8"))
    hosts["all"]["children"]["servers"]["hosts"]["vm2"] = {}
    (two / "hosts.yml").write_text(yaml.safe_dump(hosts), "utf-8")
    before = laptops.ssh_sessions("laptop1")
    for options, reason in (
        ((), "which server to use is not clear; the site's servers: vm1, vm2"),
        (("--server", "vm9"), "the site's servers: vm1, vm2; not vm9"),
        (("--server", "vm1", "--api-url", "http://vm1:4200"), "exclude each other"),
        (("--api-url", "http://0.0.0.0:4200"), "one that clients can reach"),
    ):
        done = laptops.fab("-H", "laptop1", "configure-client", *options, inventory=two)
        assert done.returncode == 1 and reason in done.stderr, done.stderr
    assert laptops.ssh_sessions("laptop1") == before
    (two / "group_vars").mkdir()
    (two / "group_vars" / "clients.yml").write_text("server: vm1\n", "utf-8")
    done = laptops.fab("-H", "laptop1", "configure-client", "--check", inventory=two)
    assert not changed(done, "would"), done.stdout + done.stderr


def test_undo_puts_back_exactly_what_was_there(laptops: LiveLab) -> None:
    """Last on the laptops. What the user changed between two runs of encamp is the user's, and stays."""
    put(laptops, "laptop1", PROFILES, state_of(laptops, "laptop1")[0], "0600")
    done = laptops.fab("-H", "clients", "configure-client", "--undo")
    succeeded(done)
    assert {counts(done, laptop)["changed"] for laptop in LAPTOPS} == {1}
    assert state_of(laptops, "laptop1") == (THEIRS, "0640 dev")
    assert state_of(laptops, "laptop2") == (MINE, "0600 dev")
    again = laptops.fab("-H", "clients", "configure-client", "--undo")
    assert {counts(again, laptop)["changed"] for laptop in LAPTOPS} == {0}


# -- this machine, without SSH ---------------------------------------------------------------------------------------


@pytest.fixture
def here(server: LiveLab, tmp_path: Path) -> Mapping[str, str]:
    """The environment of an operator with an empty home, and nothing of Prefect's in it."""
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home"), "PREFECT_API_URL": "", "PREFECT_PROFILE": ""}


def test_this_machine_is_configured_without_ssh(server: LiveLab, here: Mapping[str, str]) -> None:
    home = Path(here["HOME"])
    file = home / ".prefect/profiles.toml"
    before = [server.ssh_sessions(name) for name in (SERVER, *LAPTOPS)]
    done = fab_here(server, here)
    assert f"{api_url(server)} is reachable from this machine" in succeeded(done)
    assert file.read_text("utf-8") == 'active = "hosted"\n' + profile(server)
    assert file.stat().st_mode & 0o777 == 0o600
    assert counts(fab_here(server, here), "localhost")["changed"] == 0
    succeeded(fab_here(server, here, "--undo"))
    assert not file.parent.exists()
    assert [server.ssh_sessions(name) for name in (SERVER, *LAPTOPS)] == before


def test_this_machine_on_the_site_as_shipped(server: LiveLab, here: Mapping[str, str]) -> None:
    """It lists no host at all: a URL is enough; the operator's own place for profiles counts, as for Prefect."""
    home = Path(here["HOME"])
    own = {**here, "PREFECT_PROFILES_PATH": str(home / "mine.toml")}
    address = f"http://{server.address(SERVER)}:4200"
    (home / "mine.toml").write_text(THEIRS, "utf-8")
    (home / "mine.toml").chmod(0o644)
    done = fab_here(server, own, "--api-url", address, inventory=SHIPPED_SITE)
    assert "PREFECT_PROFILES_PATH" in succeeded(done)
    written = (home / "mine.toml").read_text("utf-8")
    assert written.startswith(THEIRS.replace('active = "work"', 'active = "hosted"')) and f'"{address}/api"' in written
    assert 'PREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "false"' in written
    assert not (home / ".prefect").exists()
    succeeded(fab_here(server, own, "--undo", inventory=SHIPPED_SITE))
    assert (home / "mine.toml").read_text("utf-8") == THEIRS
    nothing = fab_here(server, here, inventory=SHIPPED_SITE)
    assert nothing.returncode == 1 and "which server to use is not clear; the site's servers: none" in nothing.stderr


def test_settings_of_the_group_clients_count_for_this_machine(
    server: LiveLab, here: Mapping[str, str], tmp_path: Path
) -> None:
    site = server.site(tmp_path / "site", group_vars={"clients": {"profile": "team"}})
    events = tmp_path / "events.jsonl"
    done = fab_here(server, here, "--check", "--json", str(events), inventory=site)
    assert changed(done, "would") == {"PrefectProfile:team"}
    assert not (Path(here["HOME"]) / ".prefect").exists()
    steps = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    assert {step["host"] for step in steps if "host" in step} == {"localhost"}
