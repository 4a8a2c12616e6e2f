"""fab doctor: every way to miss the hosted API is produced for real, and told with its cause and its fix."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from live import LiveLab

from tests.integration.looks import Fab, api, look, psql, snapshot, succeeded
from tests.integration.patients import (
    ANCIENT,
    AUTH,
    CSRF,
    CUT_OFF,
    GUARDED,
    HOME,
    LAPTOP,
    OLD,
    OLD_RELEASE,
    PROFILES,
    SERVER,
    TLS,
    TLS_EXPIRED,
    TLS_OTHER,
    certificate,
    healthy,
    own_server,
    profile,
    proxy,
    put,
    running,
    settings_of_the_server,
    url,
)

WELL = 0
ILL = 2

#: Holds connections to Postgres, as the server's own user.
HOLD = """\
import asyncio, asyncpg, sys
URL = "postgresql://prefect@/prefect?host=/var/run/postgresql"
async def hold():
    held = [await asyncpg.connect(URL) for _ in range(int(sys.argv[1]))]
    print("held", flush=True)
    await asyncio.sleep(600)
asyncio.run(hold())
"""


def doctor(lab: LiveLab, *options: str, host: str = LAPTOP, public: str = "", inventory: Path | None = None) -> Fab:
    """``fab -H HOST doctor``; ``public`` is the public_url that the site then gives the server."""
    given = ["--set", f"public_url={public.removesuffix('/api')}"] if public else []
    return lab.fab("-H", host, "doctor", *given, *options, inventory=inventory)


def first_failure(done: Fab) -> str:
    """The name of the first look that failed."""
    assert done.returncode == ILL, done.stdout + done.stderr
    found = re.search(r"(?m)^  (\S[\w ]*?) +FAIL ", done.stdout)
    assert found, done.stdout
    return found[1]


def told(done: Fab, name: str, *texts: str) -> None:
    """The first failure is ``name``, and says all of ``texts`` (regular expressions)."""
    assert first_failure(done) == name, done.stdout
    for text in texts:
        assert re.search(text, look(done, name)), f"{text}\n{done.stdout}"


def verdict(done: Fab) -> str:
    """The first line of a report."""
    return done.stdout.partition("\n")[0]


# -- the patients ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(server: LiveLab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's site, in which laptop2 has an old client."""
    folder = tmp_path_factory.mktemp("doctor") / "site"
    return server.site(folder, host_vars={OLD: {"prefect_version": OLD_RELEASE}})


@pytest.fixture(scope="module")
def laptops(server: LiveLab, site: Path) -> Iterator[LiveLab]:
    """Both laptops with a Prefect of their own and encamp's profile."""
    server.up(LAPTOP, OLD)
    for laptop in (LAPTOP, OLD):
        server.ssh(laptop, f"rm -rf {HOME}/.prefect {HOME}/.local/state/encamp")
    succeeded(server.fab("-H", "clients", "configure-client", "--install", inventory=site))
    yield server
    for laptop in (LAPTOP, OLD):
        server.ssh(laptop, f"rm -rf {HOME}/.prefect {HOME}/.local/state/encamp")
    server.ssh(OLD, f"rm -rf {HOME}/.local/share/encamp {HOME}/.local/bin/prefect")  # no other test wants that release


@pytest.fixture(autouse=True)
def restored(laptops: LiveLab) -> Iterator[None]:
    """Each test begins and ends with laptops as `fab configure-client` left them."""
    keep = f"rm -rf {HOME}/kept; mkdir {HOME}/kept; cp -a .prefect .profile .bashrc .local/state/encamp {HOME}/kept"
    for laptop in (LAPTOP, OLD):
        laptops.ssh(laptop, keep)
    yield
    back = (
        "rm -rf .prefect .local/state/encamp project .env prefect.toml pyproject.toml .config/environment.d; "
        "cp -a kept/.prefect kept/.profile kept/.bashrc .; cp -a kept/encamp .local/state/; rm -rf kept"
    )
    for laptop in (LAPTOP, OLD):
        laptops.ssh(laptop, back)


