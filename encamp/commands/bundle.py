"""``fab bundle``: all that a deploy of the site downloads, collected on a host with a network into one file."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from encamp.cli.options import Options
from encamp.commands import deploy
from encamp.commands.load_site import load_with
from encamp.commands.reporting import reporting
from encamp.commands.run_hosts import connect, run_hosts, single_stage
from encamp.errors import UsageError
from encamp.output.outcome import exit_code
from encamp.output.terminal import report
from encamp.planning import offline
from encamp.planning.offline import DEBS, WHEELS, Needs
from encamp.planning.plan import Item
from encamp.resources.files.absent import Absent
from encamp.resources.offline.debs import FACTS, CollectedPackages
from encamp.resources.offline.wheels import CollectedWheels
from encamp.resources.python.uv.tool import UvTool
from encamp.running.connectors import Connector
from encamp.shared.record import replace
from encamp.site import Site, SiteHost
from encamp.support import atomic_file
from encamp.transport.agent_exec import Link
from encamp.transport.session import Channel
from roles.prefect import role as prefect
from roles.prefect.release import Settings

COMMAND = "bundle"
#: Where the host that collects keeps it meanwhile. An interrupted run goes on from there.
COLLECTED = "/var/cache/encamp/bundle"
UV_ROOT = "/var/cache/encamp/bundle-uv"


def bundle(options: Options, file: str) -> int:
    """Write a bundle for the site's hosts, made on ``-H``. Returns the exit code; raises EncampError."""
    if not options.hosts:
        raise UsageError(
            "a bundle is made on a host with a network and the same Debian release as its hosts",
            "name it: fab -H HOST bundle",
        )
    path = Path(file)
    _check_place(path)
    with reporting(options, COMMAND) as reports:
        site, selected, named = load_with(replace(options, hosts=""), deploy.GROUPS, options.hosts, "plan")
        wanted = _needs(site, selected)
        if len(named) > 1:
            raise UsageError(f"-H names {len(named)} hosts; a bundle is made on one", "name one of them")
        host = named[0]
        prepared = single_stage(COMMAND, {host.name: _collect(host, site, wanted)})
        connector = connect(options, site, [host.name], reports)
        outcomes = run_hosts(COMMAND, options.mode, connector, prepared, reports)
        if exit_code(outcomes, False, False) == 0:
            report(f"copying it to {path}")
            _fetch(connector, host, path, wanted)
            run_hosts(COMMAND, options.mode, connector, single_stage("clean", {host.name: removal()}), reports)
        code = reports.end()
    if code == 0:
        made = offline.read(path)
        release = f"{made.manifest['release']} on {made.manifest['architecture']}, Python {made.manifest['python']}"
        report(f"\n  wrote {path}: {made.size // 1_000_000} MB for {release}")
        report(f"  next: fab deploy --bundle {path}")
    return code


def _check_place(path: Path) -> None:
    """Raises UsageError for a file that cannot become the bundle: before the host collects for minutes."""
    try:
        atomic_file.check(str(path))
        is_other = path.exists() and not tarfile.is_tarfile(path)
        tempfile.TemporaryFile(dir=path.resolve().parent).close()
    except OSError as error:
        raise UsageError(f"--file {path}: {error.strerror}", "give a file in a folder that you can write to") from None
    if is_other:
        raise UsageError(f"{path} exists, and is no bundle", "give another name with --file")


def _needs(site: Site, selected: list[SiteHost]) -> Needs:
    """What hosts need. Raises UsageError where that is nothing."""
    wanted = offline.needs(deploy.prepare(site, selected, verify=True).plans.values())
    if not wanted.locks:
        raise UsageError("the selected hosts download nothing", "leave --limit out")
    return wanted


def _collect(host: SiteHost, site: Site, wanted: Needs) -> Iterator[Item]:
    """What collects it. The mark is of all that is wanted: another wish collects anew."""
    settings = host.settings(Settings)
    mark = hashlib.sha256(repr((sorted(wanted.locks), wanted.uv, wanted.packages)).encode()).hexdigest()
    yield from prefect.ca_bundle(settings, site, host)
    tool = prefect.uv(settings, site, host, UV_ROOT)
    yield tool
    yield CollectedPackages(f"{COLLECTED}/{DEBS}", wanted.packages, mark, tool.proxy, tool.no_proxy)
    for env in wanted.locks.values():
        yield CollectedWheels(
            Path(env.path).name,
            f"{COLLECTED}/{WHEELS}",
            env.lock,
            tool.path,
            index_url=tool.index_url,
            ca_file=tool.ca_file,
            pinned=_pinned(tool),
            mark=mark,
            proxy=tool.proxy,
            no_proxy=tool.no_proxy,
        )


def _pinned(tool: UvTool) -> tuple[tuple[str, str], ...]:
    """The wheels of uv itself."""
    return tuple((filename, sha256) for _, filename, sha256 in tool.wheels if "linux" in filename)


def _fetch(connector: Connector, host: SiteHost, path: Path, wanted: Needs) -> None:
    """Bring what was collected here, and make the bundle of it."""
    link = connector.open(host.name)
    try:
        with tempfile.TemporaryDirectory(dir=path.resolve().parent, prefix=".bundle-") as folder:
            _copy(link, Path(folder))
            facts = json.loads((Path(folder) / FACTS).read_text("utf-8"))
            (Path(folder) / FACTS).unlink()
            offline.write(path, Path(folder), facts, wanted)
    except (OSError, tarfile.TarError, ValueError) as error:
        raise UsageError(f"{path}: {error}", "free some space here, or give another folder with --file") from None
    finally:
        link.close()


def _copy(link: Link, folder: Path) -> None:
    """Unpack what a host collected. Raises OSError, TarError."""
    channel = link.execute(f"tar -C {COLLECTED} -cf - {FACTS} {DEBS} {WHEELS}")
    with tarfile.open(fileobj=io.BufferedReader(_Output(channel)), mode="r|") as tar:
        for member in tar:
            name = Path(member.name)
            if member.isfile() and not name.is_absolute() and ".." not in name.parts:
                target = folder / name
                target.parent.mkdir(exist_ok=True)
                stream = tar.extractfile(member)
                assert stream is not None
                with target.open("wb") as out:
                    while block := stream.read(1024 * 1024):
                        out.write(block)
    if channel.recv_exit_status() != 0:
        raise OSError(f"tar on the host failed: {channel.recv_stderr(2000).decode('utf-8', 'replace').strip()}")


class _Output(io.RawIOBase):
    """What a command writes, as a file."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._channel.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def removal() -> Iterable[Item]:
    """What takes the collection off the host again."""
    yield Absent(COLLECTED)
    yield Absent(UV_ROOT)
