"""A takeover, and the way back, killed before each of their steps: nothing is lost, and the next run goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from encamp.shared.record import replace, values
from encamp.shared.secret import Secret
from roles.adopt.kinds import takeover
from roles.adopt.kinds.adoption import DONE, RETURNED, TAKEN, TAKING, Adoption, Places, adoption_of
from roles.adopt.kinds.found import FoundServer
from roles.adopt.kinds.inquiry import Answer
from roles.adopt.kinds.keeper import Keeper
from roles.adopt.kinds.processes import Process
from roles.adopt.kinds.takeover import Takeover
from roles.adopt.kinds.way_back_script import SCRIPT
from tests.unit.resources.case_host import CaseHost

OURS = "prefect-server.service"
SYSTEM = "/etc/systemd/system"
UNIT, DROP_IN, LINK = f"{SYSTEM}/{OURS}", f"{SYSTEM}/{OURS}.d/memory.conf", f"{SYSTEM}/multi-user.target.wants/{OURS}"
OWNERS = {UNIT: "[Service]\nUser=flows\n", DROP_IN: "[Service]\nMemoryMax=1G\n"}
CRONTAB = "/var/spool/cron/crontabs/flows"
LINE = "@reboot prefect server start"
PLACES = Places("default")


class Killed(BaseException):
    """The agent, or the program, is no more."""


class Mortal(CaseHost):
    """A host whose agent is killed before its ``last`` change. Files are copied and renamed for real."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(data)
        self.last = -1

    def _do(self, what: str, stdin: str = "") -> None:
        if len(self.done) == self.last:
            raise Killed
        super()._do(what, stdin)

    def run(self, argv: Any, *more: Any, **named: Any) -> Any:
        result = super().run(argv, *more, **named)
        if argv[0] == "cp":
            self._tree[argv[-1]] = self._tree[argv[-2]]
        if argv[:2] == ["systemctl", "disable"] and argv[-1] == OURS:
            self._tree.pop(LINK, None)
        return result

    def rename(self, source: str, target: str) -> None:
        self._do(f"rename {source} {target}")
        self._tree[target] = self._tree.pop(source)


def found(kind: str, keeper: str) -> FoundServer:
    answer = Answer("3.9.1", "3.11", "/h", Secret("postgresql+asyncpg://a:b@db/x"), None, "", "", "", "")
    process = Process(7, "server", "root", ("/v/bin/python", "prefect"), "/", {}, Keeper(kind, keeper, "root", keeper))
    drop_ins = (DROP_IN,) if kind == "unit" else ()
    name = keeper if kind == "unit" else "process root:4200"
    return FoundServer(name, process, UNIT, True, "0.0.0.0", 4200, answer, drop_ins=drop_ins)


def unit_host() -> Mortal:
    return Mortal({"files": OWNERS, "links": {LINK: UNIT}, "units": {OURS: {}}})


def cron_host() -> Mortal:
    return Mortal({"files": {CRONTAB.replace("flows", "root"): f"{LINE}\n"}, "answers": {}})


HOSTS = {"unit": (unit_host, found("unit", OURS)), "cron": (cron_host, found("process", ""))}


