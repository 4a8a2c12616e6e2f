"""Prefect servers on a host that encamp did not set up: what each is, and what there is of it.

Used by ``fab adopt``, by the deploy that takes a server over, and by whoever refuses to replace one.
"""

from __future__ import annotations

import os
from typing import Any, Iterator, Mapping, Optional, Sequence

from encamp.resources.docker import api as docker
from encamp.resources.system import Reader
from encamp.shared.record import factory, record, replace
from roles.adopt.kinds import boot_lines
from roles.adopt.kinds.adoption import DONE, FOLDER, TAKEN, adoption_of
from roles.adopt.kinds.dormant import OURS, dormant_servers
from roles.adopt.kinds.inquiry import Answer, Question, ask
from roles.adopt.kinds.keeper import CONTAINER, OTHER_CONTAINER, PODMAN, SESSION, UNIT, USER_UNIT, read_text
from roles.adopt.kinds.processes import SERVER, SERVICES, Process, option, port_of, prefect_processes
from roles.adopt.kinds.secrecy import shown_url, veiled, without_login

_OUR_PROGRAMS = "/opt/prefect/"


@record
class Runner:
    """A worker, an agent or separate services of a server: what it does, its keeper's name, and the pool it polls."""

    job: str
    keeper: str
    kind: str
    pool: str
    api_url: str


@record
class FoundServer:
    """A server that encamp did not set up.

    ``name`` is what ``adopt:`` calls it. ``path`` is its unit's file, its Compose file or its line in a crontab; empty
    where nothing starts it at boot. ``answer`` is what its installation says, None where that did not answer:
    ``problem`` is why.
    """

    name: str
    process: Process
    path: str
    running: bool
    bind: str
    port: int
    answer: Optional[Answer] = None
    problem: str = ""
    project: str = ""
    runners: Sequence[Runner] = ()
    drop_ins: Sequence[str] = ()
    container: Mapping[str, Any] = factory(dict)

    @property
    def kind(self) -> str:
        return self.process.keeper.kind

    @property
    def database(self) -> str:
        """Its database for people: a file, or a URL without its login."""
        if self.answer is None:
            return ""
        return self.answer.sqlite or shown_url(self.answer.database_url.reveal())

    def __str__(self) -> str:
        """One line: what an operator needs to recognise it."""
        words = [f"{self.name} (user {self.process.user}"]
        if self.answer:
            counts = ", ".join(f"{count} {what}" for what, count in self.answer.counts.items())
            words += [f"Prefect {self.answer.release}", self.database, *([counts] if counts else [])]
        return ", ".join(words) + ")"


def found_servers(host: Reader, inquire: bool = True) -> list[FoundServer]:
    """All servers on the host that are not encamp's, running or not. ``inquire``: start each one's Python to ask it.

    An inquiry takes about two seconds of CPU and reads the database. As root everything is found.
    """
    return host.once(f"found-servers {inquire}", lambda: list(_found(host, inquire)))


def found_server(host: Reader, name: str) -> Optional[FoundServer]:
    """The server of that name (:attr:`FoundServer.name`), with what its installation says; None without it."""
    return next((found for found in found_servers(host) if found.name == name), None)


def _found(host: Reader, inquire: bool) -> Iterator[FoundServer]:
    running = prefect_processes(host)
    mains = [process for process in _mains(running) if not _is_ours(host, process)]
    dormant = [process for process in dormant_servers(host, running) if not _is_continued(host, process)]
    for process in [*mains, *dormant]:
        yield _described(host, process, running, inquire)


def _is_continued(host: Reader, process: Process) -> bool:
    """Whether encamp has stopped it to continue it."""
    adoptions = [adoption_of(host, instance) for instance in host.listdir(FOLDER)]
    key = (process.keeper.kind, process.keeper.name)
    return any(each and each.state in (TAKEN, DONE) and (each.kind, each.unit) == key for each in adoptions)


def _mains(running: Sequence[Process]) -> Iterator[Process]:
    """The first process of each server: it may have others below it."""
    seen = set()
    for process in running:
        if process.job == SERVER and process.keeper.key not in seen:
            seen.add(process.keeper.key)
            yield process


def _is_ours(host: Reader, process: Process) -> bool:
    """Whether encamp set it up: its unit says so, or its container belongs to a unit of encamp's."""
    if process.keeper.kind == CONTAINER:
        labels = _labels(docker.inspect(host, "containers", process.keeper.key))
        return labels.get("com.docker.compose.project.working_dir", "").startswith("/etc/prefect/")
    if process.keeper.kind != UNIT:
        return False
    text = read_text(host, f"/etc/systemd/system/{process.keeper.name}")
    return OURS in text and process.argv[0].startswith(_OUR_PROGRAMS)


