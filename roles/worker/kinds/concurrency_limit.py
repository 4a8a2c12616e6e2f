"""Limits on what runs at a time: of task runs by their tag, and by a name that code asks for."""

from __future__ import annotations

from typing import Any, Optional, Sequence
from urllib.parse import quote

from encamp.resources.base import Change, kind
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret
from roles.prefect.kinds.api_kind import ServerObject
from roles.worker.kinds.api_objects import differences, read


@kind
class TagConcurrencyLimit(ServerObject):
    """How many task runs with a tag run at a time, on the whole server. Never deleted.

    ``limit``: 0 lets none run. ``api_url`` ends in ``/api``; ``auth``: ``user:password`` where the server requires it.
    ``prefix``: distinguishes it from another server's in the plan of one host.
    """

    tag: str
    limit: int
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""
    prefix: str = ""

    def check(self, host: Reader) -> list[Change]:
        found = read(host, self._api, f"concurrency_limits/tag/{quote(self.tag, safe='')}")
        return differences(found or {}, {"concurrency_limit": self.limit})

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        # The server makes it, or changes that of the tag: the slots in use stay in use.
        self._api.must(host, "POST", "concurrency_limits/", {"tag": self.tag, "concurrency_limit": self.limit})


@kind
class GlobalConcurrencyLimit(ServerObject):
    """A limit that flows and tasks ask for by name (``concurrency("database")``, ``rate_limit("api")``). Never deleted.

    ``limit``: slots. ``slot_decay_per_second``: how many are released each second, for rate limits. ``active``:
    whether it limits at all. ``api_url`` ends in ``/api``; ``auth`` is ``user:password`` where the server requires it.
    ``prefix``: distinguishes it from another server's in the plan of one host.
    """

    name: str
    limit: int
    slot_decay_per_second: float = 0.0
    active: bool = True
    api_url: str = ""
    auth: Optional[Secret] = None
    ca_file: str = ""
    prefix: str = ""

    def check(self, host: Reader) -> list[Change]:
        found = read(host, self._api, self._path)
        if found is None:
            return [Change("global concurrency limit", "absent", f"{self.limit} slots")]
        return differences(found, self._wanted())

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if any(change.what == "global concurrency limit" for change in changes):
            self._api.must(host, "POST", "v2/concurrency_limits/", {"name": self.name, **self._wanted()})
        else:
            self._api.must(host, "PATCH", self._path, self._wanted())

    def _wanted(self) -> dict[str, Any]:
        return {"limit": self.limit, "slot_decay_per_second": self.slot_decay_per_second, "active": self.active}

    @property
    def _path(self) -> str:
        return f"v2/concurrency_limits/{quote(self.name, safe='')}"
