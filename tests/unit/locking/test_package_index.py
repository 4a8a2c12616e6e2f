"""Which index and certificates the controller's own pip and uv name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from encamp.errors import SettingsError
from encamp.locking.package_index import DEFAULT_INDEX, IndexConfig, controller_index, guarded
from encamp.shared.secret import Secret

#: The machine's own files must not decide a test.
QUIET = {"UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_any_configuration_it_is_the_tools_default(tmp_path: Path) -> None:
    assert controller_index(QUIET, tmp_path) == IndexConfig(DEFAULT_INDEX, None)


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_variables_count(name: str, tmp_path: Path) -> None:
    found = controller_index({**QUIET, name: "https://index.example/simple/"}, tmp_path)
    assert (found.index_url, found.index_from) == ("https://index.example/simple", name)


def test_a_named_index_of_uv_loses_its_name(tmp_path: Path) -> None:
    found = controller_index({**QUIET, "UV_DEFAULT_INDEX": "corp=https://index.example/simple?x=1"}, tmp_path)
    assert found.index_url == "https://index.example/simple?x=1"


def test_uv_comes_before_pip_and_variables_before_files(tmp_path: Path) -> None:
    named = written(tmp_path / "pip.conf", "[global]\nindex-url = https://pip.example/simple\n")
    environ = {"PIP_CONFIG_FILE": str(named), "UV_CONFIG_FILE": str(tmp_path / "uv.toml")}
    assert controller_index(environ, tmp_path).index_url == "https://pip.example/simple"
    assert controller_index(environ, tmp_path).index_from == str(named)
    assert (
        controller_index({**environ, "PIP_INDEX_URL": "https://v.example"}, tmp_path).index_url == "https://v.example"
    )
    written(tmp_path / "uv.toml", '[[index]]\nurl = "https://uv.example/simple"\ndefault = true\n')
    assert controller_index(environ, tmp_path).index_url == "https://uv.example/simple"
    assert controller_index({**environ, "UV_INDEX_URL": "https://v.example"}, tmp_path).index_url == "https://v.example"


def test_files_in_the_home_are_read(tmp_path: Path) -> None:
    written(tmp_path / ".config/uv/uv.toml", 'index-url = "https://uv.example/simple"\n')
    written(tmp_path / ".config/pip/pip.conf", "[install]\ncert = /etc/corp.pem\n[global]\ncert = /etc/other.pem\n")
    found = controller_index({}, tmp_path)
    assert (found.index_url, found.ca_file) == ("https://uv.example/simple", "/etc/corp.pem")


def test_an_extra_index_is_not_the_default_one(tmp_path: Path) -> None:
    path = written(tmp_path / "uv.toml", '[[index]]\nname = "extra"\nurl = "https://extra.example/simple"\n')
    environ = {"UV_CONFIG_FILE": str(path), "PIP_CONFIG_FILE": os.devnull}
    assert controller_index(environ, tmp_path).index_url == DEFAULT_INDEX


def test_credentials_make_it_a_secret(tmp_path: Path) -> None:
    found = controller_index({**QUIET, "PIP_INDEX_URL": "https://me:pa%25ss@index.example/simple"}, tmp_path)
    assert isinstance(found.index_url, Secret)
    assert "pa%25ss" not in repr(found)
    assert found.plain_url == "https://me:pa%25ss@index.example/simple"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE"])
def test_certificates_by_variable(name: str, tmp_path: Path) -> None:
    found = controller_index({**QUIET, name: "/etc/corp.pem"}, tmp_path)
    assert (found.ca_file, found.ca_from) == ("/etc/corp.pem", name)


@pytest.mark.parametrize(
    ("name", "variable", "text"),
    [
        ("uv.toml", "UV_CONFIG_FILE", "index-url = \n"),
        ("uv.toml", "UV_CONFIG_FILE", '[index]\nurl = "https://uv.example/simple"\ndefault = true\n'),
        ("uv.toml", "UV_CONFIG_FILE", "[[index]]\ndefault = true\n"),
        ("pip.conf", "PIP_CONFIG_FILE", "index-url = x\n"),
    ],
)
def test_a_broken_file_is_named(name: str, variable: str, text: str, tmp_path: Path) -> None:
    path = written(tmp_path / name, text)
    with pytest.raises(SettingsError) as error:
        controller_index({**QUIET, variable: str(path)} | ({"UV_NO_CONFIG": ""} if name == "uv.toml" else {}), tmp_path)
    assert str(path) in str(error.value)


def test_an_index_address_that_cannot_be_taken_apart_is_told() -> None:
    with pytest.raises(SettingsError, match="Invalid IPv6 URL"):
        guarded("https://user:word@[")
