"""Settings: strict conversion, every mistake with file, line and what to do, and secrets from where they are kept."""

from __future__ import annotations

import dataclasses
import ipaddress
import sys
from pathlib import Path
from typing import Any, Literal, Optional

import pytest

from encamp.errors import SettingsError
from encamp.inventory.host import Host
from encamp.inventory.load import load_inventory, select_hosts
from encamp.secrets import sources as secret_sources
from encamp.settings.check import check_hosts, unknown_keys
from encamp.settings.declare import setting
from encamp.settings.describe import describe
from encamp.settings.read import HostSettings
from encamp.shared.secret import Secret


def _network(value: Any) -> str | None:
    for item in value:
        try:
            ipaddress.ip_network(item)
        except ValueError:
            return f"{item} is no network"
    return None


@dataclasses.dataclass(frozen=True)
class Pool:
    name: str = setting(help="Name of the pool.")
    limit: int = setting(0, "Most runs at once.", minimum=0)
    tags: tuple[str, ...] = setting((), "Tags.")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the tests set."""

    port: int = setting(4200, "TCP port.", minimum=1, maximum=65535)
    ratio: float = setting(0.5, "A ratio.", maximum=1)
    database: Literal["postgres", "sqlite"] = setting("postgres", "The database.")
    switch: Literal["on", "off"] = setting("on", "A word that YAML reads otherwise.")
    release: Literal["1.5", "newest"] = setting("newest", "A word that YAML takes for a number.")
    access: Literal["auto", "off"] | Secret = setting("off", "A switch, or a secret.")
    version: str = setting("3.8.8", "The version.")
    backup: bool = setting(False, "Whether to back up.")
    sources: tuple[str, ...] = setting((), "Networks.", check=_network, example="[10.0.0.0/8]")
    ports: tuple[int, ...] = setting((), "Ports.", minimum=1)
    extra: dict[str, str] = setting({}, "More.")
    name: Optional[str] = setting(None, "A name.")
    pools: tuple[Pool, ...] = setting((), "Pools.")
    by_name: dict[str, Pool] = setting({}, "Pools by name.")
    password: Secret | None = setting(None, "A secret.")
    index: str | Secret = setting("", "Plain, or a secret.")


def host(folder: Path, variables: str, **overrides: str) -> Host:
    """A host whose variables begin at line 4 of hosts.yml."""
    indented = "".join(f"      {line}\n" for line in variables.splitlines())
    (folder / "hosts.yml").write_text(f"all:\n  hosts:\n    h:\n{indented}", encoding="utf-8")
    return select_hosts(load_inventory(folder, overrides), "h")[0]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("port: 80", "port", 80),
        ("ratio: 1", "ratio", 1.0),
        ("database: sqlite", "database", "sqlite"),
        ('switch: "off"', "switch", "off"),
        ("switch: off", "switch", "off"),
        ("switch: on", "switch", "on"),
        ("access: off", "access", "off"),
        ('version: "3.10"', "version", "3.10"),
        ("backup: yes", "backup", True),
        ("sources: [10.0.0.0/8, 192.0.2.7]", "sources", ("10.0.0.0/8", "192.0.2.7")),
        ("sources: []", "sources", ()),
        ("ports: [1, 2]", "ports", (1, 2)),
        ("extra: {a: b}", "extra", {"a": "b"}),
        ("name: x", "name", "x"),
        ("name:", "name", None),
        ('version: ""', "version", ""),
        ("pools: [{name: a, limit: 2, tags: [x]}]", "pools", (Pool("a", 2, ("x",)),)),
        ("by_name: {one: {name: a}}", "by_name", {"one": Pool("a")}),
        ("index: https://x", "index", "https://x"),
        # What a template makes has no type of its own.
        ('x_a: 80\nport: "{{ x_a }}"', "port", 80),
        ('x_a: 8\nport: "{{ x_a }}0"', "port", 80),
        ('x_a: "80"\nport: "{{ x_a }}"', "port", 80),
        ('x_a: 10\nversion: "3.{{ x_a }}"', "version", "3.10"),
        ("x_a: '[1, 2]'\nports: \"{{ x_a }}\"", "ports", (1, 2)),
        ('x_a: [1, 2]\nports: "{{ x_a }}"', "ports", (1, 2)),
        ('x_a: "tr"\nbackup: "{{ x_a }}ue"', "backup", True),
        ("x_a: a\npools: [{name: '{{ x_a }}'}]", "pools", (Pool("a"),)),
    ],
)
def test_values(tmp_path: Path, text: str, name: str, value: object) -> None:
    found = getattr(HostSettings(host(tmp_path, text)).read(Settings), name)
    assert found == value and type(found) is type(value)


def test_defaults_are_used_where_the_inventory_is_silent(tmp_path: Path) -> None:
    assert HostSettings(host(tmp_path, "x_a: 1")).read(Settings) == Settings()
    assert Settings().extra is not Settings().extra


@pytest.mark.parametrize(
    ("text", "line", "message", "fix"),
    [
        ('port: "80"', 4, "port must be a whole number, not the text '80'", "write port: 80, without quotes"),
        ("port: true", 4, "port must be a whole number, not the truth value true", ""),
        ("port: 80.5", 4, "port must be a whole number, not the number 80.5", ""),
        ("port: 0", 4, "port is 0, but must be from 1 to 65535", ""),
        ("port: 65536", 4, "port is 65536, but must be from 1 to 65535", ""),
        ("port:", 4, "port has no value", "give it a value, or remove the line"),
        ("port: {a: 1}", 4, "port must be a whole number, not the mapping", ""),
        ("ratio: 2", 4, "ratio is 2.0, but must be 1 or less", ""),
        ("database: postgre", 4, "database must be one of postgres, sqlite, not 'postgre'", "did you mean postgres?"),
        ("switch: 1", 4, "switch must be one of on, off, not 1", ""),
        ("release: no", 4, "release must be one of 1.5, newest, not false", ""),
        ("release: 1.5", 4, "release must be one of 1.5, newest, not 1.5", "write it in quotes, as in release: "),
        (
            "access: hunter2",
            4,
            "access must be auto, off or a secret's source, and no secret as plain text",
            "{env: NAME}",
        ),
        ("version: 3.8", 4, "must be a text, but YAML reads it as the number 3.8", "quotes, as in version: "),
        ("version: 2024-01-01", 4, "must be a text, but YAML reads it as the date 2024-01-01", "quotes"),
        ("version: no", 4, "must be a text, but YAML reads it as the truth value false", "quotes"),
        ("version: [a]", 4, "version must be a text, not the list", "version: value"),
        ('backup: "yes"', 4, "backup must be true or false, not the text 'yes'", "without quotes"),
        ("backup: 1", 4, "backup must be true or false, not the number 1", "without quotes"),
        ("sources: 10.0.0.0/8", 4, "sources must be a list, not the text '10.0.0.0/8'", "write it as [10.0.0.0/8]"),
        ("sources: [10.0.0.0/33]", 4, "10.0.0.0/33 is no network", "for example sources: [10.0.0.0/8]"),
        ("sources:\n  - a\n  - 5", 6, "sources[1] must be a text, but YAML reads it as the number 5", "quotes"),
        ("ports: [1, 0]", 4, "ports is 0, but must be 1 or more", ""),
        ("extra: [a]", 4, "extra must be a mapping", "name: value"),
        ("extra:\n  a: 1", 5, "extra.a must be a text, but YAML reads it as the number 1", "quotes"),
        ("extra:\n  1: a", 5, "extra.1 must be a text", "quotes"),
        ("pools: [a]", 4, "pools[0] must be a mapping, not 'a'", "name: value"),
        ("pools:\n  - name: a\n    limt: 1", 6, "pools[0].limt is unknown", "did you mean limit?"),
        ("pools:\n  - name: a\n    limit: -1", 6, "pools[0].limit is -1, but must be 0 or more", ""),
        ("pools:\n  - limit: 1", 5, "pools[0] needs name", "Name of the pool."),
        ('port: "{{ nowhere }}"', 4, "port: the template uses nowhere, which is not set", "default"),
        ("password: hunter2", 4, "password must not be in the inventory as plain text", "{env: NAME}"),
        ("password: {vault: x}", 4, "password has a source of unknown kind 'vault'", "{env: NAME}"),
        ("password: {env: A, file: b}", 4, "password must say where the secret comes from", "{env: NAME}"),
        ("password: {command: op read x}", 4, "password has a command that is not a list", "{command: [program"),
        (
            "index: {env: NO_SUCH_NAME}",
            4,
            "index comes from the environment variable NO_SUCH_NAME, which is not set",
            "",
        ),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(tmp_path: Path, text: str, line: int, message: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        HostSettings(host(tmp_path, text)).read(Settings)
    error = caught.value
    assert message in error.message and fix in error.fix
    assert error.where is not None and (Path(error.where.file).name, error.where.line) == ("hosts.yml", line)
    assert error.exit_code == 4 and "hunter2" not in f"{error}{error.fix}"


def test_set_values_are_typed_by_the_setting(tmp_path: Path) -> None:
    found = HostSettings(
        host(tmp_path, "port: 1", port="4201", version="3.10", backup="true", sources="[192.0.2.7]")
    ).read(Settings)
    assert (found.port, found.version, found.backup, found.sources) == (4201, "3.10", True, ("192.0.2.7",))
    with pytest.raises(SettingsError, match=r"--set port: port must be a whole number, not the text 'many'"):
        HostSettings(host(tmp_path, "port: 1", port="many")).read(Settings)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    bad = host(tmp_path, "database: oracle\nprot: 80\nport: 0\nversion: 3")
    with pytest.raises(SettingsError) as caught:
        check_hosts([HostSettings(bad)] * 2, [Settings])
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 settings are wrong:"
    assert [line.split("hosts.yml:")[1].split(":")[0] for line in lines[1:]] == ["4", "5", "6", "7"]
    assert "there is no setting prot (did you mean port?)" in lines[2]


def test_a_setting_without_default_must_be_given(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="h: name must be set"):
        HostSettings(host(tmp_path, "x_a: 1")).read(Pool)


def test_fields_may_be_checked_together(tmp_path: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Both:
        low: int = setting(1, "Low.")
        high: int = setting(2, "High.")

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    with pytest.raises(SettingsError, match="h: low is above high"):
        check_hosts([HostSettings(host(tmp_path, "low: 3"))], [Both])


def test_unknown_keys(tmp_path: Path) -> None:
    text = 'prot: 80\nx_mine: 1\nscheme: http\nversion: "{{ scheme }}"\nansible_user: me\nadhoc: true\nwholly_else: 1'
    errors = unknown_keys(host(tmp_path, text), [Settings])
    assert [error.message for error in errors] == ["there is no setting prot", "there is no setting wholly_else"]
    assert [error.fix for error in errors] == [
        "did you mean port?",
        "remove it, call it x_wholly_else, or leave what belongs to other roles alone: unknown_settings: ignore",
    ]
    assert [error.where.line for error in errors if error.where] == [4, 10]


def test_secrets_come_from_the_environment_a_file_or_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret_sources.fetch.cache_clear()
    monkeypatch.setenv("ENCAMP_TEST_SECRET", "from the environment")
    (tmp_path / "secret").write_text("from a file\n", encoding="utf-8")
    program = [sys.executable, "-c", "print('from a command')"]
    sources = {"env: ENCAMP_TEST_SECRET": "environment", "file: secret": "file", f"command: {program!r}": "command"}
    for source, kind in sources.items():
        found = HostSettings(host(tmp_path, f"password: {{{source}}}")).read(Settings).password
        assert isinstance(found, Secret) and found.reveal().endswith(kind)
        plain = HostSettings(host(tmp_path, f"index: {{{source}}}")).read(Settings).index
        assert isinstance(plain, Secret)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{file: no/such}", "No such file or directory"),
        ("{file: empty}", "is empty at its source"),
        ("{file: bytes}", "not UTF-8 text"),
        ("{command: [no-such-program-here]}", "No such file or directory"),
        ("{command: [sh, -c, 'echo locked >&2; exit 3']}", "exited 3: locked"),
    ],
)
def test_a_secret_that_cannot_be_fetched(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "empty").write_text("\n", encoding="utf-8")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError) as caught:
        HostSettings(host(tmp_path, f"password: {source}")).read(Settings)
    assert message in caught.value.message


def test_checking_fetches_no_secret(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    bad = host(tmp_path, f"password: {{command: [touch, {marker}]}}\nindex: {{env: NO_SUCH_NAME}}")
    check_hosts([HostSettings(bad)], [Settings])
    assert not marker.exists()


def test_describe() -> None:
    docs = {doc.name: doc for doc in describe([Settings])}
    assert list(docs)[:2] == ["port", "ratio"]
    assert (docs["port"].type, docs["port"].default) == ("whole number, 1 to 65535", "4200")
    assert (docs["database"].type, docs["database"].default) == ("`postgres` or `sqlite`", "postgres")
    assert (docs["switch"].default, docs["version"].default) == ('"on"', "3.8.8")
    assert (docs["backup"].type, docs["backup"].default) == ("true or false", "false")
    assert (docs["sources"].type, docs["sources"].default) == ("list of text", "[]")
    assert docs["extra"].type == "mapping of text to text" and docs["index"].type == "text or secret"
    assert (docs["pools[].name"].default, docs["pools[].limit"].type) == ("required", "whole number, 0 or more")
    assert docs["by_name.<name>.tags"].type == "list of text"


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two settings that exclude each other."""

    one: str = setting("", "One.")
    other: str = setting("", "Other.")

    def __post_init__(self) -> None:
        if self.one and self.other:
            raise ValueError("other: and one: exclude each other")


def test_settings_that_exclude_each_other_name_the_line_of_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"hosts\.yml:5: h: other: and one: exclude each other"):
        HostSettings(host(tmp_path, "one: a\nother: b")).read(Pair)


def test_a_setting_is_converted_once_and_a_secret_fetched_when_it_is_read(tmp_path: Path) -> None:
    looks: list[object] = []

    def look(value: object) -> str | None:
        looks.append(value)
        return None

    @dataclasses.dataclass(frozen=True)
    class Wanted:
        """Settings of a test."""

        plain: int = setting(0, "A number.", check=look)
        password: Secret | None = setting(None, "A secret.")

    wanted = HostSettings(host(tmp_path, f"plain: 5\npassword: {{file: {tmp_path / 'pw'}}}"))
    check_hosts([wanted], [Wanted])
    assert [(one.key, one.field) for one in wanted.given([Wanted])] == [("password", "password")]
    with pytest.raises(SettingsError, match="pw: No such file"):
        wanted.read(Wanted)
    (tmp_path / "pw").write_text("hunter2\n")
    assert wanted.read(Wanted) == Wanted(5, Secret("hunter2"))
    assert wanted.read(Wanted) is wanted.read(Wanted)
    assert looks == [5]
