"""How an instance's server runs: settings of the Compose stack, and the names it has on the host."""

from __future__ import annotations

import re
from typing import Literal

from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.site import SiteHost
from roles.prefect.layout import Layout

#: Debian's release in the tag: with another C library, Postgres would sort otherwise than its indexes were built.
POSTGRES_IMAGE = "postgres:16.10-bookworm"


def _check_image(value: str) -> str | None:
    """What is wrong with an image's name, if anything."""
    if not value:
        return None
    if not re.fullmatch(r"[A-Za-z0-9][\w.:/@-]*", value):
        return "not an image name such as registry.example.com/prefect:3.9.1"
    name, at, digest = value.partition("@")
    if at:
        return None if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else "has no digest of the form sha256:..."
    tag = name.rpartition("/")[2].partition(":")[2]
    return "must be pinned: name a tag other than latest, or a digest" if tag in ("", "latest") else None


@record
class Settings:
    """Runtime of the server: systemd or Docker."""

    runtime: Literal["systemd", "compose"] = setting(
        "systemd",
        "systemd: installed on the host. compose: Docker containers, with `database: postgres` in a container as well.",
    )
    prefect_image: str = setting(
        "",
        "Image of Prefect for runtime: compose, by tag or digest. Empty: prefecthq/prefect of prefect_version.",
        check=_check_image,
        example="registry.example.com/prefect:3.9.1",
    )
    postgres_image: str = setting(
        POSTGRES_IMAGE,
        "Image of Postgres for runtime: compose, by tag or digest. Do not change its major version.",
        check=_check_image,
    )
    image_archive: str = setting(
        "",
        "File on the controller, written by `docker save` (gzip is fine), with images for hosts without a registry. "
        "Other images are pulled, unless the host has them.",
        example="files/prefect-images.tar.gz",
    )
    registry_user: str = setting(
        "", "User for the registry of prefect_image and postgres_image, if it requires a login."
    )
    registry_password: Secret | None = setting(
        None,
        "Password of registry_user. Used only while an image is pulled; not stored on the host.",
        example="{env: REGISTRY}",
    )
    docker_install: bool = setting(
        True, "Whether to install Docker and Compose from the distribution if the host lacks them.", per_host=True
    )


@record
class Stack:
    """Names and paths of an instance's stack on the host."""

    layout: Layout

    @property
    def project(self) -> str:
        return self.layout.own_name

    @property
    def server(self) -> str:
        return f"{self.project}-server"

    @property
    def postgres(self) -> str:
        return f"{self.project}-postgres"

    @property
    def home_volume(self) -> str:
        return f"{self.project}-home"

    @property
    def database_volume(self) -> str:
        return f"{self.project}-database"

    @property
    def volumes(self) -> tuple[str, str]:
        """Where all data is."""
        return self.home_volume, self.database_volume

    @property
    def directory(self) -> str:
        return f"{self.layout.config}/compose"

    @property
    def program(self) -> str:
        """Compose, for this stack."""
        return f"{self.directory}/stack"

    @property
    def password(self) -> str:
        """The database's password. It is kept with the data, which an undeploy leaves, not with the settings."""
        return f"{self.layout.home}/postgres-password"

    @property
    def pgpass(self) -> str:
        return f"{self.layout.home}/pgpass"


def is_chosen(host: SiteHost) -> bool:
    """Whether the instance runs as a stack."""
    return host.settings(Settings).runtime == "compose"
