"""The part of Debian's Python 3.9 that comes in a package of its own."""

from __future__ import annotations

from encamp.resources.base import Change, Refused, kind
from encamp.resources.files.paths import expand
from encamp.resources.packages.installed import Packages
from encamp.resources.system import Reader

#: The newest series whose environments uv makes with distutils.
SERIES = "3.9"
DISTUTILS = "python3-distutils"


@kind
class Distutils(Packages):
    """distutils for the Python that an environment is to be made with, if that is the Python 3.9 of Debian's packages.

    Debian 11 packages it separately, and uv makes no environment of Python 3.9 without it. Fields as of Packages;
    ``python``, ``requires_python`` and ``pythons`` as of PythonEnv. ``unless``: a path; where it exists, nothing is
    checked.
    """

    python: str = ""
    requires_python: str = ""
    pythons: str = ""
    unless: str = ""

    def check(self, host: Reader) -> list[Change]:
        if host.os_release().family != "debian" or (self.unless and host.stat(expand(host, self.unless))):
            return []
        from encamp.resources.python.interpreters import choose

        try:
            path, version = choose(host, expand(host, self.python), self.requires_python, expand(host, self.pythons))
        except Refused:
            return []  # told by PythonExpectation, or brought by uv
        if not path.startswith("/usr/bin/") or not version.startswith(f"{SERIES}."):
            return []
        return [] if host.stat(f"/usr/lib/python{SERIES}/distutils/core.py") else super().check(host)
