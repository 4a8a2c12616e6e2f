"""What Caddy serves for encamp, beside whatever its owner has it serve."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind, unified
from encamp.resources.caddy import paths as caddy
from encamp.resources.system import Reader, System
from encamp.shared.record import factory

CANDIDATE = "/etc/caddy/.encamp-candidate"


@kind
class CaddySites(Resource):
    """Sites that the distribution's Caddy serves, each in a file of its own; all others of its owner stay as they are.

    ``sites`` maps names to the texts of their files, /etc/caddy/conf.d/encamp-<name>.caddy; files of ours for other
    names are removed, and with no sites at all the import is, too. ``options`` is Caddy's block of global options,
    used where the main Caddyfile is not the owner's. The whole configuration is validated before any of it is put in
    place.
    """

    name: str
    sites: Mapping[str, str] = factory(dict)
    options: str = ""

    def check(self, host: Reader) -> list[Change]:
        changes = []
        for path, wanted in self._wanted(host).items():
            now = _text(host, path)
            if now != wanted:
                changes.append(_change(host, path, now, wanted))
        return changes

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        wanted = self._wanted(host)
        if self.sites:
            self._try(host, wanted[caddy.MAIN] or "")
        for path, text in wanted.items():
            if text is None:
                host.remove(path)
            elif _text(host, path) != text:
                _write(host, path, text)

    def _wanted(self, host: Reader) -> dict[str, Optional[str]]:
        """What each file must be, None for absent, in the order to write them: what is imported before the import."""
        main = _text(host, caddy.MAIN)
        mine = {caddy.site_path(name): text for name, text in self.sites.items()}
        stale = [f"{caddy.SITES}/{name}" for name in host.listdir(caddy.SITES) if _is_ours(name)]
        found: dict[str, Optional[str]] = {path: None for path in stale if path not in mine}
        if self.sites:
            return {**found, caddy.OPTIONS: self.options, **mine, caddy.MAIN: caddy.with_import(host, main)}
        return {caddy.MAIN: caddy.without_import(main), **found}

    def _try(self, host: System, main: str) -> None:
        """Have Caddy read the whole as it will be. Raises Failure where it will not do."""
        text = caddy.whole(main, self.options, "\n".join(self.sites.values()))
        check = (caddy.PROGRAM, "validate", "--adapter", "caddyfile", "--config", "{}")
        try:
            host.write(CANDIDATE, _bytes(text), mode=0o600, validate=check)
        except Failure as failure:
            raise _explained(failure) from None
        finally:
            host.remove(CANDIDATE)


def _text(host: Reader, path: str) -> Optional[str]:
    data = host.read(path)
    return None if data is None else data.decode("utf-8", "surrogateescape")


def _bytes(text: str) -> bytes:
    """An owner's file may be in any encoding: what could not be read as UTF-8 is written as it was."""
    return text.encode("utf-8", "surrogateescape")


def _write(host: System, path: str, text: str) -> None:
    """Write a file; one that is there keeps its owner and mode."""
    found = host.stat(path)
    if found is None:
        host.write(path, _bytes(text))
    elif found.kind == "file":
        host.write(path, _bytes(text), found.owner, found.group, found.mode)
    else:
        raise Refused(
            f"{path} is a {found.kind}, which encamp does not replace",
            "somebody keeps that file elsewhere",
            f"add this line to the file it leads to, then deploy again: {caddy.IMPORT}",
        )


def _is_ours(name: str) -> bool:
    return name.startswith(caddy.PREFIX) and name.endswith(caddy.SUFFIX)


def _change(host: Reader, path: str, now: Optional[str], wanted: Optional[str]) -> Change:
    before = "absent" if now is None else "differs" if wanted is not None else "present"
    diff = unified(now or "", wanted or "", path) if host.want_diff else ""
    return Change(path, before, "absent" if wanted is None else "as declared", diff)


def _explained(failure: Failure) -> Failure:
    """Caddy's refusal in plain words: its last line says why, those before it are a log."""
    said = failure.detail
    last = ([line for line in said.splitlines() if line.startswith("Error")] or [failure.reason])[-1]
    cause, fix = f"{caddy.MAIN}, which has an owner, and encamp's sites do not go together", ""
    if "ambiguous site definition" in last:
        cause = f"{caddy.MAIN}, or a file that it imports, has a site of that address already"
        fix = "remove that site, or give public_url another name or port"
    elif "second site" in said or "unrecognized directive" in last:
        fix = f"put braces around the sites in {caddy.MAIN}: without them it can hold only one"
    return Failure(f"Caddy refuses the configuration, and nothing of it was changed: {last}", cause, fix, said)
