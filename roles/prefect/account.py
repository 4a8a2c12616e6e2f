"""The account that an instance's server runs as, and with it the instance's layout."""

from __future__ import annotations

import re

from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.site import SiteHost
from roles.prefect.layout import Layout

#: As shadow's useradd accepts them, and the longer ones of directories such as LDAP.
ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,255}\$?")


def _check_account(value: str) -> str | None:
    """What is wrong with the name of an account, if anything."""
    if value and not ACCOUNT.fullmatch(value):
        return "must be the name of an account"
    return f"{value} has more rights than the server may have" if value in ("root", "postgres") else None


@record
class Settings:
    """Account of the server."""

    service_user: str = setting(
        "",
        "Account that the server runs as, and with a Postgres on its own host the name of its role. An existing one is "
        "used as it is, a missing one is made. Empty: prefect, or prefect-<instance>, which encamp makes.",
        check=_check_account,
        example="flows",
    )
    service_group: str = setting(
        "",
        "Group of the server's process and files. Its members can read the server's settings. Empty: the group named "
        "like the account.",
        check=_check_account,
        example="flows",
    )


def layout_of(host: SiteHost) -> Layout:
    """The layout of a host's instance, with the account that its server has."""
    settings = host.settings(Settings)
    return Layout(host.instance, settings.service_user, settings.service_group)
