"""Names and paths of one environment ("instance") on a host. Two instances share nothing but the machine."""

from __future__ import annotations

from encamp.shared.record import record
from roles.prefect.kinds.door.doorway import Doorway

DEFAULT = "default"
ENVS = "/opt/prefect/envs"
UV_ROOT = "/opt/encamp/uv"
UV_CACHE = "/var/cache/encamp/uv"


@record
class Layout:
    """Where an instance lives. ``name`` is ``default`` or the environment's own name.

    ``service_user`` and ``service_group`` are the server's account, where the inventory names one
    (``roles.prefect.account``).
    """

    name: str = DEFAULT
    service_user: str = ""
    service_group: str = ""

    @property
    def _suffix(self) -> str:
        return "" if self.name == DEFAULT else f"-{self.name}"

    @property
    def prefix(self) -> str:
        """Distinguishes this instance's objects from those of the same name on another server, such as work pools."""
        return "" if self.name == DEFAULT else f"{self.name}/"

    @property
    def own_name(self) -> str:
        """What the instance's account, database and containers are called, where the inventory names none."""
        return f"prefect{self._suffix}"

    @property
    def user(self) -> str:
        """Who the server runs as; also its database role, so that peer authentication needs no password."""
        return self.service_user or self.own_name

    @property
    def group(self) -> str:
        """The group of the server's process and files."""
        return self.service_group or self.user

    @property
    def worker_user(self) -> str:
        """Who workers run as. Not the server's user: a worker runs whatever code the API hands it."""
        return f"prefect-worker{self._suffix}"

    @property
    def database(self) -> str:
        return self.own_name

    @property
    def home(self) -> str:
        return f"/var/lib/prefect/{self.name}"

    @property
    def worker_home(self) -> str:
        return f"/var/lib/prefect/{self.name}-worker"

    @property
    def ui(self) -> str:
        """Prefect writes its UI assets here at each start."""
        return f"{self.home}/ui"

    @property
    def config(self) -> str:
        return f"/etc/prefect/{self.name}"

    @property
    def server_env(self) -> str:
        return f"{self.config}/server.env"

    @property
    def worker_env(self) -> str:
        return f"{self.config}/worker.env"

    @property
    def link(self) -> str:
        """The symlink that chooses the installed environment."""
        return f"/opt/prefect/{self.name}"

    @property
    def server_unit(self) -> str:
        return f"prefect-server{self._suffix}.service"

    @property
    def doorway(self) -> Doorway:
        """The socket of the server's port, and what answers there while the server is shut."""
        return Doorway(self.server_unit)

    def runner_unit(self, kind: str, label: str) -> str:
        """The unit of a worker or agent (``kind``)."""
        return f"prefect-{kind}{self._suffix}-{label}.service"

    def runner_env(self, kind: str, label: str) -> str:
        """The variables of one worker or agent alone, beside those of ``worker_env``."""
        return f"{self.config}/{kind}-{label}.env"

    def runner_key(self, kind: str, label: str) -> str:
        """The private key with which git clones for one worker or agent."""
        return f"{self.config}/{kind}-{label}.key"

    def runner_known_hosts(self, kind: str, label: str) -> str:
        """The host keys of the git servers of one worker or agent."""
        return f"{self.config}/{kind}-{label}.known_hosts"

    def runner_home(self, kind: str, label: str) -> str:
        """The home of a worker or agent that runs as an account of the operator's."""
        return f"{self.worker_home}.{kind}-{label}"

    def pip_environment(self, kind: str, label: str, release: str) -> str:
        """The environment that flows of one worker or agent may install into. ``release``: the locked one's name."""
        return f"{self.pip_prefix}{kind}-{label}-{release}"

    @property
    def pip_prefix(self) -> str:
        """What the paths of such environments begin with. Their folder is root's: root removes and makes them."""
        return f"/var/lib/prefect/{self.name}-pip."

    def runner_link(self, kind: str, label: str) -> str:
        """The link to the environment of a worker or agent with further packages."""
        return f"{self.link}-{kind}-{label}"

    @property
    def runner_prefixes(self) -> tuple[str, ...]:
        """What the paths of such files and links begin with."""
        kinds = ("worker", "agent")
        return tuple(f"{start}{kind}-" for kind in kinds for start in (f"{self.config}/", f"{self.link}-"))

    @property
    def profile(self) -> str:
        """The profile that clients get: hosted, as opposed to ephemeral, or the instance's name."""
        return "hosted" if self.name == DEFAULT else self.name
