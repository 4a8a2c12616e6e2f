"""Logins in URLs are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from encamp.cli.options import Options
from encamp.commands.configure_client import ClientOptions, items
from encamp.errors import UsageError
from encamp.inventory.load import load_inventory
from encamp.settings.check import errors_of
from encamp.settings.read import HostSettings
from encamp.site import Site
from encamp.support.urls import without_login
from roles.network import address


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://u:p@h:1/api", "http://***@h:1/api"),
        ("git+ssh://git@h/x and https://t0ken@h", "git+ssh://***@h/x and https://***@h"),
        ("http://h/x?token=a&b=c#d", "http://h/x?***#d"),
        ("me@example.org", "me@example.org"),
        ("http://h/a@b", "http://h/a@b"),
        ("http://h:4200/a@b", "http://h:4200/a@b"),
        ("http://u:p/q@h:1", "http://***@h:1"),
        ("http://u:p@q@h:1/x", "http://***@h:1/x"),
    ],
)
def test_what_is_left_of_a_url(text: str, shown: str) -> None:
    assert without_login(text) == shown


def test_no_error_repeats_the_login_of_an_address(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("servers: {hosts: {h: {public_url: 'http://u:hunter2@h:4200'}}}\n")
    site = Site(load_inventory(tmp_path), [])
    told = [f"{error} {error.fix}" for error in errors_of(HostSettings(site.host("h").inventory), [address.Settings])]
    with pytest.raises(UsageError) as caught:
        list(items(site.host("h"), site, Options(None), ClientOptions(api_url="http://u:hunter2@h:4200/api")))
    assert told and "hunter2" not in "".join([*told, str(caught.value), caught.value.fix])
