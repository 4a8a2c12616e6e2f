"""The images of a Compose stack: which they are, and how the host gets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from encamp.errors import SettingsError
from encamp.planning.plan import Item, Step
from encamp.resources.docker.image import DockerImage
from encamp.shared.wire import LargeFile
from encamp.site import SiteHost
from encamp.support.paths import locate
from roles.database.settings import has_postgres
from roles.prefect import versions
from roles.prefect.layout import Layout
from roles.prefect.release import prefect_version
from roles.prefect.runtime import Settings, Stack
from roles.server.kinds.stack.containers import StackRestart

if TYPE_CHECKING:
    from roles.server import image_archive


def images(host: SiteHost) -> dict[str, str]:
    """The image of each container of the stack, the server's first."""
    settings, stack = host.settings(Settings), Stack(Layout(host.instance))
    prefect = settings.prefect_image or versions.image(prefect_version(host))
    return {stack.server: prefect, **({stack.postgres: settings.postgres_image} if has_postgres(host) else {})}


def resources(host: SiteHost, restart: StackRestart) -> Iterator[Item]:
    """Each image, from the archive where that holds it. Raises SettingsError."""
    settings, held = host.settings(Settings), archive(host)
    for image in images(host).values():
        content: LargeFile | tuple[()] = ()
        ids: tuple[str, ...] = ()
        if held and image in held.images:
            content, ids = held.content, held.images[image]
        login = _has_login(host, settings)
        resource = DockerImage(
            image,
            content,
            ids,
            registry=_registry(image) if login else "",
            user=settings.registry_user if login else "",
            password=settings.registry_password if login else None,
        )
        yield Step(resource, (restart,))


def archive(host: SiteHost) -> image_archive.Archive | None:
    """The archive that the site names, if any. Raises SettingsError where it has none of the images."""
    name = host.settings(Settings).image_archive
    if not name:
        return None
    from roles.server import image_archive

    try:
        found = image_archive.read(Path(locate(name, host.inventory.directory)))
    except SettingsError as error:
        reason = f"{host.name}: image_archive: {error.message}"
        raise SettingsError(reason, error.fix, host.origin("image_archive")) from None
    wanted, held = list(images(host).values()), ", ".join(found.images)
    if not any(image in found.images for image in wanted):
        reason = f"{host.name}: image_archive contains none of {', '.join(wanted)}; it has {held or 'no tags'}"
        raise SettingsError(
            reason, "set prefect_image and postgres_image to tags that it contains", host.origin("image_archive")
        )
    return found


def _has_login(host: SiteHost, settings: Settings) -> bool:
    """Whether there is a login for the registry. Raises SettingsError for half of one."""
    given = [bool(settings.registry_user), settings.registry_password is not None]
    if any(given) and not all(given):
        where = host.origin("registry_user") or host.origin("registry_password")
        reason = f"{host.name}: registry_user and registry_password must be set together"
        raise SettingsError(reason, "set both or neither", where)
    return all(given)


def _registry(image: str) -> str:
    """The registry of an image; empty for Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and (set(".:") & set(first) or first == "localhost") else ""
