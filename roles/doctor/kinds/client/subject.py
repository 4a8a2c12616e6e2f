"""What the checks at a client share: its settings as its own Prefect reads them."""

from __future__ import annotations

import os
from typing import Optional

from encamp.resources.system import Reader
from encamp.shared.record import record
from encamp.shared.secret import Secret
from roles.doctor.kinds.api_target import ApiTarget
from roles.doctor.kinds.client.fields import ClientFields
from roles.doctor.kinds.network import is_near
from roles.doctor.kinds.precedence import ClientSettings, where_of
from roles.doctor.kinds.shell import other_variables
from roles.prefect.kinds.endpoint import Endpoint
from roles.prefect.kinds.installs import Installed
from roles.prefect.kinds.user_environment import Variable, exists, names_in

FALSE = ("0", "false", "no", "off", "f", "n")


@record
class ClientSubject:
    """A user's Prefect: what ``kind`` describes, what is installed (the one on the PATH first), its settings."""

    host: Reader
    kind: ClientFields
    installed: tuple[Installed, ...]
    settings: ClientSettings

    @property
    def url(self) -> Optional[Variable]:
        """The API URL in force; None where there is none, or an empty one."""
        found = self.settings.value("PREFECT_API_URL")
        return found if found and found.value else None

    @property
    def packages(self) -> str:
        """Where the modules of the Prefect in use lie; empty where there is none."""
        return packages_of(self.host, self.installed[0]) if self.installed else ""

    def where(self, variable: Variable) -> str:
        """What set a value, for people."""
        return where_of(variable, self.settings.profile)


def target_of(subject: ClientSubject) -> Optional[ApiTarget]:
    """The route that this client takes to the server; None where there is no usable URL."""
    url = subject.url
    if url is None:
        return None
    try:
        endpoint = Endpoint.of(url.value)
    except ValueError:
        return None
    settings = subject.settings
    auth, key = settings.value("PREFECT_API_AUTH_STRING"), settings.value("PREFECT_API_KEY")
    csrf = settings.value("PREFECT_CLIENT_CSRF_SUPPORT_ENABLED")
    insecure = settings.value("PREFECT_API_TLS_INSECURE_SKIP_VERIFY")
    return ApiTarget(
        subject.host,
        url.value,
        where=subject.where(url),
        version=settings.version,
        auth=Secret(auth.value) if auth and auth.value else None,
        key=Secret(key.value) if key and key.value else None,
        key_where=subject.where(key) if key else "",
        ca_file=_ca_file(subject),
        insecure=insecure is not None and insecure.value.lower() in ("1", "true", "yes", "on", "t", "y"),
        csrf_off=csrf is not None and csrf.value.lower() in FALSE,
        near=is_near(endpoint),
        server=subject.kind.server,
    )


def _ca_file(subject: ClientSubject) -> str:
    """The authorities that Prefect's HTTP client trusts: those in its settings, else the list of certifi."""
    setting = subject.settings.value("PREFECT_API_SSL_CERT_FILE")
    certifi = os.path.join(subject.packages, "certifi", "cacert.pem") if subject.packages else ""
    named = (setting.value if setting else "", other_variables(subject.host).get("SSL_CERT_FILE", ""), certifi)
    return next((path for path in named if path and exists(subject.host, path)), "")


def packages_of(host: Reader, install: Installed) -> str:
    """The directory of the installed modules; empty where it is not as expected."""
    for python in names_in(host, os.path.join(install.path, "lib")):
        for name in ("site-packages", "dist-packages"):
            path = os.path.join(install.path, "lib", python, name)
            if python.startswith("python") and exists(host, os.path.join(path, "prefect")):
                return path
    return ""
