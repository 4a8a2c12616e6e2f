"""Scripts and commands for clients that no SSH reaches: run for real, by this Python and in a Windows-like process."""

from __future__ import annotations

import ast
import base64
import json
import ntpath
import os
import pty
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fabric
import pytest
import yaml

from encamp.cli.options import Options
from encamp.commands import configure_client, without_ssh
from encamp.commands.configure_client import ClientOptions
from encamp.errors import SettingsError, UsageError
from encamp.planning import plan
from encamp.resources.files.paths import expand
from encamp.resources.system import Stat
from encamp.shared.record import replace
from roles.client.kinds import ca
from roles.client.kinds.profile.prefect_profile import PrefectProfile
from roles.client.kinds.profile.record import record_path
from roles.prefect.kinds import user_environment, windows_places
from roles.prefect.kinds.installs import installed
from tests import pythons
from tests.unit.roles.client.laptop import Laptop, converge
from tests.unit.roles.prefect.test_api import GOOD, Handler, Server

PASSWORD = "pa$$w0rd with spaces"
LOGIN = f"admin:{PASSWORD}"
#: As Windows editors leave it.
THEIRS = 'active = "work"\r\n\r\n[profiles.work]\r\nPREFECT_API_URL = "https://prefect.work.example/api"\r\n'
FOR_TYPE_CHECKERS = ("typing_extensions", "_typeshed")
#: Runs a script as far as can be without Windows: none of the modules and functions that it lacks, and its own host.
AS_ON_WINDOWS = """
import os, sys
for name in ("pwd", "grp", "fcntl", "termios", "resource", "pty"):
    sys.modules[name] = None
for name in ("geteuid", "getuid", "fchmod", "fchown", "chown", "lchown", "getgrouplist", "setsid"):
    delattr(os, name)
archive = sys.argv.pop(1)
sys.path.insert(0, archive)
from encamp.agent.standalone import main
from encamp.agent.standalone.windows import WindowsHost
main.this_machine = lambda run: WindowsHost(main._no_blob, run.hear)
sys.exit(main.main(archive))
"""


class Reached(Server):
    """Answers on every address: a site's server must not be at a loopback address."""

    def __init__(self) -> None:
        ThreadingHTTPServer.__init__(self, ("", 0), Handler)
        self.table, self.seen = dict(GOOD), []

    @property
    def url(self) -> str:
        return f"http://{socket.gethostname()}:{self.server_address[1]}"


@pytest.fixture
def server() -> Iterator[Reached]:
    with Reached() as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