@pytest.fixture(scope="module")
def guarded(laptops: LiveLab) -> Iterator[str]:
    """A server that asks for user and password."""
    with own_server(laptops, GUARDED, PREFECT_SERVER_API_AUTH_STRING=AUTH):
        yield url(laptops, GUARDED)


@pytest.fixture(scope="module")
def with_csrf(laptops: LiveLab) -> Iterator[str]:
    """A server that asks for CSRF tokens; its UI was told no address."""
    with own_server(laptops, CSRF, PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED="true"):
        yield url(laptops, CSRF)


# -- what is well, and that looking changes nothing ------------------------------------------------------------------


def test_a_client_and_its_server_are_well_and_nothing_is_written(laptops: LiveLab, tmp_path: Path) -> None:
    before = {name: snapshot(laptops, name) for name in (SERVER, LAPTOP)}
    sessions = laptops.ssh_sessions(LAPTOP)
    events = tmp_path / "events.jsonl"
    done = doctor(laptops, "--json", str(events), host=f"{SERVER},{LAPTOP}")
    assert done.returncode == WELL, done.stdout + done.stderr
    assert f"{LAPTOP}  ok  uses {url(laptops)}, set by profile hosted in ~/.prefect/profiles.toml:4" in done.stdout
    assert f"{SERVER}  server default  ok  serves {url(laptops)}" in done.stdout
    assert "FAIL" not in done.stdout and "opens, and accepts this client" in look(done, "events in")
    assert re.search(rf"(?m)^  {SERVER} +ok\n  {LAPTOP} +ok$", done.stdout)
    assert "this release's" in look(done, "schema") and re.search(r"\d+ of \d+ connections", look(done, "head-room"))
    assert laptops.ssh_sessions(LAPTOP) == sessions + 1
    assert {name: snapshot(laptops, name) for name in (SERVER, LAPTOP)} == before
    found = [json.loads(line) for line in events.read_text("utf-8").splitlines()]
    looks = {one["name"] for one in found if one["event"] == "finding" and one["host"] == LAPTOP and "name" in one}
    assert {"API", "name", "port", "path", "auth", "version", "events in", "UI", "service", "clock"} <= looks


