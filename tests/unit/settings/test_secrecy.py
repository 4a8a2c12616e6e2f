"""No message repeats a secret, whatever key it stands under: a vault's value, what templates make of it, and what comes
from the environment."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from encamp.cli.options import Options
from encamp.commands.all_settings import ALL_SETTINGS
from encamp.commands.inventory import inventory
from encamp.commands.load_site import load_site
from encamp.commands.settings import settings as show_settings
from encamp.errors import EncampError
from encamp.inventory.connection_names import KNOWN
from encamp.inventory.load import load_inventory
from encamp.running.connectors import SshConnector
from encamp.secrets.vault import cipher, passwords
from encamp.shared.secret import Secret
from encamp.site import Site
from tests.trees import write

TEXT = "hunter2,S3cr3t Wert"
SETTINGS = [field.name for cls in ALL_SETTINGS for field in dataclasses.fields(cls)]
KEYS = [*KNOWN, *SETTINGS, "instances", "unknown_settings", "adhoc", "prot"]
#: A secret under a key: alone, in a list, in a mapping, as a source's place, with a filter, in a longer text.
SHAPES = (
    "{{ sealed }}",
    "{{ sealed | upper }}",
    "x{{ sealed }}",
    "{{ sealed.split(',') }}",
    "{{ lookup('env', 'SEALED') }}",
)
NESTED = ('["%s"]', '{env: "%s"}', '{file: "%s"}', '{command: ["%s"]}', '{a: {b: "%s"}}', '[{name: "%s", port: "%s"}]')


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A whole file that holds the secret, encrypted: that is opened once, a single value once for each host."""
    folder = tmp_path_factory.mktemp("vault")
    (folder / "password").write_text("p")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENCAMP_VAULT_PASSWORD_FILE", str(folder / "password"))
        patch.setenv("SEALED", TEXT)
        passwords.identities.cache_clear()
        yield cipher.encrypt(f"sealed: {TEXT}\n", cipher.Identity("", Secret("p")))
    passwords.identities.cache_clear()


def values() -> Iterator[str]:
    yield from (f'"{shape}"' for shape in SHAPES)
    yield from (nested.replace("%s", shape) for nested in NESTED for shape in SHAPES[:3])


@pytest.mark.parametrize("key", dict.fromkeys(KEYS))
def test_a_secret_under_a_wrong_key_is_not_shown(
    tmp_path: Path, key: str, sealed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hosts = "".join(f"    h{number}: {{{key}: {value}}}\n" for number, value in enumerate(values()))
    site = {"hosts.yml": f"servers:\n  hosts:\n{hosts}", "group_vars/all.yml": sealed}
    options = Options(None, "", str(write(tmp_path, site)))  # type: ignore[arg-type]  # no connection is made
    told = []
    for command in (lambda: load_site(options, ("servers",)), lambda: show_settings(options)):
        try:
            command()
        except EncampError as error:
            told.append(f"{error} {error.fix}")
    inventory(options, as_list=True)
    shown = capsys.readouterr()
    everything = "\n".join([*told, shown.out, shown.err]).lower()
    for part in ("hunter2", "s3cr3t", "wert"):
        assert part not in everything, everything


def test_no_failed_connection_repeats_a_secret_address(tmp_path: Path, sealed: str) -> None:
    """A password where the address belongs: it is looked up as a name, and not shown."""
    fabric = pytest.importorskip("fabric")
    hosts = 'all: {hosts: {h: {ansible_host: \'{{ sealed | replace(",S3cr3t Wert", ".invalid") }}\'}}}\n'
    site = Site(load_inventory(write(tmp_path, {"hosts.yml": hosts, "group_vars/all.yml": sealed})), [])
    with pytest.raises(EncampError) as caught:
        SshConnector(site, fabric.Config(), hosts=["h"]).open("h")
    told = f"{caught.value} {caught.value.fix}"
    assert "hunter2" not in told and "***" in told
