"""A Prefect profile of the agent's user: written, and made active."""

from __future__ import annotations

import os
from typing import ClassVar, Mapping, Optional, Sequence, Union

from encamp.resources.base import Change, Refused, Resource, kind, octal, unified
from encamp.resources.files.paths import expand
from encamp.resources.system import Reader, System
from encamp.shared.record import factory, replace
from encamp.shared.secret import Secret
from roles.client.kinds.profile import edit as profile_edit
from roles.client.kinds.profile import restore as profile_undo
from roles.client.kinds.profile.edit import Edit, Keep, Profiles, plain, quoted
from roles.client.kinds.profile.file import ProfileFile, find, readable
from roles.client.kinds.profile.record import REMOVED, FileRecord, ProfileRecord, digest, load, save
from roles.client.kinds.profile.report import describe, redacted
from roles.client.kinds.setting_names import Names, Row
from roles.prefect.kinds.installs import installed
from roles.prefect.kinds.memory import note_once
from roles.prefect.kinds.user_environment import profiles_path

#: Stands for the profile that is active, whatever its name.
ACTIVE = "(active)"
Value = Union[str, Secret]


@kind
class PrefectProfile(Resource):
    """A Prefect profile of the agent's user: written, and made active. ``UndoProfile`` takes it back byte for byte.

    ``name`` may be "(active)", which means the one that is active. ``settings`` are the profile's, and ``absent`` what
    it must not hold, by keys of ``names`` or by their own names; values may begin with ``~/``. ``names`` holds each
    setting's names since which release, ``dropped`` prefixes of names and the release that no longer reads them,
    ``also`` names that Prefect's CLI writes instead: the profile gets names that all releases found here know, since an
    unknown one breaks Prefect 2 at import. What the oldest does not have is left out, with a note unless ``optional``,
    or refused where it is ``required``. ``version`` is the release to write for where none is found. ``activate`` makes
    the profile the active one, unless one of ``others`` is. ``builtin``: the names of the profiles that Prefect brings
    since which release; the first is the default. ``path`` is the profiles file ("": where this user's Prefect looks).
    Other profiles, comments, order, mode, and keys that others added stay.
    """

    ships: ClassVar[tuple[str, ...]] = ("tomlkit",)

    name: str
    settings: Mapping[str, Value] = factory(dict)
    path: str = ""
    activate: bool = True
    names: Mapping[str, Row] = factory(dict)
    dropped: Row = ()
    also: Mapping[str, Sequence[str]] = factory(dict)
    version: str = "999"
    absent: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    builtin: Row = ()

    def check(self, host: Reader) -> list[Change]:
        file = find(host, profiles_path(host, self.path))
        name, after = self._after(host, file)
        return self._changes(host, file, name, after)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        file = find(host, profiles_path(host, self.path))
        name, after = self._after(host, file)
        records = load(host)
        records[file.path] = self._record(host, file, name, after, records.get(file.path))
        save(host, records)
        if records[file.path].made_directory and host.stat(os.path.dirname(file.path)) is None:
            host.mkdir(os.path.dirname(file.path), mode=0o700)
        host.write(file.path, after.encode(), file.owner, file.group, self._mode(file))

    # -- what shall be ------------------------------------------------------------------------------------------

    def _after(self, host: Reader, file: ProfileFile) -> tuple[str, str]:
        """The profile's name, and the whole file as it shall be. Raises Refused where it cannot be edited safely."""
        with readable(file.path):
            now = profile_edit.read(file.text)
            name, exists = self._target(host, now)
            table = now.tables.get(name, {})
            values = self._values(host, table, name) if exists else {}
            record = load(host).get(file.path, FileRecord()).profiles.get(name, ProfileRecord())
            for key, value in table.items() if exists else ():
                if key not in values and record.wrote.get(key) == digest(plain(value).encode()):
                    values[key] = None
            active = name if self.activate and name and now.active not in self.others else Keep()
            return name, profile_edit.edited(file.text, Edit(name, values, active))

    def _target(self, host: Reader, now: Profiles) -> tuple[str, bool]:
        """The profile to write, and whether its table is ours to edit: those that Prefect brings stay as they are.

        A file without an active profile, and one that names Prefect's own default, is as Prefect has it.
        """
        if self.name != ACTIVE:
            return self.name, True
        builtin = self._builtin_profiles(host)
        if now.active in builtin[1:]:  # one with a server of its own, which a table would only be merged with
            return builtin[0], False
        name = now.active or builtin[0]
        return (name, True) if name in now.tables else ("", False)

    def _builtin_profiles(self, host: Reader) -> Sequence[str]:
        """The profiles that this user's Prefect brings, its default first."""
        found = installed(host)
        names = Names({"builtin": self.builtin}, ()).name("builtin", found[0].version if found else self.version)
        return str(names).split()

    def _values(self, host: Reader, table: Mapping[str, str], profile: str) -> dict[str, Optional[str]]:
        """What to write, by name, as TOML; None for what shall go."""
        names, known = self._names, self._known(host, table)
        unwanted = {name for key in (*self.absent, *known) for name in names.every(key)}
        values: dict[str, Optional[str]] = {name: None for name in table if name in unwanted}
        if "PREFECT_API_KEY" in values:
            text = "a Prefect Cloud key, is removed: self-hosted servers answer it with 401; --undo restores it"
            note_once(self, host, f"PREFECT_API_KEY of profile {profile}, {text}")
        for name, value in known.values():
            values[name] = quoted(value.reveal() if isinstance(value, Secret) else expand(host, value))
        return values

    @property
    def _names(self) -> Names:
        return Names(self.names, self.dropped, self.also)

    def _known(self, host: Reader, table: Mapping[str, str]) -> dict[str, tuple[str, Value]]:
        """Each setting's key, with a name that every Prefect found here knows, and its value."""
        names, found = self._names, installed(host) if self.names else []
        known = {}
        for key, value in self.settings.items():
            name = names.shared(key, found) if found else names.name(key, self.version)
            if name:
                known[key] = (names.kept(key, name, table, found), value)
            elif found and key not in self.optional:
                self._left_out(host, names, key)
        return known

    def _left_out(self, host: Reader, names: Names, key: str) -> None:
        """Tell what the oldest Prefect does not know; Raises Refused where nothing works without it."""
        lacking = [install for install in installed(host) if names.name(key, install.version) is None]
        setting = sorted(names.every(key))[-1]
        without = ", ".join(f"{install.version} in {install.path}" for install in lacking)
        reason = f"{setting} exists since Prefect {names.since(key)}, but {without} does not support it"
        fix = "upgrade it, then run `fab configure-client` again"
        if key in self.required:
            raise Refused(
                f"{reason}; without it clients on this machine cannot connect to the server, or not securely",
                "all Prefect installations of a user share the profiles, and Prefect 2 fails to "
                "import when a name is unknown",
                f"{fix}, or remove it; nothing was changed",
            )
        note_once(self, host, f"{setting} is not written: {reason}; {fix}")

    def _mode(self, file: ProfileFile) -> int:
        """The mode as it is; 0600 for a new file, and for one that now holds a secret which others could read."""
        if file.mode is None:
            return 0o600
        secret = any(isinstance(value, Secret) for value in self.settings.values())
        return file.mode & ~0o077 if secret else file.mode

    # -- what differs -------------------------------------------------------------------------------------------

    def _changes(self, host: Reader, file: ProfileFile, name: str, after: str) -> list[Change]:
        changes = describe(file.text, after, name)
        mode = self._mode(file)
        if file.data is None and after:
            changes.insert(0, Change("file", "absent", file.path))
        elif file.mode is not None and file.mode != mode:
            changes.append(Change("mode", octal(file.mode), octal(mode)))
        if changes and host.want_diff:
            diff = unified(redacted(file.text), redacted(after), file.path)
            changes[0] = replace(changes[0], diff=diff)
        return changes

    def _record(self, host: Reader, file: ProfileFile, name: str, after: str, old: Optional[FileRecord]) -> FileRecord:
        """The record to keep: the first state stays; what others changed since becomes part of it."""
        if old is None or file.data is None:
            record = FileRecord(file.data, file.mode, host.stat(os.path.dirname(file.path)) is None)
        else:
            record = old
            if digest(file.data) != old.wrote:
                left = profile_undo.without_encamp(file.text, old)
                if left.strip() or old.before is not None:
                    record.before = left.encode()
                    record.mode = file.mode if record.mode is None else record.mode
        now = profile_edit.read(file.text)
        entry = record.profiles.setdefault(name, _first_sight(now, name))
        self._note_edits(entry, now.tables.get(name, {}), profile_edit.read(after).tables.get(name, {}), host)
        entry.activated = entry.activated or profile_edit.read(after).active == name
        record.wrote = digest(after.encode())
        return record

    def _note_edits(
        self, entry: ProfileRecord, before: Mapping[str, str], after: Mapping[str, str], host: Reader
    ) -> None:
        """Keep what each key was that encamp takes over now, and what it is from now on."""
        known = self._known(host, before)
        wrote = {name: digest(plain(after[name]).encode()) for name, _ in known.values() if name in after}
        # Prefect's CLI saves a profile with other names for the same settings: then they are still ours.
        written = {key: wrote[name] for key, (name, _) in known.items() if name in wrote}
        aliases = {other: value for key, value in written.items() for other in sorted(self._names.every(key))}
        gone = {key: REMOVED for key in [*entry.wrote, *before] if key not in after}
        for key in [*wrote, *gone]:
            if key not in entry.wrote and key in before:
                entry.previous[key] = before[key]
        entry.wrote = {**gone, **aliases, **wrote}


def _first_sight(then: profile_edit.Profiles, profile: str) -> ProfileRecord:
    table = then.tables.get(profile)
    return ProfileRecord(previous=dict(table or {}), existed=table is not None, active=then.active)
