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
#: Certificates, and the global options. Not where an owner's own import of conf.d/* would find them.
OWN = "/etc/caddy/encamp"
OPTIONS = f"{OWN}/options.caddy"
PREFIX, SUFFIX = "encamp-", ".caddy"
IMPORT = f"import {SITES}/{PREFIX}*{SUFFIX}"
COMMENT = "# Added by encamp: its sites, a file for each address."
#: Stands in place of the package's welcome page, which would take port 80 for itself.
MADE = f"""# Made by encamp in place of the package's example. Sites of your own may stand below.
import {OPTIONS}
{IMPORT}
"""


def site_path(name: str) -> str:
    """The file of a site of ours."""
    return f"{SITES}/{PREFIX}{name}{SUFFIX}"


def certificate_path(name: str) -> str:
    """The file with the certificate and the key of a site of ours: one, so that they can never be of two kinds."""
    return f"{OWN}/{name}.pem"


def with_import(host: Reader, now: Optional[str]) -> str:
    """The main file as it must be for our sites to be served; all that its owner wrote stays."""
    if now is None or (not imports(now) and _is_example(host, now)):
        return MADE
    return now if imports(now) else f"{now.rstrip()}\n\n{COMMENT}\n{IMPORT}\n"


def without_import(now: Optional[str]) -> Optional[str]:
    """The main file without what was added to it. One that encamp made serves nothing now, and stays."""
    if now is None or now.startswith(MADE):
        return now
    return re.sub(rf"\n*^{re.escape(COMMENT)}\n{re.escape(IMPORT)}\n?", "\n", now, flags=re.MULTILINE)


def imports(main: str) -> bool:
    """Whether the main file takes our sites in, by our line or a wider one of its owner's."""
    ours = (f"{SITES}/{PREFIX}*{SUFFIX}", f"{SITES}/*{SUFFIX}", f"{SITES}/*", f"conf.d/*{SUFFIX}", "conf.d/*")
    return any(line.split() in [["import", pattern] for pattern in ours] for line in main.splitlines())


def whole(main: str, options: str, sites: str) -> str:
    """The main file with options and sites in place of the lines that import them: to be tried before it is so."""
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
    """Whether the file is as the package brought it (dpkg keeps the md5 of configuration files)."""
    import hashlib

    listed = host.query(["dpkg-query", "-W", "-f", "${Conffiles}", "caddy"]).out.split()
    digest = hashlib.new("md5", now.encode(), usedforsecurity=False).hexdigest()
    return MAIN in listed and listed[listed.index(MAIN) + 1 :][:1] == [digest]
