"""Where the distribution's Caddy keeps things, and the text of its main configuration file."""

from __future__ import annotations

import re
from typing import Optional

from encamp.resources.system import Reader

UNIT = "caddy.service"
GROUP = "caddy"
PROGRAM = "/usr/bin/caddy"
MAIN = "/etc/caddy/Caddyfile"
SITES = "/etc/caddy/conf.d"
#: Certificates and global options, outside conf.d, which the owner's Caddyfile may import.
OWN = "/etc/caddy/encamp"
OPTIONS = f"{OWN}/options.caddy"
PREFIX, SUFFIX = "encamp-", ".caddy"
IMPORT = f"import {SITES}/{PREFIX}*{SUFFIX}"
COMMENT = "# Added by encamp: its sites, a file for each address."
#: Replaces the package's welcome page, which would occupy port 80.
MADE = f"""# Made by encamp in place of the package's example. Sites of your own may stand below.
import {OPTIONS}
{IMPORT}
"""


def site_path(name: str) -> str:
    """The file of one of encamp's sites."""
    return f"{SITES}/{PREFIX}{name}{SUFFIX}"


def certificate_path(name: str) -> str:
    """The file with certificate and key of one of encamp's sites: one file, so that the two always match."""
    return f"{OWN}/{name}.pem"


def with_import(host: Reader, now: Optional[str]) -> str:
    """The main file with the import of encamp's sites; the owner's text stays."""
    if now is None or (not imports(now) and _is_example(host, now)):
        return MADE
    return now if imports(now) else f"{now.rstrip()}\n\n{COMMENT}\n{IMPORT}\n"


def without_import(now: Optional[str]) -> Optional[str]:
    """The main file without encamp's addition. A file that encamp made stays: without sites it serves nothing."""
    if now is None or now.startswith(MADE):
        return now
    return re.sub(rf"\n*^{re.escape(COMMENT)}\n{re.escape(IMPORT)}\n?", "\n", now, flags=re.MULTILINE)


def imports(main: str) -> bool:
    """Whether the main file imports encamp's sites, with encamp's line or a wider one of its owner."""
    ours = (f"{SITES}/{PREFIX}*{SUFFIX}", f"{SITES}/*{SUFFIX}", f"{SITES}/*", f"conf.d/*{SUFFIX}", "conf.d/*")
    return any(line.split() in [["import", pattern] for pattern in ours] for line in main.splitlines())


def whole(main: str, options: str, sites: str) -> str:
    """The main file with its imports replaced by options and sites, for validation before anything is written."""
    lines = []
    for line in main.splitlines():
        if line.split() == ["import", OPTIONS]:
            lines.append(options)
        elif imports(line):
            lines.append(sites)
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _is_example(host: Reader, now: str) -> bool:
    """Whether the file is unchanged since the package was installed (dpkg keeps md5 sums of conffiles)."""
    import hashlib

    listed = host.query(["dpkg-query", "-W", "-f", "${Conffiles}", "caddy"]).out.split()
    digest = hashlib.new("md5", now.encode(), usedforsecurity=False).hexdigest()
    return MAIN in listed and listed[listed.index(MAIN) + 1 :][:1] == [digest]
