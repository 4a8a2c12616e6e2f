"""What an inventory says of the process of a worker or agent: its number, its packages, its limits."""

from __future__ import annotations

import re
from typing import Any

from encamp.errors import SettingsError
from encamp.locking import lockfile
from encamp.settings.declare import setting
from encamp.shared.record import record
from encamp.shared.secret import Secret
from encamp.shared.secret_names import is_secret
from roles.prefect import versions

LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: What is worked out from the server, and must not be contradicted.
MANAGED = ("api_url", "home", "client_auth", "client_tls_ca_file")


def _check_memory(value: str) -> str | None:
    right = re.fullmatch(r"[1-9]\d*[KMGT]?|[1-9]\d?%|100%|", value)
    return (
        None
        if right
        else "must be a number of bytes with the suffix K, M, G or T, or a percentage of the host's memory"
    )


def _check_cpu(value: str) -> str | None:
    return None if re.fullmatch(r"[1-9]\d*%|", value) else "must be a percentage of one CPU; 200% is two CPUs"


def _check_label(value: str) -> str | None:
    return None if not value or LABEL.fullmatch(value) else "must be letters, digits, dots, dashes and underscores"


def _check_packages(value: tuple[str, ...]) -> str | None:
    try:
        lockfile.normalized(value)
    except SettingsError as error:
        return error.message
    return None


def _check_environment(value: dict[str, Any]) -> str | None:
    managed = {name for key in MANAGED for _, name in versions.NAMES[key]}
    for name in value:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            return f"{name!r} is not a valid variable name"
        if name in managed:
            return f"{name} is set by encamp itself"
    return None


@record
class Runner:
    """What workers and agents have in common."""

    name: str = setting(
        "", "Part of the name of its unit and of the worker. Empty: the pool's name.", check=_check_label, example="gpu"
    )
    count: int = setting(1, "Number of processes on this host.", minimum=1, maximum=64)
    limit: int = setting(0, "Concurrent flow runs of each process. 0: no limit.", minimum=0)
    packages: tuple[str, ...] = setting(
        (),
        "Python packages that its flows need, locked together with Prefect (`fab lock --prefect VERSION --with "
        "'PACKAGE'`). It gets its own environment.",
        check=_check_packages,
        example="['s3fs==2024.1.0']",
    )
    environment: dict[str, str | Secret] = setting(
        {},
        "Environment variables of the process and its flows. A value can be a secret source; one that is a secret by "
        "its name, or a URL with a login, must be.",
        check=_check_environment,
        secret=is_secret,
        example="{REGION: eu-1, TOKEN: {env: TOKEN}}",
    )
    memory_max: str = setting(
        "", "Memory limit of the process and its flow runs together.", check=_check_memory, example="2G"
    )
    cpu_quota: str = setting(
        "", "CPU limit of the process and its flow runs together.", check=_check_cpu, example="150%"
    )
    stop_timeout: int = setting(
        0, "Seconds for its flow runs to finish when it is stopped. 0: worker_stop_timeout.", minimum=0
    )
