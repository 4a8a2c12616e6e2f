"""What encamp did to a user's Prefect profiles, taken back."""

from __future__ import annotations

import os
from typing import ClassVar, Optional, Sequence

from encamp.resources.base import Change, Resource, kind, unified
from encamp.resources.system import Reader, System
from encamp.shared.record import replace
from roles.client.kinds.profile import restore as profile_undo
from roles.client.kinds.profile.file import ProfileFile, find, readable
from roles.client.kinds.profile.record import load, save
from roles.client.kinds.profile.report import describe, redacted
from roles.client.kinds.profile.restore import Restored
from roles.prefect.kinds.memory import note_once
from roles.prefect.kinds.user_environment import profiles_path

#: Stands for every profile that encamp wrote.
EVERY = "(all)"


@kind
class UndoProfile(Resource):
    """Restores what was there before encamp wrote a Prefect profile, byte for byte where it was not edited since.

    ``name`` is the profile, or "(all)" for each that encamp wrote. ``path`` is the profiles file ("": where this
    user's Prefect looks). What others changed since stays.
    """

    ships: ClassVar[tuple[str, ...]] = ("tomlkit",)

    name: str = EVERY
    path: str = ""

    def check(self, host: Reader) -> list[Change]:
        file = find(host, profiles_path(host, self.path))
        restored = self._restored(host, file)
        if restored is None:
            return []
        if not restored.exact:
            which = "encamp's profiles" if self.name == EVERY else f"profile {self.name}"
            note_once(
                self,
                host,
                f"{file.path} was edited after encamp wrote it: only {which} and the active profile are restored; "
                "other edits are kept",
            )
        if restored.data is None and file.data is not None:
            return [Change("file", file.path, "absent, as before encamp")]
        return self._changes(host, file, restored)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        file = find(host, profiles_path(host, self.path))
        restored = self._restored(host, file)
        if restored is None:
            return
        records = load(host)
        if restored.data is None:
            host.remove(file.path)
            folder = os.path.dirname(file.path)
            if restored.record.made_directory and host.stat(folder) and not host.listdir(folder):
                host.remove(folder)
        elif restored.data != file.data or restored.mode not in (None, file.mode):
            host.write(file.path, restored.data, file.owner, file.group, restored.mode or file.mode or 0o600)
        if restored.record.profiles:
            records[file.path] = restored.record
        else:
            records.pop(file.path)
        save(host, records)

    def _restored(self, host: Reader, file: ProfileFile) -> Optional[Restored]:
        """The file as it shall be; None where encamp wrote nothing that is to be taken back."""
        record = load(host).get(file.path)
        names = [] if record is None else [name for name in record.profiles if self.name in (EVERY, name)]
        if record is None or not names:
            return None
        with readable(file.path):
            restored = profile_undo.restored(file.data, record, names[-1])
            for name in reversed(names[:-1]):
                again = profile_undo.restored(restored.data, restored.record, name)
                mode = again.mode if again.mode is not None else restored.mode
                restored = replace(again, mode=mode, exact=again.exact and restored.exact)
            return restored

    def _changes(self, host: Reader, file: ProfileFile, restored: Restored) -> list[Change]:
        after = (restored.data or b"").decode("utf-8", "replace")
        record = load(host)[file.path]
        names = [name for name in record.profiles if self.name in (EVERY, name)]
        found = dict.fromkeys(change for name in names for change in describe(file.text, after, name))
        changes = list(found) or [Change("record", "kept for undo", "forgotten")]
        if host.want_diff:
            diff = unified(redacted(file.text), redacted(after), file.path)
            changes[0] = replace(changes[0], diff=diff)
        return changes
