"""An image of the host's Docker: pulled, or loaded from an archive on the controller."""

from __future__ import annotations

from typing import Iterator, Optional, Sequence, Union

from encamp.resources.base import Change, Failure, Resource, kind
from encamp.resources.docker import api as docker_api
from encamp.resources.docker import pull_errors
from encamp.resources.system import Reader, System
from encamp.shared.secret import Secret
from encamp.shared.wire import Blob, LargeFile

PULL_SECONDS = 1800.0
LOAD_SECONDS = 600.0
#: Progress is reported every so many parts.
PROGRESS_EVERY = 8
#: Contains a registry's password while an image is pulled: in memory, readable by root only.
LOGIN = "/run/encamp-docker-login"


@kind
class DockerImage(Resource):
    """An image by tag or digest. An existing one is never pulled again.

    ``archive`` is a file of ``docker save`` on the controller, sent in parts and loaded; ``ids`` are the ids that its
    image may have, so that a new archive with an old tag is detected. Without an archive the image is pulled; for a
    private registry as ``user`` with ``password`` at ``registry``. The login does not stay on the host.
    """

    reference: str
    archive: Union[tuple[Blob, ...], LargeFile] = ()
    ids: tuple[str, ...] = ()
    registry: str = ""
    user: str = ""
    password: Optional[Secret] = None

    def check(self, host: Reader) -> list[Change]:
        if host.stat(docker_api.SOCKET) is None:
            return [Change("image", "absent", "present")]
        image = docker_api.inspect(host, "images", self.reference)
        if image is None:
            return [Change("image", "absent", "present")]
        present = str(image.get("Id", ""))
        if self.ids and present not in self.ids:
            return [Change("image", _short(present), f"{_short(self.ids[0])} (of the archive)")]
        return []

    def apply(self, host: System, changes: Sequence[Change]) -> None:
        if self.archive:
            self._load(host)
        else:
            self._pull(host)

    def _load(self, host: System) -> None:
        """Stream the archive into the engine: it needs disk space only in the engine's own storage."""
        host.progress(f"loading {self.reference} from the archive")
        status, answer = docker_api.call(
            "POST", "/images/load?quiet=1", self._parts(host), "application/x-tar", LOAD_SECONDS
        )
        output = answer.decode("utf-8", "replace").strip()
        if status != 200 or '"error"' in output:
            reason = f"Docker could not load the archive for {self.reference}"
            raise Failure(reason, "the disk is full, or the archive is damaged", "see `df -h /var/lib/docker`", output)

    def _parts(self, host: System) -> Iterator[bytes]:
        assert not isinstance(self.archive, LargeFile)
        for number, part in enumerate(self.archive, 1):
            yield host.fetch(part)
            host.measure(f"loading {self.reference}", number, len(self.archive))
            if number % PROGRESS_EVERY == 0:
                host.progress(f"loading {self.reference}: part {number} of {len(self.archive)}")

    def _pull(self, host: System) -> None:
        host.progress(f"pulling {self.reference}")
        command = ["docker", "--config", LOGIN]
        host.mkdir(LOGIN, "root", "root", 0o700)
        try:
            if self.password is not None:
                login = [*command, "login", "--username", self.user, "--password-stdin", *filter(None, [self.registry])]
                host.run(login, self.password, fix="check registry_user and registry_password")
            result = host.query([*command, "pull", "--quiet", self.reference], timeout=PULL_SECONDS)
        finally:
            host.remove(LOGIN)
        if not result.ok:
            raise pull_errors.explain(self.reference, result)


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12] or digest
