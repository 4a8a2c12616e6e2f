"""A client's profile as commands that its user types: Prefect's own, the same in every shell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from encamp.errors import SettingsError
from encamp.shared.secret import Secret
from roles.client.role import Api, ProfileSpec
from roles.network import access
from roles.prefect import versions

#: Stands for a password in a command: what is printed holds no secret.
PASSWORD = "PASSWORD"
#: Stands for the path of a file with the certificate authorities.
CA_FILE = "CA_FILE"


def lines(spec: ProfileSpec, api: Api, release: str, active: bool) -> Iterator[str]:
    """What a user of a release types, with what to know of it. Raises SettingsError where the release cannot.

    ``active``: the profile becomes the active one.
    """
    values = _settings(spec, api, release)
    prefect = f'prefect --profile "{spec.profile}"' if " " in spec.profile else f"prefect --profile {spec.profile}"
    yield f"Profile {spec.profile}, with Prefect {release}, in sh, PowerShell or cmd:"
    yield ""
    yield f"  prefect profile create {_word(spec.profile)}"
    for name, value in values.items():
        yield f"  {prefect} config set {name}={value}"
    if active:
        yield f"  prefect profile use {_word(spec.profile)}"
    yield ""
    yield f"  back: prefect profile use THE_EARLIER_ONE, then prefect profile delete {_word(spec.profile)}"
    if api.auth:
        yield f"  {PASSWORD}: the API's. The command stays in the shell's history; a --script asks for the password."
    if CA_FILE in values.values():
        yield f"  {CA_FILE}: the full path of a file with these lines:"
        yield ""
        yield api.ca.rstrip()
    yield ""


def _settings(spec: ProfileSpec, api: Api, release: str) -> Mapping[str, str]:
    """The profile's settings by their names in the release. Raises SettingsError for one that it lacks and needs."""
    wanted: dict[str, str | Secret] = {"api_url": api.url, "ephemeral": "false", **api.settings}
    wanted |= {"client_tls_ca_file": CA_FILE} if api.ca else {}
    login = f"{access.USER if api.login_file else 'USER'}:{PASSWORD}"
    values = {}
    for key, value in wanted.items():
        name = versions.setting(key, release)
        if name:
            values[name] = login if isinstance(value, Secret) else value
        elif key != "ephemeral":  # a release without that setting has no ephemeral mode to switch off
            raise SettingsError(
                f"profile {spec.profile}: the server needs {sorted(versions.NAMES[key])[-1][1]}, which Prefect "
                f"{release} does not have (since {versions.since(key)})",
                f"use Prefect {versions.since(key)} or later on the client (prefect_version)",
            )
    return values


def _word(name: str) -> str:
    return f'"{name}"' if " " in name else name