def taken_over(host: Mortal, server: FoundServer, last: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Apply the takeover; False where it was killed on its way."""
    monkeypatch.setattr(takeover, "found_server", lambda host, name: server)
    host.last = len(host.done) + last if last >= 0 else -1
    try:
        Takeover(server.name, "default", OURS, 4200).apply(host, [])
    except Killed:
        return False
    return True


def steps(which: str) -> range:
    host, server = HOSTS[which]
    whole = host()
    with pytest.MonkeyPatch.context() as patch:
        assert taken_over(whole, server, -1, patch)
    return range(len(whole.done))


@pytest.mark.parametrize(("which", "last"), [(which, last) for which in HOSTS for last in steps(which)])
def test_a_takeover_that_is_killed_at_any_step_loses_nothing_and_goes_on(
    which: str, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, server = HOSTS[which]
    host, before = make(), make()
    assert not taken_over(host, server, last, monkeypatch)

    owned = [path for path in (*OWNERS, CRONTAB.replace("flows", "root")) if before.stat(path)]
    for path in owned:
        kept = [host.read(place) for place in (path, PLACES.copy(path))]
        assert before.read(path) in kept, f"{path} is lost"
    touched = [path for path in owned if host.read(path) != before.read(path)]
    stopped = any(what.startswith(("systemctl disable --quiet -- ", "systemctl stop", "kill")) for what, _ in host.done)
    if touched or stopped:
        adoption = adoption_of(host, "default")
        assert adoption is not None
        assert adoption.state == TAKING
        assert host.read(PLACES.program)
        assert ("systemctl restart encamp-adopted-default.timer", "") in host.done

    assert taken_over(host, server, -1, monkeypatch)
    adoption = adoption_of(host, "default")
    assert adoption is not None
    assert adoption.state == TAKEN
    if which == "unit":
        assert adoption.links == {LINK: UNIT}
        assert {path: host.read(copy) for path, copy in adoption.moved.items()} == {
            path: text.encode() for path, text in OWNERS.items()
        }
        assert host.stat(UNIT) is host.stat(LINK) is None
    else:
        assert list(adoption.boot.values()) == [LINE]


class WayBack:
    """The program that leads back, in a folder of its own; ``last``: killed before that change, -1: never."""

    def __init__(self, root: Path, adoption: Adoption) -> None:
        self.root = root
        self.folder = root / "adopted" / "default"
        names = list(Adoption.__record_fields__)  # type: ignore[attr-defined]
        self.folder.mkdir(parents=True)
        record = dict(zip(names, values(adoption), strict=True))
        (self.folder / "record.json").write_text(json.dumps(record))

    def run(self, *options: str, last: int = -1) -> int:
        """Run it; the number of its changes, or -1 where it was killed."""
        count = 0
        self.commands: list[str] = []

        def mortal(call: Callable[..., Any]) -> Callable[..., Any]:
            def wrapped(*arguments: Any, **named: Any) -> Any:
                nonlocal count
                if count == last:
                    raise Killed
                count += 1
                return call(*arguments, **named)

            return wrapped

        def command(argv: Any, **_: Any) -> Any:
            self.commands.append(" ".join(argv))
            return subprocess.run(argv, check=False) if argv[0] == "cp" else SimpleNamespace(returncode=0)

        names: dict[str, Any] = {"__file__": str(self.folder / "way_back.py")}
        exec(SCRIPT.rpartition("\nmain()")[0], names)
        changes = ("replace", "remove", "rmdir", "symlink")
        named = {name: mortal(getattr(os, name)) for name in changes}
        names["os"] = SimpleNamespace(**{**vars(os), **named})
        names["subprocess"] = SimpleNamespace(run=mortal(command), Popen=mortal(command), DEVNULL=subprocess.DEVNULL)
        names["sys"] = SimpleNamespace(argv=["way_back.py", *options], exit=pytest.fail)
        names["pwd"] = SimpleNamespace(
            getpwnam=lambda name: SimpleNamespace(pw_uid=0, pw_gid=0, pw_dir="/", pw_name=name)
        )
        names["SYSTEM"], names["LOCK"] = str(self.root / "system"), str(self.root / "lock")
        try:
            names["main"]()
        except Killed:
            return -1
        return count

    def tree(self) -> dict[str, str]:
        """Every file and link below the root, but those of the program itself."""
        found = (path for path in sorted(self.root.rglob("*")) if path.is_symlink() or path.is_file())
        return {
            str(path.relative_to(self.root)): os.readlink(path) if path.is_symlink() else path.read_text()
            for path in found
            if path.name not in ("lock", "tmp.encamp")
        }


def returning(root: Path, kind: str) -> WayBack:
    """A host whose server encamp continues, and that is to be given back."""
    system, crontab = root / "system", root / "crontab"
    system.mkdir(parents=True)
    basis = Adoption("old", "unit", "flows", OURS, OURS, state=DONE, links={str(system / "a.wants" / OURS): UNIT})
    if kind == "unit":
        (system / OURS).write_text("# Managed by encamp\n")
        copy = root / "adopted" / "default" / "unit"
        hand = WayBack(root, replace(basis, moved={str(system / OURS): str(copy)}))
        copy.write_text("[Service]\nUser=flows\n")
        copy.chmod(0o640)
        return hand
    if kind == "elsewhere":  # the owner's unit is a package's: encamp's, of the same name, has hidden it
        (system / OURS).write_text("# Managed by encamp\n")
        return WayBack(root, basis)
    if kind == "guarded":
        guard = system / "old.service.d" / "zz.conf"
        guard.parent.mkdir()
        guard.write_text("x")
        return WayBack(root, replace(basis, unit="old.service", guard=str(guard), links={}))
    crontab.write_text(f"MAILTO=x\n# continued by encamp, see `fab adopt --undo`: {LINE}\n")
    return WayBack(root, replace(basis, kind="process", unit="", links={}, boot={f"{crontab}:2": LINE}, start="true"))


@pytest.mark.parametrize("kind", ["unit", "elsewhere", "guarded", "cron"])
def test_a_way_back_that_is_killed_at_any_step_goes_on(kind: str, tmp_path: Path) -> None:
    whole = returning(tmp_path / "whole", kind)
    count = whole.run()
    wanted = {name: text.replace("/whole/", "/cut/") for name, text in whole.tree().items()}
    started = [each for each in whole.commands if " start " in each or each.startswith(("systemd-run", "/"))]
    assert started
    assert '"state": "returned"' in wanted["adopted/default/record.json"]
    for last in range(count):
        shutil.rmtree(tmp_path / "cut", ignore_errors=True)
        cut = returning(tmp_path / "cut", kind)
        assert cut.run(last=last) == -1
        # By hand once more, or by the timer, which leaves alone what is done.
        assert cut.run(*(["--unless-done"] if '"returning"' in cut.tree()["adopted/default/record.json"] else [])) >= 0
        assert cut.tree() == wanted, f"killed before change {last}"


def test_what_was_there_is_put_back_as_it_was(tmp_path: Path) -> None:
    hand = returning(tmp_path / "unit", "unit")
    hand.run()
    system = tmp_path / "unit" / "system"
    assert (system / OURS).read_text() == "[Service]\nUser=flows\n"
    assert (system / OURS).stat().st_mode & 0o777 == 0o640
    assert os.readlink(system / "a.wants" / OURS) == UNIT
    # Its own links were put back; `systemctl enable` might make others.
    assert not any("enable --quiet" in command for command in hand.commands)
    assert hand.commands.index("systemctl daemon-reload") < hand.commands.index(f"systemctl start {OURS}")

    hand = returning(tmp_path / "elsewhere", "elsewhere")
    hand.run()
    assert not (tmp_path / "elsewhere" / "system" / OURS).exists()


@pytest.mark.parametrize(
    ("state", "starts"), [(TAKING, True), (TAKEN, True), ("returning", True), (DONE, False), (RETURNED, False)]
)
def test_the_timer_leaves_alone_what_is_done(state: str, starts: bool, tmp_path: Path) -> None:
    hand = WayBack(tmp_path, Adoption("old", "unit", "flows", "old.service", OURS, state=state))
    (tmp_path / "system").mkdir()
    hand.run("--unless-done")
    assert ("systemctl start old.service" in hand.commands) is starts
    assert "systemctl disable --quiet --now encamp-adopted-default.timer" in hand.commands
