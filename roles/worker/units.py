"""From what is declared of workers and agents to the units of a host: names, commands, environments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from encamp.errors import SettingsError
from encamp.resources.python.environment import PythonEnv
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import SiteHost
from roles.prefect import role as prefect
from roles.prefect import versions
from roles.prefect.groups import WORKERS
from roles.prefect.layout import UV_CACHE, UV_ROOT, Layout
from roles.prefect.release import Release, load_release, prefect_version
from roles.prefect.release import Settings as PrefectSettings
from roles.worker import git_access, pip_release
from roles.worker.kinds.service import WorkerRestart
from roles.worker.runner import LABEL
from roles.worker.settings import DEFAULT_POOL, PROCESS, Agent, Settings, Worker

#: Our start of Prefect's command, which lets flow runs finish when the unit is stopped.
DRAINING = "/opt/prefect/draining.py"


@record
class Unit:
    """One systemd unit. ``kind``: worker or agent. ``label``: what its specification is called on the host.

    ``name``: the unit's full name; ``own_name``: the worker's, as the server lists it. ``release``: what it runs.
    ``layout``: names and paths of its instance.
    """

    kind: str
    label: str
    name: str
    own_name: str
    spec: Worker | Agent
    release: Release
    layout: Layout

    @property
    def user(self) -> str:
        """The account that it runs as."""
        return self.spec.user or self.layout.worker_user

    @property
    def home(self) -> str:
        """Where it may write: the account's that encamp makes, or its own in place of another account's."""
        return self.layout.runner_home(self.kind, self.label) if self.spec.user else self.layout.worker_home

    @property
    def environment_path(self) -> str:
        """The environment that it runs in: the locked one, or the one on top of it that its flows may install into."""
        release = self.release.path.rpartition("/")[2]
        return self.layout.pip_environment(self.kind, self.label, release) if self.spec.pip else self.release.path

    @property
    def path(self) -> str:
        """What its PATH begins with."""
        return ":".join(f"{path}/bin" for path in dict.fromkeys([self.environment_path, self.release.path]))

    @property
    def env_file(self) -> str:
        """The file of its own variables; empty where it has none."""
        return self.layout.runner_env(self.kind, self.label) if self.variables else ""

    @property
    def variables(self) -> dict[str, str | Secret]:
        """The variables that it has beside those of all workers."""
        pip = {"VIRTUAL_ENV": self.environment_path} if self.spec.pip else {}
        home = {"PREFECT_HOME": self.home} if self.spec.user else {}
        git = git_access.variables(self.spec, self.layout, self.kind, self.label)
        return {**home, **pip, **git, **self.spec.environment}

    @property
    def files(self) -> list[str]:
        """The files below /etc/prefect that are only its own, and the link to its environment."""
        env = [self.env_file] if self.env_file else []
        link = [self.layout.runner_link(self.kind, self.label)] if self.spec.packages else []
        return [*env, *git_access.paths(self.spec, self.layout, self.kind, self.label), *link]

    @property
    def restart(self) -> WorkerRestart:
        """The handler for whatever it reads."""
        return WorkerRestart(self.name)

    @property
    def is_process(self) -> bool:
        """Whether its flow runs are processes of this host."""
        return isinstance(self.spec, Agent) or self.spec.type == PROCESS

    @property
    def title(self) -> str:
        """What it polls, for people."""
        pool = f"work pool {self.spec.pool}" if self.spec.pool else ""
        queues = f"queues {', '.join(self.spec.queues)}" if self.spec.queues else ""
        return ", ".join(filter(None, (pool, queues)))


def is_declared(host: SiteHost) -> bool:
    """Whether this host is to run workers or agents, or none from now on (``workers: []``)."""
    settings = host.settings(Settings)
    given = settings.work_pool or settings.workers or settings.agents
    return host.in_group(WORKERS) or bool(given or host.origin("workers") or host.origin("agents"))


def has_short_form(host: SiteHost) -> bool:
    """Whether one worker is made as work_pool, worker_limit and work_pool_concurrency say."""
    given = host.origin("workers") or host.origin("agents")
    return bool(host.settings(Settings).work_pool) or (host.in_group(WORKERS) and not given)


def units(host: SiteHost) -> list[Unit]:
    """Every unit of the host's instance. Raises SettingsError for what its release does not have."""
    found = [unit for spec in _specs(host) for unit in _of_spec(host, spec)]
    _refuse_twins(host, found)
    return found


def _specs(host: SiteHost) -> Sequence[Worker | Agent]:
    settings = host.settings(Settings)
    specs: list[Worker | Agent] = [*settings.workers, *settings.agents]
    if has_short_form(host):
        specs.insert(0, Worker(pool=settings.work_pool or DEFAULT_POOL, limit=settings.worker_limit))
    for spec in specs:
        _refuse_unknown(host, spec)
    return specs


