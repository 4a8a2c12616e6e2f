"""Continues a hand-made server: stops it, brings its data to encamp's server, and keeps the way back open."""

from __future__ import annotations

from typing import ClassVar, Mapping, Optional, Sequence

from encamp.resources.base import Change, Failure, Refused, Resource, kind
from encamp.resources.probes.free_port import FreePort
from encamp.resources.system import Reader, System
from encamp.resources.systemd import owners
from encamp.shared.record import replace
from roles.adopt.kinds import return_timer
from roles.adopt.kinds.adoption import (
    DONE,
    RETURNED,
    RETURNING,
    TAKEN,
    TAKING,
    Adoption,
    Places,
    adoption_of,
    keep,
)
from roles.adopt.kinds.data import Target, move_data
from roles.adopt.kinds.database_place import FILE, IN_CONTAINER, place_of, postgres_container
from roles.adopt.kinds.dump import Database, is_filled
from roles.adopt.kinds.found import FoundServer, found_server, found_servers
from roles.adopt.kinds.keeper import CONTAINER
from roles.adopt.kinds.obstacles import obstacle_of
from roles.adopt.kinds.plan import copy_files, planned
from roles.adopt.kinds.stopping import stop

#: How long a takeover may stand still before the old server starts again, and a return before it goes on.
MINUTES, MINUTES_OF_RETURN = 20, 2


@kind
class AdoptionReady(Resource):
    """That a server can be adopted, before anything is changed: it is there, of this release, and its data is read.

    ``server`` is its name, ``release`` what the inventory says, ``place`` how its data is continued (file, container or
    url). ``port`` must be the server's or free; ``unit`` is encamp's own, ``bind`` its address. After the adoption only
    the port counts.
    """

    changes_host: ClassVar[bool] = False

    server: str
    instance: str
    release: str
    place: str
    port: int
    unit: str
    bind: str = ""

    def check(self, host: Reader) -> list[Change]:
        adoption = adoption_of(host, self.instance)
        if adoption is None or adoption.state == RETURNED:
            self._require(host, found_server(host, self.server))
            return []
        if adoption.name != self.server:
            raise Refused(
                f"this instance continues {adoption.name}, not {self.server}",
                fix=f"set adopt: {adoption.name}; or `fab adopt --undo` first, which starts that server again",
            )
        if adoption.state == RETURNING:
            raise Refused(
                f"the return to {self.server} was cut off",
                fix="`fab adopt --undo` finishes it; then deploy again, or remove adopt: from the inventory",
            )
        if adoption.state in (TAKEN, DONE):
            self._free(host)
        return []

    def _free(self, host: Reader) -> None:
        socket = self.unit.replace(".service", ".socket")
        FreePort(self.port, self.unit, self.bind, socket=socket).check(host)

    def _require(self, host: Reader, found: Optional[FoundServer]) -> None:
        if found is None:
            others = ", ".join(each.name for each in found_servers(host)) or "none"
            raise Refused(
                f"there is no server {self.server} to adopt on this host (found: {others})",
                fix="`fab adopt` shows what is there; without `adopt:` in the inventory a new server is set up",
            )
        obstacle = obstacle_of(host, found)
        if obstacle:
            raise Refused(obstacle.reason, fix=obstacle.fix)
        if found.answer is None:
            raise Refused(f"{self.server}: its installation does not answer", detail=found.problem)
        if found.answer.problem:
            raise Refused(f"{self.server}: its database cannot be read: {found.answer.problem}")
        if found.answer.release != self.release:
            raise Refused(
                f"{self.server} is Prefect {found.answer.release}, prefect_version is {self.release}",
                "a server is adopted with its own release, so that the way back stays open",
                f"set prefect_version: '{found.answer.release}'; upgrade after the adoption",
            )
        if place_of(host, found) != self.place:
            wanted = {FILE: "database: sqlite", IN_CONTAINER: "database: postgres"}
            raise Refused(
                f"{self.server} has its data in {found.database}, which the inventory's database does not continue",
                fix=f"set {wanted.get(place_of(host, found), 'database_url: to the URL that it uses')}",
            )
        if not (found.running and found.port == self.port):
            self._free(host)

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        raise NotImplementedError("an expectation never changes a host")


