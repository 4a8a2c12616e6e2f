"""What is kept on a host of a server that encamp continues: its state, and all that the way back needs."""

from __future__ import annotations

import json
from typing import Any, Mapping, Optional

from encamp.resources.base import Failure
from encamp.resources.system import Reader, System
from encamp.shared.record import factory, record, values

FOLDER = "/var/lib/encamp/adopted"
#: The old server is being stopped and its data copied; the new one may start; it is healthy.
TAKING, TAKEN, DONE = "taking", "taken", "done"
#: The old server is being started again; it runs again.
RETURNING, RETURNED = "returning", "returned"
#: A deploy or the way back has still to go on.
OPEN = (TAKING, TAKEN, RETURNING)


@record
class Places:
    """Where the files of an instance's adoption are. Only root may read them."""

    instance: str

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.instance}"

    @property
    def record(self) -> str:
        return f"{self.folder}/record.json"

    @property
    def program(self) -> str:
        """Starts the old server again; see way_back.py."""
        return f"{self.folder}/way_back.py"

    @property
    def unit(self) -> str:
        """The timer's and its service's name, without their suffix."""
        return f"encamp-adopted-{self.instance}"

    def copy(self, path: str) -> str:
        """Where the copy of an owner's file is kept."""
        return f"{self.folder}/{path.strip('/').replace('/', '+')}"


@record
class Adoption:
    """A server that encamp continues, as :data:`FOLDER` keeps it.

    ``name`` is what ``adopt:`` calls it, ``kind`` what kept it, ``unit`` that unit, ``port`` where it listened;
    ``new_unit`` is encamp's. ``moved`` maps files that stood where encamp's stand to their copies, ``links`` the links
    that enabled the unit to their targets; ``guard`` is the drop-in that keeps a unit from being started.
    ``containers`` maps containers to their restart policies, ``boot`` places in crontabs (FILE:NUMBER) to the lines
    that were changed. ``start`` is the command of a process, of its line at boot, else ``argv``, with ``cwd`` and
    ``environment``. ``enabled``, ``running``: whether it started at boot, and ran.
    """

    name: str
    kind: str
    user: str
    unit: str
    new_unit: str
    state: str = TAKING
    enabled: bool = True
    running: bool = True
    guard: str = ""
    moved: Mapping[str, str] = factory(dict)
    containers: Mapping[str, str] = factory(dict)
    boot: Mapping[str, str] = factory(dict)
    start: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = "/"
    environment: Mapping[str, str] = factory(dict)
    data: Mapping[str, str] = factory(dict)
    links: Mapping[str, str] = factory(dict)
    port: int = 0


def adoption_of(host: Reader, instance: str) -> Optional[Adoption]:
    """What is kept of an instance's adoption; None where there was none. Raises Failure for a file that is damaged."""
    raw = host.read(Places(instance).record)
    if raw is None:
        return None
    try:
        fields: dict[str, Any] = json.loads(raw)
        return Adoption(**{**fields, "argv": tuple(fields["argv"])})
    except (ValueError, TypeError, KeyError) as error:
        raise Failure(f"{Places(instance).record} cannot be read: {error}", fix="restore it from a backup") from None


def keep(host: System, instance: str, adoption: Adoption) -> None:
    """Write what is kept, whole or not at all."""
    names = list(type(adoption).__record_fields__)  # type: ignore[attr-defined]
    text = json.dumps(dict(zip(names, values(adoption))), indent=1)
    host.write(Places(instance).record, text, "root", "root", 0o600)
