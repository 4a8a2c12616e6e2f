"""Which package index and certificate authorities the controller's own pip and uv use.

A site that says nothing else hands the same to its hosts. Order: the environment before files, uv before pip.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from encamp.errors import Origin, SettingsError
from encamp.shared.record import record
from encamp.shared.secret import Secret

if TYPE_CHECKING:
    import configparser

#: What pip and uv use where nothing is configured.
DEFAULT_INDEX = "https://pypi.org/simple"


@record
class IndexConfig:
    """A simple index and the file that verifies it.

    ``index_url`` is a Secret when it holds a user or password. ``ca_file`` is a PEM file on the controller; None for
    the tools' own trust. ``index_from`` and ``ca_from`` name the variable or file that sets it; empty for defaults.
    """

    index_url: str | Secret = DEFAULT_INDEX
    ca_file: str | None = None
    index_from: str = ""
    ca_from: str = ""

    @property
    def plain_url(self) -> str:
        """The address itself, with whatever credentials it holds."""
        return self.index_url.reveal() if isinstance(self.index_url, Secret) else self.index_url


def controller_index(environ: Mapping[str, str] | None = None, home: Path | None = None) -> IndexConfig:
    """Read the controller's configuration of pip and uv. Raises SettingsError for a file that cannot be read."""
    environ = os.environ if environ is None else environ
    home = Path(os.path.expanduser("~")) if home is None else home
    index_from, url = next(_indexes(environ, home), ("", DEFAULT_INDEX))
    ca_from, ca_file = next(_authorities(environ, home), ("", None))
    return IndexConfig(guarded(url), ca_file, index_from, ca_from)


def guarded(url: str) -> str | Secret:
    """An index address, as a Secret when it holds credentials. Raises SettingsError for one that is none."""
    url = url.rstrip("/")
    try:
        return Secret(url) if "@" in urlsplit(url).netloc else url
    except ValueError as error:
        raise SettingsError(f"the address of the package index is not valid: {error}", "correct it") from None


def _indexes(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, str]]:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if environ.get(name):
            yield name, environ[name].partition("=")[2] if _is_named(environ[name]) else environ[name]
    for path in _uv_files(environ, home):
        url = _uv_index(path)
        if url:
            yield str(path), url
    if environ.get("PIP_INDEX_URL"):
        yield "PIP_INDEX_URL", environ["PIP_INDEX_URL"]
    yield from _pip_options(environ, home, "index-url")


def _authorities(environ: Mapping[str, str], home: Path) -> Iterator[tuple[str, str]]:
    for name in ("SSL_CERT_FILE", "PIP_CERT"):
        if environ.get(name):
            yield name, environ[name]
    yield from _pip_options(environ, home, "cert")
    if environ.get("REQUESTS_CA_BUNDLE"):
        yield "REQUESTS_CA_BUNDLE", environ["REQUESTS_CA_BUNDLE"]


def _is_named(value: str) -> bool:
    """uv takes ``name=https://...`` where it takes an index."""
    return value.partition("=")[0].replace("-", "").replace("_", "").isalnum()


# -- uv -------------------------------------------------------------------------------------------------------------


def _uv_files(environ: Mapping[str, str], home: Path) -> list[Path]:
    if environ.get("UV_NO_CONFIG"):
        return []
    if environ.get("UV_CONFIG_FILE"):
        return [Path(environ["UV_CONFIG_FILE"])]
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    return [user / "uv/uv.toml", Path("/etc/uv/uv.toml")]


def _uv_index(path: Path) -> str:
    if not path.is_file():
        return ""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        data: dict[str, Any] = tomlkit.parse(_text(path)).unwrap()
    except TOMLKitError as error:
        raise SettingsError(f"not valid TOML: {error}", where=Origin(str(path))) from None
    try:
        for index in data.get("index", []):
            if index.get("default"):
                return str(index["url"])
        return str(data.get("index-url") or data.get("pip", {}).get("index-url") or "")
    except (AttributeError, KeyError, TypeError):
        fix = "write [[index]] with url = and default = true, or index-url ="
        raise SettingsError("not a package index that uv can read", fix, Origin(str(path))) from None


# -- pip ------------------------------------------------------------------------------------------------------------


def _pip_options(environ: Mapping[str, str], home: Path, option: str) -> Iterator[tuple[str, str]]:
    for path in _pip_files(environ, home):
        if path.is_file():
            value = _pip_option(_pip_parsed(path), option)
            if value:
                yield str(path), value


def _pip_files(environ: Mapping[str, str], home: Path) -> list[Path]:
    """pip's files, the strongest first: named by the environment, of this virtualenv, the user's, the system's."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip's way to say: no files at all
        return []
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        Path(sys.prefix, "pip.conf"),
        user / "pip/pip.conf",
        home / "Library/Application Support/pip/pip.conf",
        home / ".pip/pip.conf",
        Path("/etc/pip.conf"),
        Path("/etc/xdg/pip/pip.conf"),
        Path("/Library/Application Support/pip/pip.conf"),
    ]
    return [Path(named), *files] if named else files


def _pip_parsed(path: Path) -> configparser.RawConfigParser:
    import configparser

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_text(path))
    except configparser.Error as error:
        raise SettingsError(f"pip cannot read this either: {error}", where=Origin(str(path))) from None
    return parser


def _pip_option(parser: configparser.RawConfigParser, option: str) -> str:
    """``[install]`` beats ``[global]``; pip takes ``index_url`` for ``index-url``."""
    for section in ("install", "global"):
        for name in (option, option.replace("-", "_")):
            value = parser.get(section, name, fallback="").strip()
            if value:
                return value
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot be read: {error}", where=Origin(str(path))) from None