class Site:
    """A site whose server is at an address that answers, with a generated password."""

    def __init__(self, folder: Path, url: str, **settings: Any) -> None:
        self.folder = folder
        (folder / "secrets").mkdir(parents=True)
        (folder / "secrets/vm1+default+api-auth").write_text(PASSWORD)
        (folder / "secrets/vm1+default+api-auth").chmod(0o600)
        vm1 = {"ansible_host": "192.0.2.1", "auth": "auto", "public_url": url, **settings}
        inventory = {"servers": {"hosts": {"vm1": vm1}}, "clients": {"hosts": {"laptop1": {}, "laptop2": {}}}}
        (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": inventory}}), "utf-8")

    def options(self, hosts: str = "", **more: Any) -> Options:
        return Options(fabric.Config(), hosts=hosts, inventory=str(self.folder), **more)

    def script(self, **client: Any) -> Path:
        path = self.folder.with_name("client.pyz")
        assert without_ssh.run(self.options(), ClientOptions(**client), script=str(path)) == 0
        return path

    def pushed(self, home: Path) -> None:
        """What a run over SSH writes, by the same steps."""
        options = self.options("laptop1")
        site, selected = configure_client.declared(options)
        for step in plan.build("laptop1", configure_client.items(selected[0], site, options, ClientOptions())).steps:
            converge(step.resource, Laptop(str(home)))


@pytest.fixture
def site(tmp_path: Path, server: Reached) -> Site:
    return Site(tmp_path / "site", server.url)


def ran(
    script: Path, home: Path, *words: str, typed: str = PASSWORD, python: str = sys.executable, windows: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a script as the user of a home would."""
    argv = [python, "-c", AS_ON_WINDOWS, str(script)] if windows else [python, str(script)]
    others = ("PREFECT_", "PYTHON", "SUDO_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return subprocess.run(
        [*argv, *words],
        input=f"{typed}\n",
        env={**environ, "HOME": str(home), "PYTHONIOENCODING": "cp1252"},
        cwd=home,
        capture_output=True,
        encoding="cp1252",
        check=False,
    )


def files(home: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a home: its bytes and its mode. The place of the home itself is blotted out."""
    own = str(home).encode()
    found = (path for path in sorted(home.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(home)): (path.read_bytes().replace(own, b"~"), path.stat().st_mode & 0o777)
        for path in found
    }


def home_with(folder: Path, text: str = THEIRS) -> Path:
    (folder / ".prefect").mkdir(parents=True)
    file = folder / ".prefect/profiles.toml"
    file.write_bytes(text.encode())
    file.chmod(0o640)
    return folder


@pytest.mark.parametrize("windows", [False, True])
def test_a_script_writes_what_a_push_does_and_takes_it_back(
    site: Site, server: Reached, tmp_path: Path, windows: bool
) -> None:
    script, home, other = site.script(), home_with(tmp_path / "home"), home_with(tmp_path / "other")
    before = files(home)
    site.pushed(other)
    done = ran(script, home, windows=windows)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (home / ".prefect/profiles.toml").read_bytes().decode()
    assert text == (other / ".prefect/profiles.toml").read_bytes().decode()
    assert text.startswith('active = "hosted"\r\n') and "\n" not in text.replace("\r\n", "")
    if not windows:
        assert {name: mode for name, (_, mode) in files(home).items()} == {
            name: mode for name, (_, mode) in files(other).items()
        }
    said = done.stdout + done.stderr
    assert PASSWORD not in said and "PREFECT_API_AUTH_STRING: absent -> ***" in said
    token = base64.b64encode(LOGIN.encode()).decode()
    assert all(headers.get("Authorization") == f"Basic {token}" for _, headers in server.seen)
    again = ran(script, home, typed=LOGIN, windows=windows)
    assert "no step(s) changed" in again.stdout, again.stdout + again.stderr
    back = ran(script, home, "--undo", windows=windows)
    assert back.returncode == 0 and files(home).keys() == before.keys()
    assert {name: data for name, (data, _) in files(home).items()} == {name: data for name, (data, _) in before.items()}


def test_a_check_changes_nothing(site: Site, tmp_path: Path) -> None:
    script, home = site.script(), home_with(tmp_path / "home")
    before = files(home)
    done = ran(script, home, "--check")
    assert done.returncode == 0 and "would    active profile: work -> hosted" in done.stdout
    assert files(home) == before


def test_a_wrong_login_stops_before_the_profile(site: Site, server: Reached, tmp_path: Path) -> None:
    server.table["GET /api/health"] = (401, {"exception_message": "Unauthorized"})
    home = home_with(tmp_path / "home")
    before = files(home)
    done = ran(site.script(), home, typed="wrong")
    assert done.returncode == 2 and "type the login as you were given it" in done.stdout
    assert files(home) == before


def test_a_password_with_a_colon_is_one(site: Site, server: Reached, tmp_path: Path) -> None:
    ran(site.script(), home_with(tmp_path / "home"), "--check", typed="a:b")
    token = base64.b64encode(b"admin:a:b").decode()
    assert {headers.get("Authorization") for _, headers in server.seen} == {f"Basic {token}"}


def test_sudo_is_told_from_its_user(site: Site, tmp_path: Path) -> None:
    """As root it would write a profile that nobody uses."""
    script, home = site.script(), home_with(tmp_path / "home")
    before = files(home)
    for by, code in (("1000", 2), ("0", 0)):
        program = f"""
import os, sys
os.geteuid = lambda: 0
os.environ.update(SUDO_UID="{by}", SUDO_USER="alice", HOME={str(home)!r})
sys.argv = [{str(script)!r}, "--check"]
sys.path.insert(0, {str(script)!r})
from encamp.agent.standalone.main import main
sys.exit(main({str(script)!r}))
"""
        done = subprocess.run([sys.executable, "-c", program], input=f"{PASSWORD}\n", capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        assert ("run it as alice" in done.stderr) == (code == 2)
    assert files(home) == before


def test_a_bug_is_told_without_the_secret(site: Site, tmp_path: Path) -> None:
    script = site.script()
    program = f"""
from __future__ import annotations
import sys
sys.path.insert(0, {str(script)!r})
from encamp.agent.standalone import main
from encamp.resources.base import Resource, kind
from encamp.shared.secret import Redactor, Secret
@kind
class Broken(Resource):
    name: str
    def check(self, host):
        raise KeyError({LOGIN!r})
sys.exit(main.Run(Redactor([Secret({LOGIN!r})]), False).step(Broken("x")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "KeyError: '***'" in done.stdout and PASSWORD not in done.stdout + done.stderr


def test_no_login_at_all(site: Site, tmp_path: Path) -> None:
    done = ran(site.script(), home_with(tmp_path / "home"), typed="\n\n\n")
    assert done.returncode == 2 and "nothing was changed" in done.stderr and "Traceback" not in done.stderr


def test_a_terminal_shows_nothing_of_what_is_typed(site: Site, tmp_path: Path) -> None:
    home = home_with(tmp_path / "home")
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, str(site.script())],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "HOME": str(home)},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"password of admin" not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, f"{PASSWORD}\n".encode())
    try:
        while data := os.read(ours, 1000):
            shown += data
    except OSError:  # Linux's way to say that the other end is closed
        pass
    os.close(ours)
    assert child.wait(30) == 0, shown
    assert PASSWORD.encode() not in shown and b"changed" in shown


@pytest.mark.parametrize("version", ["3.9", "3.13"])
def test_other_pythons(site: Site, tmp_path: Path, version: str) -> None:
    home = home_with(tmp_path / "home")
    done = ran(site.script(), home, python=pythons.needed(version))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[profiles.hosted]" in (home / ".prefect/profiles.toml").read_text()


def test_a_script_needs_nothing_but_the_standard_library_and_holds_no_secret(site: Site) -> None:
    with zipfile.ZipFile(site.script()) as archive:
        sources = {name: archive.read(name).decode() for name in archive.namelist()}
    assert not any(PASSWORD in text or LOGIN in text for text in sources.values())
    assert json.loads(sources["job.json"])["questions"][0]["user"] == "admin"
    assert "MIT" in sources["tomlkit/LICENSE"] or "Permission is hereby granted" in sources["tomlkit/LICENSE"]
    known = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources}
    for name, text in sources.items():
        tree = ast.parse(text, feature_version=(3, 9)) if name.endswith(".py") else ast.Module([], [])
        for node in ast.walk(tree):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            modules += [one.name for one in node.names] if isinstance(node, ast.Import) else []
            for module in filter(None, modules):
                there = module in known or module.split(".")[0] in sys.stdlib_module_names
                assert there or module in FOR_TYPE_CHECKERS, f"{name} imports {module}"


def test_the_same_site_gives_the_same_bytes(site: Site) -> None:
    assert site.script().read_bytes() == site.script().read_bytes()


def test_what_is_not_encamps_is_kept(site: Site) -> None:
    mine = site.folder.with_name("client.pyz")
    mine.write_text("mine")
    with pytest.raises(UsageError, match="is no script of encamp"):
        site.script()
    assert mine.read_text() == "mine"


@pytest.mark.parametrize(
    ("hosts", "client", "script", "said"),
    [
        ("clients", ClientOptions(), "x", "for one client"),
        ("", ClientOptions(undo=True), "x", "cannot be combined"),
        ("", ClientOptions(mode="local"), "", "client_mode: local"),
        ("", ClientOptions(mode="database"), "x", "client_mode: database"),
        ("", ClientOptions(server="vm9"), "x", "not vm9"),
        ("", ClientOptions(), "/nowhere/x", "No such file"),
    ],
)
def test_what_cannot_be(site: Site, hosts: str, client: ClientOptions, script: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        without_ssh.run(site.options(hosts), client, script, commands=not script)


@pytest.mark.parametrize("option", ["json_file", "junit_file"])
@pytest.mark.parametrize("script", ["x", ""])
def test_files_of_events_are_for_what_runs(site: Site, tmp_path: Path, option: str, script: str) -> None:
    with pytest.raises(UsageError, match="no events for --json and --junit"):
        without_ssh.run(site.options(**{option: str(tmp_path / "f")}), ClientOptions(), script, commands=not script)
    assert not (tmp_path / "f").exists()


def test_the_file_of_a_login_is_named_where_it_is(
    tmp_path: Path, server: Reached, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also with several inventories, whose names together are no path."""
    site = Site(tmp_path / "site", server.url)
    (tmp_path / "more.yml").write_text("web: {hosts: {w1: }}\n")
    options = replace(site.options(), inventory=(str(site.folder), str(tmp_path / "more.yml")))
    assert without_ssh.run(options, ClientOptions(), script=str(tmp_path / "client.pyz")) == 0
    assert f"{site.folder}/secrets/vm1+default+api-auth" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("release", "names"),
    [
        ("3.9.1", ["PREFECT_API_URL", "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE", "PREFECT_API_AUTH_STRING"]),
        ("2.20.27", ["PREFECT_API_URL"]),
    ],
)
def test_commands_by_release(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], release: str, names: list[str]
) -> None:
    site = Site(tmp_path / "site", "http://vm1:4200", prefect_version=release, auth="auto")
    assert without_ssh.run(site.options(), ClientOptions(profile="two words"), commands=True) == 0
    said = capsys.readouterr().out
    assert [line.split()[-1].partition("=")[0] for line in said.splitlines() if " config set " in line] == names
    assert PASSWORD not in said and 'prefect profile use "two words"' in said
    assert ("admin:PASSWORD" in said) == (release == "3.9.1")


def test_commands_that_a_release_cannot_follow(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", "http://vm1:4200")
    (site.folder / "group_vars").mkdir()
    (site.folder / "group_vars/clients.yml").write_text("prefect_version: '3.1.1'\n")
    with pytest.raises(SettingsError, match=r"PREFECT_API_AUTH_STRING, which Prefect 3\.1\.1 does not have"):
        without_ssh.run(site.options(), ClientOptions(), commands=True)


class Places:
    """A home with nothing in it but some paths."""

    has_modes, is_root, want_diff = False, False, False

    def __init__(self, home: str, *paths: str) -> None:
        self.home, self.paths = home, paths

    def once(self, key: str, read: Any) -> Any:
        return read()

    def read(self, path: str) -> bytes | None:
        return None

    def listdir(self, path: str) -> list[str]:
        return []

    def stat(self, path: str) -> Stat | None:
        return Stat("file", 0, "", "", 0, 0.0) if path in self.paths else None


@pytest.fixture
def windows_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are taken apart and joined as on Windows."""
    monkeypatch.setattr(os, "path", ntpath)
    monkeypatch.setattr(os, "pathsep", ";")
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)


def test_places_on_windows(windows_paths: None, monkeypatch: pytest.MonkeyPatch) -> None:
    host: Any = Places(r"C:\Users\Zoë Smith")
    assert user_environment.profiles_path(host) == r"C:\Users\Zoë Smith\.prefect\profiles.toml"
    assert expand(host, "~/.local/share/encamp/ca/hosted-api.pem") == (
        r"C:\Users\Zoë Smith\.local\share\encamp\ca\hosted-api.pem"
    )
    assert record_path(host).startswith("C:\\Users\\Zoë Smith\\")
    monkeypatch.setenv("PREFECT_HOME", r"D:\prefect")
    assert user_environment.profiles_path(host) == r"D:\prefect\profiles.toml"
    monkeypatch.setenv("PREFECT_PROFILES_PATH", r"~\p.toml")
    assert user_environment.profiles_path(host) == r"C:\Users\Zoë Smith\p.toml"


def test_a_program_on_the_path_of_windows(windows_paths: None) -> None:
    host: Any = Places("C:\\", r"C:\v\Scripts\prefect.exe", r"C:\v\Scripts\python.exe")
    assert windows_places.prefix(host, "C:\\v\\Scripts\\") == r"C:\v"
    assert windows_places.prefix(host, r"C:\w\Scripts") is None
    assert windows_places.interpreter(host, r"C:\v") == r"C:\v\Scripts\python.exe"


def test_prefects_on_windows_are_found(tmp_path: Path) -> None:
    venv, user = tmp_path / "flows/.venv", tmp_path / "AppData/Roaming/Python/Python311"
    (venv / "Lib/site-packages/prefect-2.20.27.dist-info").mkdir(parents=True)
    (venv / "Scripts").mkdir()
    (venv / "Scripts/python.exe").touch()
    (user / "site-packages/prefect-3.9.1.dist-info").mkdir(parents=True)
    found = {one.path: (one.version, one.python) for one in installed(Laptop(str(tmp_path)))}
    assert found[str(venv)] == ("2.20.27", str(venv / "Scripts/python.exe"))
    assert found[str(user)] == ("3.9.1", "python")


def test_a_path_of_windows_in_a_profile(tmp_path: Path) -> None:
    """Backslashes are TOML's escapes: the value that Prefect reads must be the path."""
    import tomllib

    path = r"C:\Users\new\tools\ca.pem"
    converge(PrefectProfile("hosted", {"PREFECT_API_SSL_CERT_FILE": path}), Laptop(str(tmp_path)))
    written = tomllib.loads((tmp_path / ".prefect/profiles.toml").read_text("utf-8"))
    assert written["profiles"]["hosted"]["PREFECT_API_SSL_CERT_FILE"] == path


def test_the_authorities_of_windows_stand_behind_the_sites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl

    monkeypatch.setattr(ca, "PUBLIC", ())
    listed = [(b"two", "x509_asn", True), (b"one", "x509_asn", True), (b"no", "pkcs_7_asn", True)]
    monkeypatch.setattr(ssl, "enum_certificates", lambda store: listed if store == "ROOT" else [], raising=False)
    converge(ca.ClientCa("~/ca.pem", "SITE\n"), Laptop(str(tmp_path)))
    expected = "SITE\n" + ssl.DER_cert_to_PEM_cert(b"one") + ssl.DER_cert_to_PEM_cert(b"two")
    assert (tmp_path / "ca.pem").read_text() == expected


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-16", "is not UTF-8"), ("utf-8-sig", "1:1: a byte order mark, which Prefect cannot read")],
)
def test_profiles_as_powershell_writes_them_are_refused(site: Site, tmp_path: Path, encoding: str, said: str) -> None:
    home = home_with(tmp_path / "home")
    file = home / ".prefect/profiles.toml"
    file.write_bytes(THEIRS.encode(encoding))
    done = ran(site.script(), home)
    assert done.returncode == 2 and said in done.stdout and "as UTF-8" in done.stdout
    assert file.read_bytes() == THEIRS.encode(encoding)