def test_without_hosts_it_looks_at_this_machine_and_the_whole_site(laptops: LiveLab, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    own = {"HOME": str(tmp_path / "home"), "PREFECT_API_URL": url(laptops, path="")}
    done = laptops.fab("doctor", env=own)
    assert done.returncode == ILL
    assert (
        f"localhost  FAIL  uses {url(laptops, path='')}, set by the environment variable PREFECT_API_URL" in done.stdout
    )
    assert "/api is missing from the URL" in look(done, "path")
    for host in (SERVER, LAPTOP):
        assert re.search(rf"(?m)^  {host} +ok$", done.stdout), done.stdout
    assert not list((tmp_path / "home").iterdir())


# -- which source wins, as the client itself says --------------------------------------------------------------------

ELSEWHERE = "http://198.18.0.1:4200/api"
MINE = f"{HOME}/project/mine.toml"
SOURCES = {
    "login variable": (".profile", f"\nexport PREFECT_API_URL={ELSEWHERE}\n", "~/.profile:"),
    "empty variable": (".profile", "\nexport PREFECT_API_URL=\n", None),
    "dotenv": ("project/.env", f"PREFECT_API_URL={ELSEWHERE}\n", "~/project/.env:1"),
    "prefect.toml": ("project/prefect.toml", f'[api]\nurl = "{ELSEWHERE}"\n', "~/project/prefect.toml:2"),
    "pyproject": (
        "project/pyproject.toml",
        f'[project]\nname = "x"\n[tool.prefect.api]\nurl = "{ELSEWHERE}"\n',
        "~/project/pyproject.toml:4",
    ),
    "moved home": (".profile", "\nexport PREFECT_HOME=$HOME/project\n", None),
    "moved profiles": (
        ".profile",
        f"\nexport PREFECT_PROFILES_PATH={MINE}\n",
        "~/project/mine.toml:3",
    ),
    "other profile": (".profile", "\nexport PREFECT_PROFILE=work\n", "profile work in ~/.prefect/profiles.toml:"),
}


@pytest.mark.parametrize("source", SOURCES)
def test_the_source_that_wins_is_the_one_the_client_itself_uses(laptops: LiveLab, source: str) -> None:
    """Whatever sets the URL: the real client's own `config view`, in the same folder, is the judge."""
    file, text, place = SOURCES[source]
    laptops.ssh(LAPTOP, f"mkdir project; touch {file}; cat >> {file}", text=text)
    put(laptops, LAPTOP, MINE, f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{ELSEWHERE}"\n')
    laptops.ssh(LAPTOP, f"printf '\n[profiles.work]\nPREFECT_API_URL = \"{ELSEWHERE}\"\n' >> {PROFILES}")
    done = doctor(laptops, "--project", "project")
    shown = laptops.ssh(LAPTOP, "bash -lc 'cd project && prefect config view --show-sources --show-defaults'").stdout
    real = re.search(r"(?m)^\s*PREFECT_API_URL='?([^'\s]*)'?", shown)
    assert real, shown
    assert done.returncode == ILL
    if place:
        assert real[1] == ELSEWHERE and f"uses {ELSEWHERE}, set by" in verdict(done)
        assert place in verdict(done), done.stdout
        told(done, "API", "not an API of this site", f"flow runs go there instead of {re.escape(url(laptops))}")
    else:
        assert real[1] in ("", "None"), shown
        told(done, "API", "no API URL is set")


def test_a_variable_of_the_login_wins_over_the_profile_and_the_exact_line_is_told(laptops: LiveLab) -> None:
    laptops.ssh(LAPTOP, "echo 'export PREFECT_API_URL=http://elsewhere:4200/api' >> .profile")
    line = laptops.ssh(LAPTOP, "wc -l < .profile").stdout.strip()
    done = doctor(laptops, "--fix")
    told(
        done,
        "API",
        "it overrides profile hosted",
        rf"fix: +remove PREFECT_API_URL in {HOME}/\.profile:{line}, then log in",
    )
    assert "--fix:" not in done.stdout, "what is the user's own is left to the user"
    assert "elsewhere" in laptops.ssh(LAPTOP, "cat .profile").stdout


def test_systemd_and_a_second_project_that_differ_are_told(laptops: LiveLab) -> None:
    put(laptops, LAPTOP, f"{HOME}/.config/environment.d/prefect.conf", f"PREFECT_API_URL={ELSEWHERE}\n")
    put(laptops, LAPTOP, f"{HOME}/project/.env", f"PREFECT_API_URL={ELSEWHERE}\n")
    done = doctor(laptops, "--project", "~", "--project", "~/project")
    assert done.returncode == WELL
    assert f"services that systemd starts for this user use {ELSEWHERE}" in look(done, "systemd")
    assert f"flows started in {HOME}/project use {ELSEWHERE}" in look(done, "in project")


# -- no API at all ---------------------------------------------------------------------------------------------------


def test_no_url_means_ephemeral_and_fix_writes_the_profile(laptops: LiveLab) -> None:
    put(
        laptops,
        LAPTOP,
        PROFILES,
        'active = "mine"  # my own\n\n[profiles.mine]\nPREFECT_SERVER_ALLOW_EPHEMERAL_MODE = true\n',
    )
    real = laptops.ssh(LAPTOP, "bash -lc 'prefect version'").stdout
    assert re.search(r"Server type:\s+ephemeral", real), real
    done = doctor(laptops)
    told(
        done, "API", "each flow run stays in the SQLite file of a temporary server", "--fix: writes the profile hosted"
    )
    assert "uses no hosted API" in verdict(done) and "(ephemeral)" in verdict(done)
    mended = doctor(laptops, "--fix")
    assert mended.returncode == WELL, mended.stdout + mended.stderr
    assert "fixed: writes the profile hosted" in mended.stdout and f"uses {url(laptops)}" in verdict(mended)
    assert "PREFECT_API_URL" in laptops.ssh(LAPTOP, "bash -lc 'prefect config view'").stdout
    assert "# my own" in laptops.ssh(LAPTOP, f"cat {PROFILES}").stdout
    again = doctor(laptops, "--fix")
    assert again.returncode == WELL and "fixed:" not in again.stdout


def test_no_url_and_ephemeral_mode_off(laptops: LiveLab) -> None:
    put(
        laptops,
        LAPTOP,
        PROFILES,
        'active = "hosted"\n[profiles.hosted]\nPREFECT_SERVER_ALLOW_EPHEMERAL_MODE = "false"\n',
    )
    done = doctor(laptops)
    told(done, "API", "ephemeral mode is off: flows fail with `No Prefect API URL provided`")
    said_by_client(laptops, "no API URL is set")


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ('active = "gone"\n', r"`active` in .*profiles\.toml:1 names the profile gone, which .* does not contain"),
        ('active = "x\n', r"profiles\.toml:\d+: "),
    ],
)
def test_a_profiles_file_that_does_not_say_what_it_means(laptops: LiveLab, file: str, wanted: str) -> None:
    put(laptops, LAPTOP, PROFILES, file)
    told(doctor(laptops), "profiles", wanted)


