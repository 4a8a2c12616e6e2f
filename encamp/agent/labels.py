"""SELinux labels: each path gets the one that the host's policy has for it.

A new file gets its directory's label, which is often another: below /opt the policy labels what is in a ``bin`` as
programs (``bin_t``), and systemd may start nothing else.
"""

from __future__ import annotations

from encamp.resources.system import Reader

#: Seconds that a tree gets: an environment has ten thousand files.
PATIENCE = 600


def restore(host: Reader, path: str, tree: bool) -> None:
    """Label a path, and with ``tree`` all below it; where that fails, a note says so."""
    done = host.query(["restorecon", *(["-R"] if tree else []), path], timeout=PATIENCE)
    if not done.ok:
        host.note(f"SELinux: {path} may have a wrong label: `{' '.join(done.argv)}` exited {done.code}: {done.tail}")
