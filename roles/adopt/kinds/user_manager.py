"""The systemd manager of a user: ``systemctl --user`` for somebody else."""

from __future__ import annotations

import pwd

from encamp.resources.base import Failure
from encamp.resources.system import Reader


def has_manager(host: Reader, user: str) -> bool:
    """Whether the user's manager runs: while somebody is logged in as the user, or with lingering."""
    return host.stat(f"/run/user/{pwd.getpwnam(user).pw_uid}") is not None


def user_systemctl(host: Reader, user: str, *words: str, must: bool = True) -> bool:
    """``systemctl --user`` of a user whose manager runs; True where it succeeded. Raises Failure."""
    uid = pwd.getpwnam(user).pw_uid
    environment = {"XDG_RUNTIME_DIR": f"/run/user/{uid}"}
    result = host.query(["systemctl", "--user", *words], env=environment, as_user=user)
    if must and not result.ok:
        raise Failure(
            f"`systemctl --user {' '.join(words)}` of {user} failed",
            fix=f"run it as {user}; `loginctl enable-linger {user}` keeps its units without a login",
            detail=result.tail,
        )
    return result.ok
