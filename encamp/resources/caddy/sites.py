"""encamp's sites in Caddy, beside those of its owner."""

from __future__ import annotations

from typing import Mapping, Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind, unified
from encamp.resources.caddy import paths as caddy
from encamp.resources.system import Reader, System
from encamp.resources.systemd.owners import start_command
from encamp.shared.record import factory

CANDIDATE = "/etc/caddy/.encamp-candidate"


@kind
class CaddySites(Resource):
    """Sites of the distribution's Caddy, one file each; the owner's own sites stay unchanged.

    ``sites`` maps names to the texts of their files, /etc/caddy/conf.d/encamp-<name>.caddy; encamp's files for
    other names are removed; without any site the import is removed, too. ``options`` is Caddy's block of global
    options, used where the main Caddyfile is not the owner's. The whole configuration is validated before anything is
    written.
    """

    name: str
    sites: Mapping[str, str] = factory(dict)
    options: str = ""

    def refuse(self, host: Reader) -> None:
        if not self.sites:
            return
        for path in self._wanted(host):
            stat = host.stat(path)
            if stat is not None and stat.kind != "file":
                raise _not_a_file(path, stat.kind)
        command = start_command(host, caddy.UNIT)
        if command and (caddy.MAIN not in command or "--resume" in command):
            raise Refused(
                f"{caddy.UNIT} on this host does not use {caddy.MAIN}: it runs `{command}`",
                "encamp did not set this Caddy up, and its sites would have no effect",
                f"let it run with --config {caddy.MAIN}; or set tls: off, add a site to your own configuration and "
                "set its address as public_url",
            )

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
        """The text of each file, None for absent, in writing order: imported files before the import."""
        main = _text(host, caddy.MAIN)
        mine = {caddy.site_path(name): text for name, text in self.sites.items()}
        stale = [f"{caddy.SITES}/{name}" for name in host.listdir(caddy.SITES) if _is_ours(name)]
        removed: dict[str, Optional[str]] = {path: None for path in stale if path not in mine}
        if self.sites:
            return {**removed, caddy.OPTIONS: self.options, **mine, caddy.MAIN: caddy.with_import(host, main)}
        return {caddy.MAIN: caddy.without_import(main), **removed}

    def _try(self, host: System, main: str) -> None:
        """Let Caddy validate the whole new configuration. Raises Failure when it is invalid."""
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
    """The owner's file may have any encoding: bytes that are not UTF-8 are written back unchanged."""
    return text.encode("utf-8", "surrogateescape")


def _write(host: System, path: str, text: str) -> None:
    """Write a file; an existing one keeps its owner and mode."""
    stat = host.stat(path)
    if stat is None:
        host.write(path, _bytes(text))
    elif stat.kind == "file":
        host.write(path, _bytes(text), stat.owner, stat.group, stat.mode)
    else:
        raise _not_a_file(path, stat.kind)


def _not_a_file(path: str, kind: str) -> Refused:
    return Refused(
        f"{path} is a {kind}, which encamp does not replace",
        "the file is managed elsewhere",
        f"replace the link by the file, and add this line to it: {caddy.IMPORT}",
    )


def _is_ours(name: str) -> bool:
    return name.startswith(caddy.PREFIX) and name.endswith(caddy.SUFFIX)


def _change(host: Reader, path: str, now: Optional[str], wanted: Optional[str]) -> Change:
    before = "absent" if now is None else "differs" if wanted is not None else "present"
    diff = unified(now or "", wanted or "", path) if host.want_diff else ""
    return Change(path, before, "absent" if wanted is None else "as declared", diff)


def _explained(failure: Failure) -> Failure:
    """Caddy's rejection as a Failure: its last line is the reason, the lines before it are a log."""
    output = failure.detail
    last = ([line for line in output.splitlines() if line.startswith("Error")] or [failure.reason])[-1]
    cause = f"encamp's sites and {caddy.MAIN}, which is not encamp's, do not fit together, or a site has a wrong value"
    fix = "the line above names the file and line, or what is wrong"
    if "ambiguous site definition" in last:
        cause = f"{caddy.MAIN}, or a file that it imports, already has a site with that address"
        fix = "remove that site, or give public_url another name or port"
    elif "second site" in output or "unrecognized directive" in last:
        fix = f"put braces around the sites in {caddy.MAIN}: without braces the file can hold only one site"
    return Failure(f"Caddy rejects the configuration; nothing was changed: {last}", cause, fix, output)