def _refuse_unknown(host: SiteHost, spec: Worker | Agent) -> None:
    """Raises SettingsError for a worker or agent that the host's release of Prefect does not have."""
    version = prefect_version(host)
    where = host.origin("agents" if isinstance(spec, Agent) else "workers") or host.origin("work_pool")
    if isinstance(spec, Agent):
        needs = {"agent pool": bool(spec.pool), "agent limit": spec.limit > 0, "agent queues": len(spec.queues) > 1}
        if not versions.able("agents", version):
            raise SettingsError(
                f"{host.name}: Prefect {version} has no agents",
                f"declare workers instead: workers: [{{pool: {spec.pool or DEFAULT_POOL}, count: {spec.count}}}]",
                where,
            )
    else:
        needs = {"worker queues": bool(spec.queues)}
        if not versions.able("workers", version):
            raise SettingsError(
                f"{host.name}: Prefect {version} has no workers ({versions.since('workers')} added them)",
                f"declare agents instead: agents: [{{queues: [{(*spec.queues, DEFAULT_POOL)[0]}]}}], "
                "or choose a later prefect_version",
                where or host.origin("prefect_version"),
            )
    for ability, needed in needs.items():
        if needed and not versions.able(ability, version):
            reason = f"{host.name}: Prefect {version} does not support {ability}"
            raise SettingsError(reason, f"use {versions.since(ability)} or later", where)


def _of_spec(host: SiteHost, spec: Worker | Agent) -> Iterator[Unit]:
    kind = "agent" if isinstance(spec, Agent) else "worker"
    label = spec.name or spec.pool or spec.queues[0]
    if not LABEL.fullmatch(label):
        fix = f"set a name: of letters and digits, as in {kind}s: [{{pool: {label}, name: mine}}]"
        where = host.origin(f"{kind}s") or host.origin("work_pool")
        raise SettingsError(f"{host.name}: {label!r} cannot be used in a unit name", fix, where)
    release = _release(host, spec)
    for number in range(1, spec.count + 1):
        suffix = f"-{number}" if spec.count > 1 else ""
        name = Layout(host.instance).runner_unit(kind, label + suffix)
        own_name = host.name + (f"-{spec.name}" if spec.name else "") + suffix
        yield Unit(kind, label, name, own_name, spec, release, Layout(host.instance))


def _release(host: SiteHost, spec: Worker | Agent) -> Release:
    settings = host.settings(PrefectSettings)
    try:
        return load_release(settings, host.inventory.directory, spec.packages)
    except SettingsError as error:
        where = error.where or host.origin("workers" if spec.packages else "prefect_version")
        raise SettingsError(error.message, error.fix, where) from None


def _refuse_twins(host: SiteHost, found: Sequence[Unit]) -> None:
    """Raises SettingsError for two entries that want the same unit, or would be one worker to the server."""
    taken: dict[str, str] = {}
    for unit in found:
        names = [f"unit {unit.name}"]
        names += [f"worker {unit.own_name} of pool {unit.spec.pool}"] if isinstance(unit.spec, Worker) else []
        for name in names:
            if name in taken:
                reason = f"{host.name}: two entries define the {name}"
                raise SettingsError(reason, "give one of them a different name:", host.origin(f"{unit.kind}s"))
            taken[name] = unit.name


def command(host: SiteHost, unit: Unit) -> list[str]:
    """The command line of a unit, by the host's release of Prefect.

    The environment's own path, not the link to it: while a unit drains, a new release must not be slipped under it.
    """
    version = prefect_version(host)
    words = _agent_words(version, unit.spec) if isinstance(unit.spec, Agent) else _worker_words(version, unit)
    limit = ["--limit", str(unit.spec.limit)] if unit.spec.limit else []
    return [f"{unit.environment_path}/bin/python", DRAINING, *words[1:], *limit]


def _worker_words(version: str, unit: Unit) -> list[str]:
    assert isinstance(unit.spec, Worker)
    values = {"pool": unit.spec.pool, "type": unit.spec.type, "name": unit.own_name}
    queues = [word for queue in unit.spec.queues for word in ("--work-queue", queue)]
    return [*versions.command("worker", version, **values), *queues]


def _agent_words(version: str, spec: Agent) -> list[str]:
    first, *rest = spec.queues
    words = list(versions.command("agent", version, queue=first))
    words += [word for queue in rest for word in versions.command("agent", version, queue=queue)[-2:]]
    return words + (["--pool", spec.pool] if spec.pool else [])


def environment_of(host: SiteHost, unit: Unit) -> PythonEnv:
    """The environment that a unit runs in."""
    return prefect.environment(host.settings(PrefectSettings), unit.release, UV_ROOT, UV_CACHE)


def pip_environment_of(host: SiteHost, unit: Unit) -> PythonEnv:
    """The environment with pip alone that a unit's flows may install into, by the locked one's Python."""
    settings = host.settings(PrefectSettings)
    return PythonEnv(
        unit.environment_path,
        pip_release.LOCK,
        pip_release.LOCK_SHA256,
        prefect.uv_path(UV_ROOT),
        python=f"{unit.release.path}/bin/python",
        index_url=prefect.controller_index(settings),
        ca_file=prefect.ca_file(settings),
        cache_dir=UV_CACHE,
        proxy=settings.proxy,
        no_proxy=settings.no_proxy,
    )