def test_a_variable_that_names_a_missing_profile(laptops: LiveLab) -> None:
    laptops.ssh(LAPTOP, "echo 'export PREFECT_PROFILE=gone' >> .profile")
    real = laptops.ssh(LAPTOP, "bash -lc 'prefect config view 2>&1'", check=False).stdout
    assert "gone" in real and "not found" in real
    told(doctor(laptops), "profiles", "PREFECT_PROFILE .* names the profile gone", r"remove PREFECT_PROFILE there")


# -- the way to the server -------------------------------------------------------------------------------------------


def said_by_client(lab: LiveLab, cause: str, host: str = LAPTOP, command: str = "prefect flow-run ls") -> None:
    """The text that the real client prints is recognised by itself."""
    real = lab.ssh(host, f"bash -lc '{command} 2>&1'", check=False)
    assert real.returncode != 0, real.stdout
    explained = subprocess.run(
        [str(Path(sys.executable).with_name("fab")), "doctor", "--symptom", "-"],
        input=real.stdout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert explained.returncode == WELL and cause in explained.stdout, real.stdout + explained.stdout


def test_api_is_missing_in_the_url_and_fix_appends_it(laptops: LiveLab) -> None:
    text = laptops.ssh(LAPTOP, f"cat {PROFILES}").stdout
    put(laptops, LAPTOP, PROFILES, text.replace("4200/api", "4200"))
    done = doctor(laptops)
    told(done, "path", f"{url(laptops)} is", "/api is missing from the URL", "--fix: writes the profile hosted")
    assert re.search("not reached: auth, version", done.stdout), done.stdout
    said_by_client(laptops, "/api is missing")
    mended = doctor(laptops, "--fix")
    assert mended.returncode == WELL, mended.stdout
    assert laptops.ssh(LAPTOP, f"cat {PROFILES}").stdout == text


def test_the_server_is_stopped_and_fix_starts_it(laptops: LiveLab) -> None:
    laptops.host(SERVER).check_output("systemctl stop prefect-server.socket")
    done = doctor(laptops, host=f"{SERVER},{LAPTOP}")
    assert done.returncode == ILL
    assert "prefect-server.service is stopped" in look(done, "unit")
    assert re.search(r"port +FAIL +\S+:4200 refuses connections\n +cause: the machine is reachable, but", done.stdout)
    said_by_client(laptops, "nothing responds at the API URL")
    mended = doctor(laptops, "--fix", host=f"{SERVER},{LAPTOP}")
    assert mended.returncode == WELL, mended.stdout
    assert "fixed: starts prefect-server.service" in mended.stdout
    assert laptops.host(SERVER).service("prefect-server").is_running


def test_a_firewall_that_drops_is_told_from_a_server_that_is_down(laptops: LiveLab) -> None:
    rule = "nft add table ip doctor; nft 'add chain ip doctor in { type filter hook input priority 0; }'; "
    laptops.host(SERVER).check_output(rule + "nft add rule ip doctor in tcp dport 4200 ip saddr != 127.0.0.1 drop")
    try:
        told(doctor(laptops), "port", r"does not respond \(filtered\)", "no packet came back: a firewall drops them")
    finally:
        laptops.host(SERVER).check_output("nft delete table ip doctor")


def test_a_name_that_does_not_resolve(laptops: LiveLab) -> None:
    address = "http://no-such-host.invalid:4200/api"
    put(laptops, LAPTOP, PROFILES, profile(address))
    told(doctor(laptops, public=address), "name", "cannot be resolved", "DNS or /etc/hosts")
    said_by_client(laptops, "cannot resolve the server's name")


def test_an_address_to_listen_on_is_none_to_go_to(laptops: LiveLab) -> None:
    put(laptops, LAPTOP, PROFILES, profile("http://0.0.0.0:4200/api"))
    told(doctor(laptops), "API", "not an API of this site")


def test_https_to_a_port_that_speaks_http(laptops: LiveLab) -> None:
    address = url(laptops, scheme="https")
    put(laptops, LAPTOP, PROFILES, profile(address))
    told(doctor(laptops, public=address), "TLS", "the URL is https, but the port speaks plain http", "http://")
    said_by_client(laptops, "speaks plain http")


def test_auth_missing_wrong_and_a_cloud_key_in_the_way(laptops: LiveLab, guarded: str) -> None:
    put(laptops, LAPTOP, PROFILES, profile(guarded))
    told(doctor(laptops, public=guarded), "auth", "401", "PREFECT_API_AUTH_STRING is not set")
    said_by_client(laptops, "no user and password")
    put(laptops, LAPTOP, PROFILES, profile(guarded, 'PREFECT_API_AUTH_STRING = "admin:wrong"'))
    done = doctor(laptops, public=guarded)
    told(done, "auth", "user and password do not match the server's")
    assert "admin:wrong" not in done.stdout
    put(laptops, LAPTOP, PROFILES, profile(guarded, 'PREFECT_API_KEY = "pnu_verysecret"'))
    done = doctor(laptops, public=guarded)
    told(done, "auth", "sends a Prefect Cloud key instead", r"PREFECT_API_KEY, set by profile hosted")
    assert "verysecret" not in done.stdout
    put(laptops, LAPTOP, PROFILES, profile(guarded, f'PREFECT_API_AUTH_STRING = "{AUTH}"'))
    done = doctor(laptops, public=guarded)
    assert "the server accepts user and password" in look(done, "auth")
    assert "opens, and accepts this client" in look(done, "events out")
    assert AUTH.partition(":")[2] not in done.stdout


def test_an_old_client_can_neither_authenticate_nor_send_csrf_tokens(
    laptops: LiveLab, guarded: str, with_csrf: str, site: Path
) -> None:
    put(laptops, OLD, PROFILES, profile(guarded))
    done = doctor(laptops, host=OLD, public=guarded, inventory=site)
    told(done, "auth", f"Prefect {re.escape(OLD_RELEASE)} clients do not support authentication")
    put(laptops, OLD, PROFILES, profile(with_csrf))
    done = doctor(laptops, host=OLD, public=with_csrf, inventory=site)
    told(done, "CSRF", "403 Missing CSRF token", f"Prefect {re.escape(OLD_RELEASE)} clients do not support them")
    real = laptops.ssh(OLD, "bash -lc 'prefect flow-run ls 2>&1'", check=False)
    assert real.returncode != 0 and "403 Forbidden" in real.stdout, real.stdout
    said_by_client(laptops, "CSRF tokens", host=OLD)


def test_csrf_and_a_ui_that_was_told_an_address_to_listen_on(laptops: LiveLab, with_csrf: str) -> None:
    put(laptops, LAPTOP, PROFILES, profile(with_csrf))
    done = doctor(laptops, public=with_csrf)
    assert "requires CSRF tokens, and this client sends them" in look(done, "CSRF")
    told(
        done,
        "UI",
        "the UI tells browsers to use http://0.0.0.0:4251/api",
        "is not reachable for browsers on other machines",
    )


def test_an_old_client_with_a_name_it_does_not_know_and_a_file_it_does_not_read(laptops: LiveLab, site: Path) -> None:
    put(laptops, OLD, PROFILES, profile(url(laptops), 'PREFECT_API_AUTH_STRING = "a:b"'))
    assert laptops.ssh(OLD, "bash -lc 'prefect version'", check=False).returncode != 0, "it breaks every command"
    done = doctor(laptops, host=OLD, inventory=site)
    told(done, "profiles", f"PREFECT_API_AUTH_STRING .* is unknown to Prefect {re.escape(OLD_RELEASE)}")
    put(laptops, OLD, PROFILES, 'active = "default"\n[profiles.default]\n')
    put(laptops, OLD, f"{HOME}/.env", f"PREFECT_API_URL={url(laptops)}\n")
    done = doctor(laptops, host=OLD, inventory=site)
    told(done, "API", rf"\.env:1 sets it, but Prefect {re.escape(OLD_RELEASE)} does not read that file")


def test_a_client_that_is_newer_than_its_server(laptops: LiveLab, site: Path) -> None:
    """The old laptop serves: a server of the old release, and a client of today's."""
    python = laptops.ssh(OLD, "readlink -f .local/share/encamp/prefect").stdout.strip() + "/bin/python"
    command = (
        f"-p User=dev {python} -m uvicorn --factory prefect.orion.api.server:create_app --host 0.0.0.0 --port {ANCIENT}"
    )
    with running(laptops, OLD, "doctor-ancient", command, ANCIENT, HOME="/tmp/ancient", PREFECT_HOME="/tmp/ancient"):
        address = f"http://{laptops.address(OLD)}:{ANCIENT}/api"
        put(laptops, LAPTOP, PROFILES, profile(address))
        done = doctor(laptops, public=address)
        told(done, "version", f"server {re.escape(OLD_RELEASE)}", "incompatible versions", "upgrade the server")
        flow = "from prefect import flow\n@flow\ndef one(): pass\none()\n"
        put(laptops, LAPTOP, f"{HOME}/project/flow.py", flow)
        said_by_client(
            laptops,
            "different major versions",
            command=f"{HOME}/.local/share/encamp/prefect/bin/python project/flow.py",
        )


def test_a_proxy_that_blocks_websockets_and_a_clock_that_is_off(laptops: LiveLab) -> None:
    with proxy(laptops, CUT_OFF, ahead=-600):
        address = url(laptops, CUT_OFF)
        put(laptops, LAPTOP, PROFILES, profile(address))
        done = doctor(laptops, public=address)
        told(
            done,
            "events in",
            "instead of opening a WebSocket",
            "a proxy in between, most likely, does not forward WebSockets",
            "Upgrade",
        )
        assert re.search(r"FAIL +this machine is (59\d|60\d) s ahead of the server", look(done, "clock"))
        assert " ok " in look(done, "service"), "HTTP passes"


# -- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("port", "days", "other", "trusted", "wanted"),
    [
        (TLS, 365, False, False, "signed by an authority that this client does not know"),
        (TLS_EXPIRED, -1, False, True, "certificate has expired"),
        (TLS_OTHER, 365, True, True, "for a different name than the one in the URL"),
    ],
)
def test_certificates(laptops: LiveLab, port: int, days: int, other: bool, trusted: bool, wanted: str) -> None:
    pem, authority = certificate("vm1", "198.18.0.9" if other else laptops.address(SERVER), days)
    laptops.ssh(SERVER, f"cat > /tmp/doctor-{port}.pem", text=pem)
    put(laptops, LAPTOP, f"{HOME}/project/ca.pem", authority)
    trust = f'PREFECT_API_SSL_CERT_FILE = "{HOME}/project/ca.pem"'
    address = url(laptops, port, "https")
    with proxy(laptops, port, pem=f"/tmp/doctor-{port}.pem"):
        put(laptops, LAPTOP, PROFILES, profile(address, *([trust] if trusted else [])))
        told(doctor(laptops, public=address), "TLS", wanted)
        said_by_client(laptops, "the server's certificate is not signed")
        if not trusted:
            put(laptops, LAPTOP, PROFILES, profile(address, trust))
            done = doctor(laptops, public=address)
            assert "certificate by vm1 authority, valid for 36" in look(done, "TLS") and " ok " in look(done, "auth")