@kind
class Takeover(Resource):
    """A hand-made server stopped and its data where encamp's server has it; done once.

    ``server`` is its name, ``unit`` encamp's own. ``file`` or ``database`` (in ``cluster``) receives the data, for
    ``owner``; both empty: its Postgres is used where it is. Until :class:`TakeoverEnd` a timer starts the old server
    again after 20 minutes. A takeover that was cut off goes on where it was.
    """

    server: str
    instance: str
    unit: str
    port: int
    file: str = ""
    database: str = ""
    owner: str = ""
    cluster: str = "main"

    def refuse(self, host: Reader) -> None:
        if self.server == self.unit:  # it is moved away before encamp's own takes its name
            owners.allow(host, self.unit)

    def check(self, host: Reader) -> list[Change]:
        adoption = adoption_of(host, self.instance)
        if adoption and adoption.name == self.server and adoption.state in (TAKEN, DONE):
            self._require_data(host)
            return []
        found = found_server(host, self.server)
        before = str(found) if found else self.server
        return [Change("server", before, f"stopped and kept; continued by {self.unit}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        adoption, places = self._adoption(host), Places(self.instance)
        self._require_target(host)
        for folder in ("/var/lib/encamp", places.folder.rpartition("/")[0], places.folder):
            host.mkdir(folder, "root", "root", 0o700)
        # All that leads back is there before the record says so, and the record before anything is stopped.
        return_timer.write_program(host, self.instance)
        copy_files(host, adoption, self.instance)
        keep(host, self.instance, adoption)
        try:
            return_timer.arm(host, self.instance, self.server, MINUTES)
            host.progress(f"stopping {self.server}")
            stop(host, adoption, self.port)
            move_data(host, adoption.data, self._target, places.folder)
        except Failure as failure:
            self._return(host, failure)
        keep(host, self.instance, replace(adoption, state=TAKEN))
        host.note(
            f"{self.server} is stopped and kept. Unless this deploy ends well, it starts again in {MINUTES} minutes; "
            f"`fab adopt --undo` does it at once"
        )

    def _require_data(self, host: Reader) -> None:
        """Without the data that was brought, a new and empty server would start in its place. Raises Refused."""
        if self.file and host.stat(self.file) is None:
            raise Refused(
                f"{self.file}, with the data of {self.server} that this instance continues, is gone",
                fix="restore it; or `fab adopt --undo`, then deploy again: it is taken over once more. Without adopt: "
                "a new, empty server is set up",
            )

    @property
    def _target(self) -> Target:
        return Target(self.file, self.database, self.owner, self.cluster)

    def _require_target(self, host: Reader) -> None:
        """Data that no earlier takeover put there is never replaced. Raises Refused."""
        if adoption_of(host, self.instance) is not None:
            return  # the step that brings the data keeps the earlier one beside it
        if self.file and host.stat(self.file) is not None:
            raise Refused(
                f"{self.file} exists: the data of {self.server} would replace it",
                "an earlier server of encamp's had this instance",
                f"move {self.file} away, then deploy again",
            )
        if self.database and is_filled(host, Database(self.database, self.cluster, self.owner)):
            raise Refused(
                f"the database {self.database} on this host is not empty: the data of {self.server} would go into it",
                "an earlier server of encamp's had this instance",
                f"rename it (ALTER DATABASE {self.database} RENAME TO ...), then deploy again",
            )

    def _adoption(self, host: System) -> Adoption:
        """What is kept of an interrupted takeover, else of the server as it runs. Raises Refused."""
        kept = adoption_of(host, self.instance)
        if kept and kept.state == TAKING and kept.name == self.server:
            return kept
        if kept and kept.state != RETURNED:
            raise Refused(f"this instance continues {kept.name} already", fix=f"set adopt: {kept.name}, or undo that")
        found = found_server(host, self.server)
        if found is None or found.answer is None:
            raise Refused(f"{self.server} is not there any more", fix="`fab adopt` shows what is there")
        return replace(planned(host, found, self.unit, self.instance), data=data_of(host, found))

    def _return(self, host: System, failure: Failure) -> None:
        """Start the old server again at once, and fail with what went wrong first."""
        back = host.query(return_timer.command(self.instance), timeout=300)
        ends = "it runs again as before" if back.ok else f"and did not start again: {back.tail}"
        raise Failure(
            f"{self.server} was not taken over, {ends}: {failure.reason}", failure.cause, failure.fix, failure.detail
        ) from failure


@kind
class TakeoverEnd(Resource):
    """A takeover that has succeeded: encamp's server is healthy, and no timer starts the old one again."""

    instance: str

    def check(self, host: Reader) -> list[Change]:
        adoption = adoption_of(host, self.instance)
        if adoption is None or (adoption.state == DONE and not return_timer.is_armed(host, self.instance)):
            return []
        return [Change("takeover", adoption.state, f"{adoption.name} is continued by {adoption.new_unit}")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        adoption = adoption_of(host, self.instance)
        if adoption is None or adoption.state not in (TAKEN, DONE):
            raise Failure(f"the takeover is {adoption.state if adoption else 'gone'}: the old server runs again")
        keep(host, self.instance, replace(adoption, state=DONE))
        return_timer.disarm(host, self.instance)


@kind
class TakeoverUndone(Resource):
    """An adopted server that runs again as before, with its data as it was; encamp's is stopped and disabled."""

    instance: str

    def check(self, host: Reader) -> list[Change]:
        adoption = adoption_of(host, self.instance)
        if adoption is None:
            raise Refused(f"instance {self.instance} of this host continues no other server: there is nothing to undo")
        if adoption.state == RETURNED and not return_timer.is_armed(host, self.instance):
            return []
        return [Change("server", adoption.new_unit, f"{adoption.name}, as it was")]

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        adoption = adoption_of(host, self.instance)
        return_timer.write_program(host, self.instance)
        if adoption and adoption.state != RETURNED:
            keep(host, self.instance, replace(adoption, state=RETURNING))
        # Cut off, even by a reboot, the return goes on by itself.
        return_timer.arm(host, self.instance, adoption.name if adoption else "", MINUTES_OF_RETURN)
        host.run(return_timer.command(self.instance), timeout=300)


def data_of(host: Reader, found: FoundServer) -> Mapping[str, str]:
    """Where the data of a server is, as :func:`move_data` needs it; holds no secret."""
    assert found.answer is not None
    if found.answer.sqlite:
        if found.kind == CONTAINER:
            name = found.name.partition(" ")[2]
            return {"kind": "file in container", "container": name, "path": found.answer.sqlite}
        return {"kind": "file", "path": found.answer.sqlite}
    inside = postgres_container(host, found)
    if inside:
        return {"kind": "container", "container": inside.container, "user": inside.user, "database": inside.database}
    return {"kind": "url"}
