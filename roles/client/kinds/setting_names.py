"""Which name a Prefect setting has for the releases that a user has installed. The tables come with the resource."""

from __future__ import annotations

from typing import Iterable, Mapping, Optional, Sequence

from encamp.resources.base import Refused
from encamp.shared.record import factory, record
from roles.prefect.kinds.installs import Installed
from roles.prefect.kinds.releases import version_key

#: (first release, value) of a setting, oldest first; a value of None: gone from that release on.
Row = Sequence[Sequence[Optional[str]]]


@record
class Names:
    """``rows``: each setting's names. ``dropped``: (prefix of names, the release that no longer reads them). ``also``:
    (first release, name) that Prefect's own CLI gives a setting when it saves a profile.
    """

    rows: Mapping[str, Row]
    dropped: Row
    also: Mapping[str, Sequence[str]] = factory(dict)

    def name(self, key: str, version: str) -> Optional[str]:
        """The name of a setting in a release; None where it has none. What is not a key is a name itself."""
        found: Optional[str] = None if key in self.rows else key
        for since, name in self.rows.get(key, ()):
            if version_key(str(since)) <= version_key(version):
                found = name
        return found

    def every(self, key: str) -> set[str]:
        """All names that a setting ever had."""
        return {name for _, name in self._all(key)} if key in self.rows else {key}

    def _all(self, key: str) -> list[tuple[str, str]]:
        """(first release, name) of a setting, also as Prefect's CLI writes it."""
        own = [(str(since), name) for since, name in self.rows.get(key, ()) if name]
        return own + [(str(since), name) for since, name in [self.also.get(key, ("", ""))] if name]

    def kept(self, key: str, chosen: str, table: Iterable[str], found: Sequence[Installed]) -> str:
        """The name to keep using: ``prefect profile use`` saves a profile with the names of its own release.

        One that stands in ``table`` already stays, if every release found knows it.
        """
        if chosen in table or not found:
            return chosen
        oldest = min((install.version for install in found), key=version_key)
        known = (name for since, name in self._all(key) if version_key(since) <= version_key(oldest))
        return next((name for name in known if name in table), chosen)

    def since(self, key: str) -> str:
        """The first release that has a setting."""
        return str(self.rows[key][0][0]) if key in self.rows else "0"

    def shared(self, key: str, found: Sequence[Installed]) -> Optional[str]:
        """The one name of a setting for all the releases found: the oldest's, since later ones read older names.

        None where the oldest has no such setting. Raises Refused where the later do not read that name any more.
        """
        oldest = min(found, key=lambda install: version_key(install.version))
        name = self.name(key, oldest.version)
        for other in found if name else ():
            if self._is_dropped(str(name), other.version):
                raise Refused(
                    f"Prefect {oldest.version} in {oldest.path} and {other.version} in {other.path} read the same "
                    f"profiles, and no name for {key} works for both",
                    f"{name} is unknown to Prefect {other.version}, and a newer name breaks Prefect {oldest.version}",
                    f"remove or upgrade {oldest.path}; nothing was changed",
                )
        return name

    def _is_dropped(self, name: str, version: str) -> bool:
        return any(
            name.startswith(str(prefix)) and version_key(version) >= version_key(str(since))
            for prefix, since in self.dropped
        )
