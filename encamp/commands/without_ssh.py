"""``fab configure-client --script`` and ``--commands``: a client's settings for machines that no SSH reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encamp import __version__
from encamp.agent.standalone.questions import PLACE
from encamp.cli.options import Options
from encamp.commands import configure_client
from encamp.commands.configure_client import ClientOptions
from encamp.errors import UsageError
from encamp.output.terminal import print_result, report
from encamp.planning import plan
from encamp.planning.plan import HostPlan
from encamp.shared.record import replace
from encamp.shared.wire import BlobStore
from encamp.site import Site, SiteHost
from encamp.support import atomic_file
from encamp.transport import standalone
from roles.client import by_hand
from roles.client import modes as client_modes
from roles.client import role as prefect_client
from roles.client.kinds.installed import ClientPrefect
from roles.client.role import Api, ProfileSpec
from roles.network import access


def run(options: Options, client: ClientOptions, script: str = "", commands: bool = False) -> int:
    """Write ``script``, or print the commands, for one client. Returns the exit code; raises EncampError."""
    configure_client.check(options, client)
    if options.json_file or options.junit_file:
        raise UsageError(
            "--script and --commands change nothing here, so there are no events for --json and --junit",
            "leave them out",
        )
    if (script and commands) or client.undo or client.install or options.check or options.diff:
        raise UsageError(
            "--script and --commands cannot be combined with each other, --undo, --install, --check or --diff",
            "a script has --undo and --check itself",
        )
    site, selected = configure_client.declared(options)
    if len(selected) > 1:
        names = ", ".join(host.name for host in selected)
        raise UsageError(f"{names}: --script and --commands are for one client", "name one with -H, or leave -H out")
    host = selected[0]
    mode = prefect_client.mode_of(host, client.mode)
    if mode == "database" or (mode == "local" and commands):
        only = "hosted" if commands else "hosted or local"
        raise UsageError(f"{host.name} has client_mode: {mode}, for which there is neither", f"give --mode {only}")
    specs = configure_client.profile_specs(host, site, options, client) if mode == "hosted" else []
    if commands:
        _print_commands(host, specs)
    else:
        _write(Path(script), host, site, options, client, specs)
    return 0


def _print_commands(host: SiteHost, specs: list[ProfileSpec]) -> None:
    release = prefect_client.install_release(host, specs)
    for spec in specs:
        assert spec.api is not None
        for line in by_hand.lines(spec, spec.api, release, active=spec is specs[0]):
            print_result(line)


def _write(
    path: Path, host: SiteHost, site: Site, options: Options, client: ClientOptions, specs: list[ProfileSpec]
) -> None:
    """Write the script. A file of that name that is not one of encamp's stays. Raises UsageError."""
    release = prefect_client.install_release(host, specs)
    steps = plan.build(host.name, configure_client.items(host, site, options, client))
    undo = plan.build(host.name, client_modes.undo(client.profile))
    apis = [spec.api for spec in specs if spec.api and spec.api.auth]
    data = standalone.archive(_job(steps, undo, apis, release), plan.third_party(steps))
    try:
        if path.exists() and not standalone.is_archive(path):
            raise UsageError(f"{path} exists, and is no script of encamp's", "give another name")
        atomic_file.write(str(path), data, 0o644)  # an executable file beside an inventory is one, too
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "give a file in a folder that you can write to") from None
    report(f"wrote {path} ({len(data) // 1024} KiB, without secrets). On the laptop, with any Python from 3.9 on:")
    report(f"  python3 {path.name}     on Windows: py {path.name}     back to what was before: --undo")
    for api in apis:
        kept = f": {access.USER}, and the text in {site.inventory.directory / api.login_file}" if api.login_file else ""
        report(f"  it asks for the login of {api.url}{kept}")


def _job(steps: HostPlan, undo: HostPlan, apis: Sequence[Api], release: str) -> dict[str, Any]:
    """The script's job, with the place of an answer wherever a secret would be: each is asked for once.

    The user is part of the question where it is no secret.
    """
    questions: dict[str, dict[str, str]] = {}
    for api in apis:
        assert api.auth is not None
        user = access.USER if api.login_file else ""
        questions.setdefault(api.auth.reveal(), {"url": api.url, "user": user})
    number = {secret: index for index, secret in enumerate(questions)}
    return {
        "version": __version__,
        "about": "Points Prefect on this machine at its server, for the user who runs it.",
        "questions": list(questions.values()),
        "steps": [_asking(step, number) for step in _wire(steps, release)],
        "undo": _wire(undo, release),
    }


def _wire(built: HostPlan, release: str) -> list[Any]:
    installer = f"`uv tool install prefect=={release}` or `pip install prefect=={release}`"
    store = BlobStore()
    resources = (step.resource for step in built.steps)
    return [
        plan.resource_wire(replace(one, installer=installer) if isinstance(one, ClientPrefect) else one, store)
        for one in resources
    ]


def _asking(data: Any, number: Mapping[str, int]) -> Any:
    """``data`` with the number of a question in place of each secret. Raises KeyError for one that nobody can type."""
    if isinstance(data, list):
        return [_asking(item, number) for item in data]
    if not isinstance(data, dict):
        return data
    if "$secret" in data:
        return {PLACE: number[data["$secret"]]}
    return {key: _asking(item, number) for key, item in data.items()}
