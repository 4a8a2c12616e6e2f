"""What an inventory says of the backups of a server's database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret

Period = Literal["never", "hour", "6 hours", "12 hours", "day", "week"]
#: Hours between two backups.
HOURS = {"never": 0, "hour": 1, "6 hours": 6, "12 hours": 12, "day": 24, "week": 168}


def _check_at(value: str) -> str | None:
    return None if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value) else "must be a time such as 02:30"


def _check_directory(value: str) -> str | None:
    if not re.fullmatch(r"/[^\s%\"'\\:;*?\[]+", value) or "/../" in f"{value}/" or "//" in value:
        return "must be an absolute path, without blanks, quotes, colons, % or .."
    return None


def _check_variables(value: Mapping[str, object]) -> str | None:
    wrong = [name for name in value if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]
    return f"{wrong[0]!r} is not the name of a variable" if wrong else None


@record
class Backup:
    """Backups of one database."""

    every: Period = setting("day", "How often a timer on the database's host takes a backup. never: only `fab backup`.")
    at: str = setting(
        "02:30",
        "Time of day, in the host's time zone; with several backups a day, that of one of them. Up to 15 minutes "
        "are added at random. A backup that the host slept through is taken after its start.",
        check=_check_at,
    )
    keep: int = setting(7, "Number of backups to keep: the newest.", minimum=1, maximum=10000)
    keep_days: int = setting(
        0,
        "Younger backups are kept, too, whatever their number, in days. The last one that was proven by a restore or a "
        "rehearsal is never deleted.",
        minimum=0,
        maximum=36500,
    )
    directory: str = setting(
        "/var/backups/prefect",
        "Directory on the database's host. Each database has a folder in it that only root can enter.",
        check=_check_directory,
    )
    copy_to: str = setting(
        "",
        "Host of the group backups that gets a copy of each backup over SSH, with a key that can only add backups.",
        example="vault1",
    )
    command: tuple[str, ...] = setting(
        (),
        "Command on the database's host, by its words, that gets each backup as a tar on its standard input, as root.",
        example="[restic, backup, --stdin, --stdin-filename, prefect.tar]",
    )
    environment: dict[str, str | Secret] = setting(
        {},
        "Variables of that command. A value can be a secret source.",
        check=_check_variables,
        example="{RESTIC_REPOSITORY: 'sftp:vault:/srv/restic', RESTIC_PASSWORD: {env: RESTIC_PASSWORD}}",
    )
    rehearse: Literal["never", "day", "week"] = setting(
        "week",
        "How often a timer restores the newest backup into a scratch database, starts Prefect on it and compares "
        "(`fab rehearse`). never: only `fab rehearse`.",
    )


#: Without the setting: no timers, and what `fab backup` uses.
BY_HAND = Backup(every="never", rehearse="never")


@record
class Settings:
    """Backups."""

    backup: Backup = setting(
        BY_HAND,
        "Backups of the database by a timer on its host. `{}`: daily, with the defaults below.",
        example="{at: '02:30', keep: 14, directory: /srv/backups}",
    )
