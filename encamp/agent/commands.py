"""Commands on the host, as child processes with a clean environment."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Mapping, Optional, Sequence, Union

from encamp.agent import files
from encamp.resources.base import Failure
from encamp.resources.system import Result
from encamp.shared.secret import Secret

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Env = Mapping[str, Union[str, Secret]]


def execute(
    argv: Sequence[str], stdin: Union[str, Secret], env: Optional[Env], as_user: str, timeout: float, cwd: str
) -> Result:
    """Run a command with a clean environment, as ``as_user`` if given. Never raises for an exit code."""
    argv = tuple(argv)
    environment, identity = _identity(as_user)
    for name, value in (env or {}).items():
        environment[name] = value.reveal() if isinstance(value, Secret) else value
    text = stdin.reveal() if isinstance(stdin, Secret) else stdin
    try:
        with subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
            **identity,
        ) as child:
            try:
                out, err = child.communicate(text.encode(), timeout=timeout)
            except BaseException:
                _terminate(child)  # a timeout, of the command or of the step: none of its processes may keep running
                raise
    except FileNotFoundError as error:
        return Result(argv, 127, "", f"{error.filename}: not found")
    except PermissionError as error:
        return Result(argv, 126, "", f"{error.filename}: {error.strerror}")
    except subprocess.TimeoutExpired as error:
        return Result(
            argv, 124, "", f"timed out after {timeout:.0f} s\n{(error.stderr or b'').decode('utf-8', 'replace')}"
        )
    return Result(argv, child.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def _terminate(child: subprocess.Popen[bytes]) -> None:
    """Terminate a command and all its descendants."""
    from encamp.agent.orphans import terminate_tree

    terminate_tree(child.pid)
    child.kill()


def _identity(as_user: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The environment of a child, and how subprocess drops privileges for it."""
    import pwd

    environment = {"PATH": SYSTEM_PATH, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
    try:
        entry = pwd.getpwnam(as_user) if as_user else pwd.getpwuid(os.geteuid())
    except KeyError:
        if as_user:
            raise Failure(f"user {as_user} does not exist on this host") from None
        return {**environment, "HOME": files.own_home()}, {}  # a number without an account, as in a container
    environment.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
    if not as_user or entry.pw_uid == os.geteuid():
        return {**environment, "HOME": files.own_home()}, {}
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return environment, {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
