"""A file with exact content, owner, group and mode."""

from __future__ import annotations

import hashlib
from typing import Sequence

from encamp.resources.base import Change, Resource, kind, octal, unified
from encamp.resources.ownership import copy_path, is_owners
from encamp.resources.system import Content, Reader, Stat, System
from encamp.shared.secret import Secret
from encamp.shared.wire import Blob


@kind
class File(Resource):
    """A file with exact content, owner, group and mode.

    ``content`` may be a Secret: its diff is then withheld. ``validate`` is a command that must accept the new file
    (``{}`` stands for its path) before it replaces the old one. An empty ``owner`` or ``group`` stays unchanged. A file
    that encamp did not write is copied beside its path before it is replaced, and a note names the copy.
    """

    path: str
    content: Content = ""
    owner: str = "root"
    group: str = "root"
    mode: int = 0o644
    validate: tuple[str, ...] = ()

    def check(self, host: Reader) -> list[Change]:
        stat = host.stat(self.path)
        if stat is None or stat.kind != "file":
            return [Change("file", stat.kind if stat else "absent", "present", self._diff(host, b""))]
        changes = attribute_changes(stat, self.owner, self.group, self.mode)
        present = host.read(self.path) or b""
        if hashlib.sha256(present).hexdigest() != self._digest():
            found = (
                f"the owner's, kept as {copy_path(host, self.path)}"
                if is_owners(host, present, self.content)
                else "differs"
            )
            changes.insert(0, Change("content", found, "as declared", self._diff(host, present)))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if any(change.what in ("file", "content") for change in changes):
            self._keep_owners(host)
            host.write(self.path, host.text(self.content), self.owner, self.group, self.mode, self.validate)
            return
        host.set_owner(self.path, self.owner, self.group)
        host.set_mode(self.path, self.mode)

    def _keep_owners(self, host: System) -> None:
        """Copy a file of the owner's, with its owner and mode."""
        stat = host.stat(self.path)
        if stat is not None and stat.kind == "symlink":
            host.note(f"{self.path} was a link to {stat.target}: now it is encamp's file, and the target is unchanged")
        present = host.read(self.path) if stat and stat.kind == "file" else None
        if stat is not None and present is not None and is_owners(host, present, self.content):
            copy = copy_path(host, self.path)
            host.write(copy, present, stat.owner, stat.group, stat.mode)
            host.note(f"{self.path} was not encamp's: the old file is kept as {copy}")

    def _digest(self) -> str:
        if isinstance(self.content, Blob):
            return self.content.sha256
        text = self.content.reveal() if isinstance(self.content, Secret) else self.content
        return hashlib.sha256(text.encode()).hexdigest()

    def _diff(self, host: Reader, present: bytes) -> str:
        secret = isinstance(self.content, Secret) or (isinstance(self.content, Blob) and self.content.secret)
        if not host.want_diff:
            return ""
        if secret:
            return f"{self.path}: content contains a secret, diff withheld"
        return unified(present.decode("utf-8", "replace"), host.text(self.content), self.path)


def attribute_changes(stat: Stat, owner: str, group: str, mode: int) -> list[Change]:
    """Differences in owner, group and mode. Empty names are not compared."""
    changes = []
    if owner and stat.owner != owner:
        changes.append(Change("owner", stat.owner, owner))
    if group and stat.group != group:
        changes.append(Change("group", stat.group, group))
    if stat.mode != mode:
        changes.append(Change("mode", octal(stat.mode), octal(mode)))
    return changes