# -- disks and hosts -------------------------------------------------------------------------------------------------


def test_a_full_disk(laptops: LiveLab) -> None:
    laptops.host(LAPTOP).check_output("mkdir -p /mnt/tiny && mount -t tmpfs -o size=1m,mode=777 tmpfs /mnt/tiny")
    try:
        laptops.ssh(LAPTOP, f"cp {PROFILES} /mnt/tiny/; echo 'export PREFECT_HOME=/mnt/tiny' >> .profile")
        done = doctor(laptops)
        told(done, "disk", "/mnt/tiny is full: 0 MiB left", "free some space there")
    finally:
        laptops.host(LAPTOP).check_output("umount /mnt/tiny && rmdir /mnt/tiny")


def test_a_host_key_that_is_not_known_ends_before_anything_is_sent(laptops: LiveLab, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("", "utf-8")
    done = laptops.fab(
        "-H", LAPTOP, "doctor", "--set", f"known_hosts={tmp_path / 'known_hosts'}", env={"HOME": str(tmp_path)}
    )
    assert done.returncode == 3
    assert "UNREACHABLE" in done.stdout and "fix:" in done.stdout and "key" in done.stdout


# -- the server on its own host --------------------------------------------------------------------------------------


def test_a_server_that_crashes_over_and_over_for_its_database_url(laptops: LiveLab) -> None:
    with settings_of_the_server(
        laptops, 's#^\\(PREFECT_SERVER_DATABASE_CONNECTION_URL\\)=.*#\\1="postgresql://prefect@/prefect"#'
    ):
        deadline = time.monotonic() + 180
        while int(laptops.host(SERVER).check_output("systemctl show -P NRestarts prefect-server")) < 1:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        done = doctor(laptops, host=SERVER)
        told(
            done, "unit", "restarted [1-9]", "names a driver that Prefect does not use", r"write postgresql\+asyncpg://"
        )


def test_the_database_is_down(laptops: LiveLab) -> None:
    laptops.host(SERVER).check_output("systemctl stop 'postgresql*'")
    try:
        done = doctor(laptops, host=f"{SERVER},{LAPTOP}")
        assert done.returncode == ILL
        assert re.search("FAIL .*", look(done, "connection")) and "Postgres" in look(done, "connection"), done.stdout
        assert " FAIL " in look(done, "ready") or " FAIL " in look(done, "health"), done.stdout
    finally:
        laptops.host(SERVER).check_output("systemctl start postgresql && systemctl reset-failed prefect-server; true")
        healthy(laptops)


def test_a_schema_of_a_newer_release_and_connections_that_run_out(laptops: LiveLab) -> None:
    revision = psql(laptops, SERVER, "SELECT version_num FROM alembic_version")
    room = int(psql(laptops, SERVER, "SHOW max_connections")) * 85 // 100
    laptops.ssh(SERVER, "cat > /tmp/hold.py && chmod 644 /tmp/hold.py", text=HOLD)
    machine = laptops.host(SERVER)
    machine.check_output(
        f"systemd-run --collect --unit=doctor-hold -p User=prefect /opt/prefect/default/bin/python /tmp/hold.py {room}"
    )
    try:
        psql(laptops, SERVER, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
        deadline = time.monotonic() + 180
        while "held" not in machine.run("journalctl -u doctor-hold -o cat --no-pager").stdout:
            assert time.monotonic() < deadline
            time.sleep(0.3)
        done = doctor(laptops, host=SERVER)
        told(done, "schema", "ffffffffffff, which this release does not know", "upgraded by a newer Prefect")
        assert " warn " in look(done, "head-room") and "max_connections" in look(done, "head-room")
    finally:
        machine.run("systemctl stop doctor-hold")
        psql(laptops, SERVER, f"UPDATE alembic_version SET version_num = '{revision}'")
    assert doctor(laptops, host=SERVER).returncode == WELL


def test_a_lock_that_the_server_waits_for_and_an_index_that_was_left_invalid(laptops: LiveLab) -> None:
    machine, as_postgres = laptops.host(SERVER), "runuser -u postgres -- psql -XAtq -d prefect -c"
    assert machine.run(f"{as_postgres} 'CREATE UNIQUE INDEX CONCURRENTLY left_over ON block_type (is_protected)'").rc
    hold = "BEGIN; LOCK TABLE flow_run; SELECT pg_sleep(300)"
    owner = "systemd-run --collect --unit=doctor-lock runuser -u postgres -- env PGAPPNAME=backup psql -d prefect"
    try:
        found = doctor(laptops, host=SERVER)
        assert " warn " in look(found, "indexes") and "REINDEX INDEX CONCURRENTLY left_over" in look(found, "indexes")
        machine.check_output(f"{owner} -c '{hold}'")
        machine.check_output(
            "systemd-run --collect --unit=doctor-migration runuser -u prefect -- "
            "psql -d prefect -c 'ALTER TABLE flow_run ADD COLUMN x int'"
        )
        time.sleep(7)
        seen = look(doctor(laptops, host=SERVER), "sessions")
        assert re.search(r"FAIL +`.*` has waited \d+ s for a lock of session \d+", seen), seen
        assert "it is held by backup as postgres from this host" in seen and "pg_terminate_backend(" in seen
    finally:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'backup'"
        psql(laptops, SERVER, ended)
        machine.run("systemctl stop doctor-lock doctor-migration")
        psql(laptops, SERVER, "DROP INDEX left_over")
        psql(laptops, SERVER, "ALTER TABLE flow_run DROP COLUMN IF EXISTS x")


def test_flow_runs_whose_worker_is_gone(laptops: LiveLab) -> None:
    """Made over the API, as a worker makes them that is killed then; the server soon misses its heartbeat."""

    def call(path: str, body: object) -> Any:
        return api(laptops, LAPTOP, f"{url(laptops)}/{path}", body)

    call("work_pools/", {"name": "gone", "type": "process"})
    laptops.ssh(
        LAPTOP,
        f"curl -sf -X POST -H Content-Type:application/json {url(laptops)}/work_pools/gone/workers/heartbeat "
        """-d '{"name": "w", "heartbeat_interval_seconds": 1}'""",
    )
    flow = call("flows/", {"name": "stuck"})["id"]
    made = call("deployments/", {"name": "stuck", "flow_id": flow, "work_pool_name": "gone"})
    run = call(f"deployments/{made['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    call(f"flow_runs/{run['id']}/set_state", {"state": {"type": "PENDING"}, "force": True})
    call(f"flow_runs/{run['id']}/set_state", {"state": {"type": "RUNNING"}, "force": True})
    psql(
        laptops,
        SERVER,
        f"UPDATE flow_run_state SET timestamp = timestamp - interval '1 hour' WHERE flow_run_id = '{run['id']}'",
    )
    psql(laptops, SERVER, "UPDATE worker SET last_heartbeat_time = now() - interval '1 hour'")
    deadline = time.monotonic() + 120
    while [worker["status"] for worker in call("work_pools/gone/workers/filter", {})] != ["OFFLINE"]:
        assert time.monotonic() < deadline, "the server did not miss the heartbeat"
        time.sleep(1)
    seen = look(doctor(laptops, host=SERVER), "stuck runs")
    assert " warn " in seen and "1 flow runs will not end" in seen and run["id"] in seen
    assert "the worker of work pool gone that took them is gone" in seen and "prefect flow-run delete" in seen
    laptops.ssh(LAPTOP, f"curl -sf -X DELETE {url(laptops)}/flow_runs/{run['id']}")


def test_a_server_that_runs_with_outdated_settings_is_restarted_by_fix(laptops: LiveLab) -> None:
    machine = laptops.host(SERVER)
    machine.check_output("touch /etc/prefect/default/server.env")
    before = machine.check_output("systemctl show -P MainPID prefect-server")
    done = doctor(laptops, host=SERVER)
    assert done.returncode == WELL and "runs with outdated settings" in look(done, "restart")
    assert machine.check_output("systemctl show -P MainPID prefect-server") == before, "looking restarts nothing"
    mended = doctor(laptops, "--fix", host=SERVER)
    assert mended.returncode == WELL and "fixed: restarts prefect-server.service" in mended.stdout
    assert machine.check_output("systemctl show -P MainPID prefect-server") != before


# -- texts -----------------------------------------------------------------------------------------------------------


def test_a_text_that_nobody_knows_and_a_file_that_is_not_there(laptops: LiveLab, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("everything is fine\n", "utf-8")
    assert laptops.fab("doctor", "--symptom", str(tmp_path / "text")).returncode == ILL
    missing = laptops.fab("doctor", "--symptom", str(tmp_path / "none"))
    assert missing.returncode == 1 and "No such file" in missing.stderr