def _described(host: Reader, process: Process, running: Sequence[Process], inquire: bool) -> FoundServer:
    keeper = process.keeper
    container = _container(host, process)
    answer, problem = None, ""
    if keeper.kind in (PODMAN, OTHER_CONTAINER):
        problem = f"it runs in a {keeper.kind}, where encamp starts nothing"
    elif inquire:
        inside = keeper.key if keeper.kind == CONTAINER else ""
        answer, problem = ask(host, Question(process.python, process.user, process.cwd, process.environment, inside))
        problem = veiled(problem, process, answer)
        if answer is not None and answer.problem:
            answer = replace(answer, problem=veiled(answer.problem, process, answer))
    bind, port = _address(process, answer, container)
    name, path = _name_and_path(host, process, container, port)
    return FoundServer(
        name,
        process,
        path,
        running=process.pid > 0,
        bind=bind,
        port=port,
        answer=answer,
        problem=problem,
        project=_labels(container).get("com.docker.compose.project", ""),
        runners=list(_runners(host, running)),
        drop_ins=_drop_ins(host, keeper.name) if keeper.kind == UNIT else (),
        container=container,
    )


def _name_and_path(host: Reader, process: Process, container: Mapping[str, Any], port: int) -> tuple[str, str]:
    keeper = process.keeper
    if keeper.kind == UNIT:
        return keeper.name, _property(host, "FragmentPath", ["--", keeper.name])
    if keeper.kind == USER_UNIT:
        return f"{keeper.user}/{keeper.name}", f"~{keeper.user}/.config/systemd/user/{keeper.name}"
    if keeper.kind == CONTAINER:
        return f"container {str(container.get('Name', keeper.key[:12])).lstrip('/')}", _compose_files(container)
    if keeper.kind == PODMAN:
        return f"podman {keeper.key[:12]}", ""
    if keeper.kind == OTHER_CONTAINER:
        return f"container of process {process.pid}", ""
    lines = boot_lines.of_user(host, keeper.user)
    return f"process {keeper.user}:{port}", ", ".join(line.place for line in lines)


def _compose_files(container: Mapping[str, Any]) -> str:
    """The Compose files of a container, by their whole paths: Compose 1 notes them relative to the project's folder."""
    labels = _labels(container)
    names = labels.get("com.docker.compose.project.config_files", "")
    folder = labels.get("com.docker.compose.project.working_dir", "")
    return ", ".join(os.path.join(folder, name) for name in names.split(",") if name)


def _address(process: Process, answer: Optional[Answer], container: Mapping[str, Any]) -> tuple[str, int]:
    """Address and port that clients reach: of the command line, else of the settings; what a container publishes."""
    bind = option(process.argv, "--host") or (answer.host if answer else "") or "127.0.0.1"
    by_settings = answer is not None and answer.port.isdigit() and not option(process.argv, "--port")
    port = int(answer.port) if answer is not None and by_settings else port_of(process)
    ports = ((container.get("NetworkSettings") or {}).get("Ports") or {}).get(f"{port}/tcp") or []
    for published in ports:
        return str(published.get("HostIp") or "0.0.0.0"), int(published.get("HostPort") or port)
    return bind, port


def _runners(host: Reader, running: Sequence[Process]) -> Iterator[Runner]:
    seen = set()
    for process in running:
        if process.job != SERVER and process.keeper.key not in seen and not _is_our_runner(process):
            seen.add(process.keeper.key)
            pool = "" if process.job == SERVICES else option(process.argv, "-p", "--pool", "-q", "--work-queue")
            name = process.keeper.name
            if process.keeper.kind == CONTAINER:
                name = str((docker.inspect(host, "containers", process.keeper.key) or {}).get("Name", name)).lstrip("/")
            yield Runner(
                process.job,
                name if process.keeper.kind != SESSION else f"process {process.pid} of {process.user}",
                process.keeper.kind,
                pool,
                without_login(process.environment.get("PREFECT_API_URL", "")),
            )


def _is_our_runner(process: Process) -> bool:
    return process.argv[0].startswith(_OUR_PROGRAMS) and process.keeper.kind == UNIT


def _container(host: Reader, process: Process) -> Mapping[str, Any]:
    if process.keeper.kind != CONTAINER:
        return {}
    return docker.inspect(host, "containers", process.keeper.key) or {}


def _labels(container: Optional[Mapping[str, Any]]) -> Mapping[str, str]:
    return ((container or {}).get("Config") or {}).get("Labels") or {}


def _drop_ins(host: Reader, unit: str) -> Sequence[str]:
    return _property(host, "DropInPaths", ["--", unit]).split()


def _property(host: Reader, name: str, words: Sequence[str]) -> str:
    result = host.query(["systemctl", "show", "--no-pager", f"--property={name}", *words])
    return result.out.strip().partition("=")[2]
