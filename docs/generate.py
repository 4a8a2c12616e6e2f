"""Writes docs/settings.md and docs/resources.md from the code. ``--check`` writes nothing and exits 1 on any drift.

The settings of all roles (roles/registry.py) and each class ``Settings`` of encamp/ are the settings reference; every
kind of encamp/resources/ and roles/*/kinds/ is part of the resource reference. Nothing is listed by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from encamp.inventory.connection_names import SUPPORTED  # noqa: E402
from encamp.resources.base import HandlerResource, Resource  # noqa: E402
from encamp.settings.describe import SettingDoc, describe  # noqa: E402
from encamp.settings.type_names import default_text, type_name  # noqa: E402
from roles.registry import ROLES, settings_of  # noqa: E402

_NOTICE = "<!-- Written by docs/generate.py from the code: change the code, then run `python docs/generate.py`. -->"
_SETTINGS_INTRO = """\
Set these in the inventory: beside a host, under `vars:` of a group, in `group_vars/` or `host_vars/`, or on the command
line as `--set name=value`. `fab settings` shows the effective value for each host and the line that set it. A name that
is not listed here is an error, unless it begins with `x_`, a template in the inventory uses it, or the site leaves it
to other roles ([`unknown_settings`](guides/from-ansible.md#variables-of-other-roles)).

The inventory never contains a secret in plain text, but its source: `{env: NAME}`, `{file: path}`,
`{command: [program, argument]}`, or a value encrypted with Ansible Vault."""
_RESOURCES_INTRO = """\
The kinds of resources that a role can declare. The first field identifies the resource on its host; a field without a
default is required. A handler runs only when a resource that notifies it has changed."""


def main() -> int:
    """Write or check the references; the exit code is 1 when ``--check`` finds one out of date."""
    parser = argparse.ArgumentParser(description="Write the references of settings and resources from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a reference is out of date")
    check = parser.parse_args().check
    stale = {path: text for path, text in references().items() if _read(path) != text}
    for path, text in stale.items():
        if not check:
            path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)} {'is out of date: run python docs/generate.py' if check else 'written'}")
    return 1 if check and stale else 0


def references() -> dict[Path, str]:
    """Each reference's path and the text it should have."""
    return {ROOT / "docs/settings.md": _settings_text(), ROOT / "docs/resources.md": _resources_text()}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _modules(folder: str, holding: str) -> Iterator[str]:
    """Names of the modules below a folder whose source holds a text, so that nothing else is imported."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name != "__init__.py" and holding in path.read_text(encoding="utf-8"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _settings_classes() -> list[type]:
    names = _modules("encamp", "\nclass Settings:")
    return [*(importlib.import_module(name).Settings for name in names), *settings_of(ROLES)]


def _settings_text() -> str:
    parts = [_NOTICE, "# Settings", _SETTINGS_INTRO, "## How hosts are reached", _connection_table()]
    for cls in _settings_classes():
        heading, _, more = (inspect.getdoc(cls) or "").partition("\n")
        parts.append(f"## {heading.rstrip('.')}")
        parts += [_prose(more.strip())] if more else []
        parts.append(_table(("setting", "type", "default", ""), map(_row, describe([cls]))))
    return "\n\n".join(parts) + "\n"


def _connection_table() -> str:
    return _table(("Ansible's variable", ""), ((f"`{name}`", text) for name, text in SUPPORTED.items()))


def _row(doc: SettingDoc) -> tuple[str, ...]:
    default = "required" if doc.default == "required" else f"`{doc.default}`"
    example = f" Example: `{doc.example}`." if doc.example else ""
    return f"`{doc.name}`", doc.type, default, _prose(doc.help) + example


def _kinds() -> list[type[Resource]]:
    """All kinds, by name. A base shared by several kinds is not decorated as one, and is left out."""
    found: list[type[Resource]] = []
    kinds = (name for name in _modules("roles", "\n@kind\n") if ".kinds." in name)
    for name in [*_modules("encamp/resources", "Resource"), *kinds]:
        module = importlib.import_module(name)
        classes = (item for item in vars(module).values() if isinstance(item, type) and issubclass(item, Resource))
        found += [cls for cls in classes if cls.__module__ == name and cls not in (Resource, HandlerResource)]
    return sorted((cls for cls in found if "__dataclass_fields__" in vars(cls)), key=lambda cls: cls.__name__)


def _resources_text() -> str:
    parts = [_NOTICE, "# Resources", _RESOURCES_INTRO]
    for cls in _kinds():
        handler = " (handler)" if issubclass(cls, HandlerResource) else ""
        parts += [
            f"## {cls.__name__}{handler}",
            _prose(inspect.getdoc(cls) or ""),
            f"`from {cls.__module__} import {cls.__name__}`",
        ]
        parts.append(_table(("field", "type", "default"), _fields(cls)))
    return "\n\n".join(parts) + "\n"


def _fields(cls: type[Resource]) -> Iterator[tuple[str, ...]]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        default = default_text(field)
        yield f"`{field.name}`", type_name(hints[field.name]), default if default == "required" else f"`{default}`"


def _prose(text: str) -> str:
    """Text as Markdown: ``<name>`` outside of code is no HTML."""
    parts = re.split(r"(`+[^`]*`+)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "\\<") for part in parts)


def _table(heads: tuple[str, ...], rows: typing.Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
