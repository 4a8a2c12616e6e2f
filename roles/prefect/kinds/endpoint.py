"""Where a URL leads: taken apart once, for the controller and for what runs on hosts."""

from __future__ import annotations

from urllib.parse import urlsplit

from encamp.shared.record import record

PORTS = {"http": 80, "https": 443}


@record
class Endpoint:
    """An http or https address. ``host`` is a name or an address without brackets, ``path`` ends without a slash."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """Take a URL apart; its port is the scheme's where it names none. Raises ValueError for any other text."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is not an http:// or https:// address")
        return cls(parts.scheme, parts.hostname, parts.port or PORTS[parts.scheme], parts.path.rstrip("/"))

    @property
    def name(self) -> str:
        """The host as it stands in a URL."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        return f"{self.name}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"
