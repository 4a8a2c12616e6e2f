"""Files on the host: read, and write so that a crash leaves either the old file or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat as stat_module
from typing import Callable, Iterator, Optional, Union

from encamp.resources.base import Failure
from encamp.resources.system import OsRelease, Stat
from encamp.shared.secret import Secret

#: Suffix of the temporary file that replaces another one by rename.
NEW = ".encamp-new"
KINDS = ((stat_module.S_ISLNK, "symlink"), (stat_module.S_ISDIR, "directory"), (stat_module.S_ISREG, "file"))


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn OSError into Failure, with a fix where one is known."""
    try:
        yield
    except OSError as error:
        fixes = {
            errno.ENOSPC: "free some space on that file system, then deploy again",
            errno.EDQUOT: "raise the quota, then deploy again",
            errno.EROFS: "mount that file system read-write",
            errno.EACCES: "deploy as a user with write permission there (become: true)",
            errno.EPERM: "the path may be immutable (lsattr) or on a file system without owners",
        }
        place = str(error.filename or path).replace(f"/.{os.path.basename(path)}{NEW}", f"/{os.path.basename(path)}")
        reason = f"{place}: {error.strerror or error}"
        raise Failure(reason, fix=fixes.get(error.errno or 0, "")) from error


def stat(path: str) -> Optional[Stat]:
    """lstat with names for owner and group (the number where there is no name)."""
    try:
        status = os.lstat(path)
        kind = next((name for test, name in KINDS if test(status.st_mode)), "other")
        target = os.readlink(path) if kind == "symlink" else ""
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None  # removed between the two calls, as entries of /proc may be
    return Stat(
        kind,
        stat_module.S_IMODE(status.st_mode),
        _user_name(status.st_uid),
        _group_name(status.st_gid),
        status.st_size,
        status.st_mtime,
        target,
    )


def read(path: str) -> Optional[bytes]:
    """Whole content of a file; None where there is none."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError, ProcessLookupError):
        return None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error


def os_release() -> OsRelease:
    """Which distribution this is, from /etc/os-release."""
    values = {}
    for line in (read("/etc/os-release") or b"").decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        values[name] = value.strip().strip("\"'")
    like = [values.get("ID", ""), *values.get("ID_LIKE", "").split()]
    debian = any(name in ("debian", "ubuntu") for name in like)
    rhel = any(name in ("rhel", "fedora", "centos") for name in like)
    family = "debian" if debian else "rhel" if rhel else "other"
    return OsRelease(
        values.get("ID", "linux"), values.get("VERSION_ID", ""), family, values.get("PRETTY_NAME", "Linux")
    )


def candidate_of(path: str) -> str:
    """The temporary file that new content of ``path`` is written to."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}{NEW}")


def write_atomic(
    path: str,
    data: Union[bytes, str, Secret],
    owner: str,
    group: str,
    mode: int,
    validate: Optional[Callable[[str], None]],
) -> None:
    """Write a temporary file with final owner and mode; fsync; validate; rename it over the target."""
    content = data.reveal().encode() if isinstance(data, Secret) else data.encode() if isinstance(data, str) else data
    candidate = candidate_of(path)
    with explained(path):
        try:
            _write_new(candidate, content, owner, group, mode)
            if validate:
                validate(candidate)
            os.replace(candidate, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(candidate)
            raise
        _sync_directory(os.path.dirname(path))


def _write_new(path: str, content: bytes, owner: str, group: str, mode: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as stream:
        if owner or group:
            os.fchown(handle, _uid(owner), _gid(group))
        os.fchmod(handle, mode)
        stream.write(content)
        stream.flush()
        os.fsync(handle)


def make_directory(path: str, owner: str, group: str, mode: int) -> str:
    """Create a directory and its parents (0755, whatever the umask), then owner and mode of the last one.

    Returns the topmost that it made; empty where all were there.
    """
    made = ""
    with explained(path):
        parent = os.path.dirname(path.rstrip("/"))
        if parent and not os.path.isdir(parent):
            made = make_directory(parent, "", "", 0o755)
        flags = os.O_RDONLY | os.O_DIRECTORY
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            _sync_directory(parent)
            flags |= os.O_NOFOLLOW  # what is now there is what was made, not a link in its place
            made = made or path
        handle = os.open(path, flags)
        try:
            os.fchown(handle, _uid(owner), _gid(group))
            os.fchmod(handle, mode)
        finally:
            os.close(handle)
    return made


def link_atomic(path: str, target: str) -> None:
    """Replace a link by renaming a new one over it."""
    candidate = candidate_of(path)
    with explained(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(candidate)
        os.symlink(target, candidate)
        os.replace(candidate, path)
        _sync_directory(os.path.dirname(path))


def set_owner(path: str, owner: str, group: str) -> None:
    """Change owner and group of the path itself, not of a link's target. Empty: unchanged."""
    with explained(path):
        os.lchown(path, _uid(owner), _gid(group))


def set_mode(path: str, mode: int) -> None:
    """Change permission bits."""
    with explained(path):
        os.chmod(path, mode)


def remove(path: str) -> None:
    """Remove a file, a link, or a directory with its contents."""
    import shutil

    with explained(path):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _sync_directory(path: str) -> None:
    handle = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# pwd and grp are imported where they are used: Windows has neither, and a client's script works there, too.


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _uid(owner: str) -> int:
    if not owner:
        return -1
    import pwd

    try:
        return pwd.getpwnam(owner).pw_uid
    except KeyError:
        raise Failure(f"user {owner} does not exist on this host") from None


def _gid(group: str) -> int:
    if not group:
        return -1
    import grp

    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise Failure(f"group {group} does not exist on this host") from None


def own_home() -> str:
    """This user's home: HOME, as for every program, unless it is another user's (sudo may keep the caller's).

    HOME need not belong to its user: it may be on a network file system, or mounted into a container. Raises Failure
    where there is none.
    """
    named = os.environ.get("HOME", "")
    if os.path.isabs(named) and os.path.isdir(named) and _is_own(named):
        return os.path.normpath(named)
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        raise Failure(
            f"user {os.geteuid()} has no home: neither an account on this machine nor a HOME that it may write to",
            fix="set HOME to a directory of this user's",
        ) from None


def _is_own(home: str) -> bool:
    return os.stat(home).st_uid == os.geteuid() or (os.geteuid() != 0 and os.access(home, os.W_OK))
