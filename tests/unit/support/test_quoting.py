"""What values may be told to programs by files of settings: all text of one line, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.errors import SettingsError
from encamp.inventory.host import Host
from encamp.inventory.load import load_inventory
from encamp.settings.read import HostSettings
from encamp.shared.secret import Secret
from encamp.support import quoting
from roles.database import settings as database

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
TEXTS = [PRINTABLE, " both ends ", "tab\there", "ü\u0308\u202e\u05d0 \N{GRINNING FACE} \u00a0 \ufb01", "\u0085\u2028"]
REFUSED = {
    "a\nb": "a line break",
    "a\rb": "a line break",
    "a\0b": "a NUL character",
    "a\x1bb": "a control character",
    "a\x7fb": "a control character",
    "a\x0bb": "a control character",
    "a\uffffb": "not a character",
    "a\ufdd0b": "not a character",
    "a\U0010fffeb": "not a character",
}


@pytest.mark.parametrize("text", TEXTS)
def test_text_of_one_line_is_fit(text: str) -> None:
    assert quoting.invalid_characters(text) is None
    assert text in (quoting.env_value(text), *[quoting.env_value(text)[1:-1]]) or set('\\"$`') & set(text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_would_be_read_as_something_else_is_refused(text: str) -> None:
    for write in (quoting.env_value, quoting.unit_word):
        with pytest.raises(ValueError, match=REFUSED[text]):
            write(text)


def host(folder: Path, text: str, key: str = "database_password") -> Host:
    (folder / "secret").write_bytes(text.encode())
    (folder / "hosts.yml").write_text(f"all: {{hosts: {{h: {{{key}: {{file: secret}}, database_cert_file: x}}}}}}\n")
    return load_inventory(folder).hosts["h"]


@pytest.mark.parametrize("text", REFUSED)
def test_a_secret_of_that_kind_is_refused_by_its_line_and_never_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError, match=REFUSED[text]) as refused:
        HostSettings(host(tmp_path, f"hunter2{text}")).read(database.Settings)
    assert "hosts.yml:1" in str(refused.value) and "one line of plain text" in refused.value.fix
    assert "hunter2" not in f"{refused.value} {refused.value.fix}"


def test_a_key_has_lines(tmp_path: Path) -> None:
    found = HostSettings(host(tmp_path, "-----BEGIN\nx\n-----END\n", "database_key")).read(database.Settings)
    assert found.database_key == Secret("-----BEGIN\nx\n-----END")
