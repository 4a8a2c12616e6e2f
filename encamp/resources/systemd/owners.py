"""Units and drop-ins of the host's owner: found, named, and kept."""

from __future__ import annotations

import re
from typing import Optional

from encamp.resources.base import Refused
from encamp.resources.ownership import is_marked, is_owners
from encamp.resources.system import Content, Reader
from encamp.resources.systemd.unit_state import unit_state

DIRECTORY = "/etc/systemd/system"
#: Where a link to /dev/null masks a unit, for good or until the next boot.
MASKS = (DIRECTORY, "/run/systemd/system")


def refuse_masked(host: Reader, name: str) -> None:
    """Raise Refused for a masked unit: that is the administrator's decision."""
    for directory in MASKS:
        stat = host.stat(f"{directory}/{name}")
        if stat and stat.kind == "symlink" and stat.target == "/dev/null":
            raise Refused(
                f"{name} is masked on this host",
                "a masked unit cannot start",
                f"to allow it: systemctl unmask {name}",
            )


def allow(host: Reader, name: str) -> None:
    """For the ``refuse`` of a step that moves the owner's unit away: a later step may then write its own."""
    host.given_way.add(name)


def explain(host: Reader, name: str, what: str, fix: str) -> None:
    """For an expectation that knows what the owner's unit ``name`` runs: its refusal says so, and ``fix``."""
    host.once(f"what the unit {name} runs", lambda: (what, fix))


def is_foreign(host: Reader, name: str, declared: Content) -> bool:
    """Whether the owner has a unit in the place of ``declared``; units in systemd's other places are not looked for."""
    return host.stat(f"{DIRECTORY}/{name}") is not None and _foreign(host, name, declared) is not None


def refuse_foreign(host: Reader, name: str, declared: Content) -> None:
    """Raise Refused for a unit called ``name`` that encamp did not write, in whatever place systemd reads it from."""
    path = _foreign(host, name, declared)
    if path is None or name in host.given_way:
        return
    state = None if "@." in name else unit_state(host, name)
    place = state.path if state and state.path else path
    text = (host.read(place) or b"").decode("utf-8", "replace")
    lines = re.findall(r"^(User|ExecStart)[ \t]*=[ \t]*(.+?)[ \t]*$", text, re.MULTILINE)
    words = [f"{key}={value}" for key, value in lines]
    drop_ins = f"it has drop-ins: {', '.join(state.drop_ins)}" if state and state.drop_ins else ""
    what, fix = host.once(f"what the unit {name} runs", lambda: ("", ""))
    raise Refused(
        f"this host has a unit {name} that encamp did not write: {place}"
        + (f" ({', '.join(words)})" if words else "")
        + (f". {what}" if what else ""),
        drop_ins,
        fix
        or "encamp does not replace it. `fab adopt` continues a Prefect server with its data; else stop it and move it "
        f"away (`systemctl disable --now {name}`), or give the declared one another name: an instance of its own "
        "(instances:) for a server, name: for a worker",
    )


def _foreign(host: Reader, name: str, declared: Content) -> Optional[str]:
    """The path of a unit that would be replaced, or that would win over encamp's."""
    path = f"{DIRECTORY}/{name}"
    stat = host.stat(path)
    if stat is not None and stat.kind == "symlink":
        return path  # an alias of another unit, or a file elsewhere: encamp writes no links
    present = host.read(path) if stat else None
    if present is not None:
        return path if is_owners(host, present, declared) else None
    found = "" if "@." in name else unit_state(host, name).path
    return found if found and found != path else None


def is_ours(host: Reader, name: str) -> bool:
    """Whether encamp wrote the unit that systemd has under this name."""
    return is_marked(host.read(f"{DIRECTORY}/{name}") or b"") and unit_state(host, name).path in (
        "",
        f"{DIRECTORY}/{name}",
    )


def drop_ins(host: Reader, name: str) -> list[str]:
    """The owner's files in the unit's own folder of drop-ins."""
    folder = f"{DIRECTORY}/{name}.d"
    paths = [f"{folder}/{file}" for file in host.listdir(folder)]
    return [path for path in paths if not is_marked(host.read(path) or b"")]


def name_drop_ins(host: Reader, name: str) -> None:
    """Note the owner's drop-ins that change a unit, and what they set."""
    for path in applied_drop_ins(host, name):
        text = (host.read(path) or b"").decode("utf-8", "replace")
        keys = re.findall(r"^(\w+)[ \t]*=", text, re.MULTILINE)
        host.note(f"{path} also applies to {name}: it sets {', '.join(dict.fromkeys(keys)) or 'nothing'}")


def applied_drop_ins(host: Reader, name: str) -> list[str]:
    """The owner's files that change a unit, those for all services included."""
    paths = () if "@." in name else unit_state(host, name).drop_ins
    return [path for path in paths if not is_marked(host.read(path) or b"")]


def name_kept(host: Reader, name: str) -> None:
    """Note the owner's drop-ins of a unit that is removed."""
    kept = drop_ins(host, name)
    if kept:
        host.note(f"kept, encamp did not write them: {', '.join(kept)}")


def start_command(host: Reader, name: str) -> str:
    """The command that a unit starts, its drop-ins included; empty if there is no such unit."""
    state = unit_state(host, name)
    paths = [path for path in (state.path, *state.drop_ins) if path]
    texts = [(host.read(path) or b"").decode("utf-8", "replace") for path in paths]
    commands = re.findall(r"^ExecStart[ \t]*=[ \t]*(.+?)[ \t]*$", "\n".join(texts), re.MULTILINE)
    return commands[-1] if commands else ""
