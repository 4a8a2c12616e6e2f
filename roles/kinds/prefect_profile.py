"""A Prefect profile of the agent's user: written, made active, or taken back."""

from __future__ import annotations

import dataclasses
import os
from typing import ClassVar, Mapping, Optional, Sequence, Union

from encamp.resources.base import Change, Reader, Resource, System, kind, octal, unified
from encamp.shared.secret import Secret
from roles.kinds import profile_edit, profile_undo
from roles.kinds.memory import note_once
from roles.kinds.prefect_install import installed
from roles.kinds.profile_edit import Edit, Keep, plain, quoted
from roles.kinds.profile_file import ProfileFile, find, readable
from roles.kinds.profile_record import REMOVED, FileRecord, ProfileRecord, digest, load, save
from roles.kinds.profile_report import describe, redacted
from roles.kinds.profile_undo import Restored
from roles.kinds.user_environment import profiles_path
from roles.kinds.version_key import version_key


@kind
class PrefectProfile(Resource):
    """A Prefect profile of the agent's user: written, made active, and taken back byte for byte with ``undo``.

    ``settings`` are the profile's keys, already with the names of the user's Prefect generation. ``path`` is the
    profiles file ("": where this user's Prefect looks). ``activate`` makes the profile the active one.
    ``minimum_versions`` says since which release a setting exists: one that the oldest Prefect found here does not know
    is left out, since an unknown name breaks Prefect 2 at import. ``undo`` puts back what was there before encamp.
    Other profiles, comments, order, mode, and keys that others added to this profile stay.
    """

    ships: ClassVar[tuple[str, ...]] = ("tomlkit",)

    name: str
    settings: Mapping[str, Union[str, Secret]] = dataclasses.field(default_factory=dict)
    path: str = ""
    activate: bool = True
    undo: bool = False
    minimum_versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def check(self, host: Reader) -> list[Change]:
        file = find(host, profiles_path(host, self.path))
        if self.undo:
            return self._undo_changes(host, file)
        after = self._after(host, file)
        self._warn(host, after)
        return self._changes(host, file, after)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        file = find(host, profiles_path(host, self.path))
        if self.undo:
            self._take_back(host, file)
            return
        after = self._after(host, file)
        records = load(host)
        records[file.path] = self._record(host, file, after, records.get(file.path))
        save(host, records)
        if records[file.path].made_directory and host.stat(os.path.dirname(file.path)) is None:
            host.mkdir(os.path.dirname(file.path), mode=0o700)
        self._write(host, file, after.encode(), self._mode(file))

    # -- what shall be ------------------------------------------------------------------------------------------

    def _after(self, host: Reader, file: ProfileFile) -> str:
        """The whole file as it shall be. Raises Refused where it cannot be edited safely."""
        values: dict[str, Optional[str]] = {key: quoted(_open(value)) for key, value in self._known(host).items()}
        record = load(host).get(file.path, FileRecord()).profiles.get(self.name, ProfileRecord())
        with readable(file.path):
            table = profile_edit.read(file.text).tables.get(self.name, {})
            for key, value in table.items():
                if key not in values and record.wrote.get(key) == digest(plain(value).encode()):
                    values[key] = None
            return profile_edit.edited(file.text, Edit(self.name, values, self.name if self.activate else Keep()))

    def _known(self, host: Reader) -> dict[str, Union[str, Secret]]:
        """The settings that the oldest Prefect found here knows."""
        found = installed(host) if self.minimum_versions else []
        oldest = min(found, key=lambda one: version_key(one.version), default=None)
        if oldest is None:
            return dict(self.settings)
        known = {}
        for key, value in self.settings.items():
            since = self.minimum_versions.get(key, "0")
            if version_key(since) <= version_key(oldest.version):
                known[key] = value
            else:
                note_once(
                    self,
                    host,
                    f"{key} left out of profile {self.name}: it exists since Prefect {since}, and "
                    f"{oldest.version} in {oldest.path} does not know it; upgrade that one, then configure again",
                )
        return known

    def _mode(self, file: ProfileFile) -> int:
        """The mode as it is; 0600 for a new file, and for one that now holds a secret which others could read."""
        if file.mode is None:
            return 0o600
        secret = any(isinstance(value, Secret) for value in self.settings.values())
        return file.mode & ~0o077 if secret else file.mode

    def _warn(self, host: Reader, after: str) -> None:
        table = profile_edit.read(after).tables.get(self.name, {})
        url = plain(table.get("PREFECT_API_URL", '""'))
        if "PREFECT_API_KEY" in table and "api.prefect.cloud" not in url:
            note_once(
                self,
                host,
                f"profile {self.name} also holds PREFECT_API_KEY, a key of Prefect Cloud: a server of your own may "
                f"answer 401; remove it with `prefect config unset PREFECT_API_KEY` (encamp left it alone)",
            )

    # -- what differs -------------------------------------------------------------------------------------------

    def _changes(self, host: Reader, file: ProfileFile, after: str) -> list[Change]:
        changes = describe(file.text, after, self.name)
        mode = self._mode(file)
        if file.data is None:
            changes.insert(0, Change("file", "absent", file.path))
        elif file.mode != mode:
            changes.append(Change("mode", octal(file.mode or 0), octal(mode)))
        return self._with_diff(host, file, after, changes)

    def _with_diff(self, host: Reader, file: ProfileFile, after: str, changes: list[Change]) -> list[Change]:
        if changes and host.want_diff:
            diff = unified(redacted(file.text), redacted(after), file.path)
            changes[0] = dataclasses.replace(changes[0], diff=diff)
        return changes

    def _record(self, host: Reader, file: ProfileFile, after: str, old: Optional[FileRecord]) -> FileRecord:
        """The record to keep: the first state stays; what others changed since becomes part of it."""
        if old is None or file.data is None:
            record = FileRecord(file.data, file.mode, host.stat(os.path.dirname(file.path)) is None)
        else:
            record = old
            if digest(file.data) != old.wrote:
                record.before = profile_undo.without_encamp(file.text, old).encode()
                record.mode = file.mode if record.mode is None else record.mode
        entry = record.profiles.setdefault(self.name, _first_sight(profile_edit.read(file.text), self.name))
        table = profile_edit.read(after).tables.get(self.name, {})
        removed = {key: REMOVED for key in entry.wrote if key not in table}
        entry.wrote = {**removed, **{key: digest(plain(table[key]).encode()) for key in self._known(host)}}
        entry.activated = entry.activated or self.activate
        record.wrote = digest(after.encode())
        return record

    # -- undo ---------------------------------------------------------------------------------------------------

    def _restored(self, host: Reader, file: ProfileFile) -> Optional[Restored]:
        record = load(host).get(file.path)
        if record is None or self.name not in record.profiles:
            return None
        with readable(file.path):
            return profile_undo.restored(file.data, record, self.name)

    def _undo_changes(self, host: Reader, file: ProfileFile) -> list[Change]:
        restored = self._restored(host, file)
        if restored is None:
            return []
        if not restored.exact:
            note_once(
                self,
                host,
                f"{file.path} was edited after encamp wrote it: only profile {self.name} and the active profile are "
                f"put back, the other edits stay",
            )
        if restored.data is None and file.data is not None:
            return [Change("file", file.path, "absent, as before encamp")]
        after = (restored.data or b"").decode("utf-8", "replace")
        changes = describe(file.text, after, self.name) or [Change("record", "kept for undo", "forgotten")]
        return self._with_diff(host, file, after, changes)

    def _take_back(self, host: System, file: ProfileFile) -> None:
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
            self._write(host, file, restored.data, restored.mode or file.mode or 0o600)
        if restored.record.profiles:
            records[file.path] = restored.record
        else:
            records.pop(file.path)
        save(host, records)

    def _write(self, host: System, file: ProfileFile, data: bytes, mode: int) -> None:
        host.write(file.path, data, file.owner, file.group, mode)


def _first_sight(then: profile_edit.Profiles, profile: str) -> ProfileRecord:
    table = then.tables.get(profile)
    return ProfileRecord(previous=dict(table or {}), existed=table is not None, active=then.active)


def _open(value: Union[str, Secret]) -> str:
    return value.reveal() if isinstance(value, Secret) else value
