"""A package index on loopback that the real uv and our own client talk to, with wheels made on the spot."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def wheel(project: str, version: str, files: dict[str, str] | None = None, requires: str = "") -> bytes:
    """A wheel of a pure Python project; ``files`` replace its one module."""
    info = f"{project}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
    contents = {
        **(files or {f"{project}.py": f"VERSION = {version!r}\n"}),
        f"{info}/METADATA": metadata + (f"Requires-Dist: {requires}\n" if requires else ""),
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*contents, f"{info}/RECORD"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in {**contents, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return buffer.getvalue()


class LocalIndex:
    """What the index serves: files by name, with upload times; ``login`` asks for basic authentication."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.uploaded: dict[str, str] = {}
        self.requires_python: dict[str, str] = {}
        self.login = ""
        self.html_only = False
        #: How many of the next answers come empty, as flaky proxies give them.
        self.empty_answers = 0
        self.asked: list[tuple[str, str]] = []
        self.url = ""

    def add(self, name: str, data: bytes, uploaded: str = "2026-01-01T00:00:00Z", requires_python: str = "") -> str:
        """Offer a file. Returns its sha256."""
        self.files[name], self.uploaded[name], self.requires_python[name] = data, uploaded, requires_python
        return hashlib.sha256(data).hexdigest()

    def answer(self, path: str, accept: str, authorization: str) -> tuple[int, str, bytes]:
        """Status, content type and body for a request."""
        self.asked.append((path, authorization))
        if self.login and authorization != "Basic " + base64.b64encode(self.login.encode()).decode():
            return 401, "text/plain", b"who are you?"
        if self.empty_answers:
            self.empty_answers -= 1
            return 200, "application/vnd.pypi.simple.v1+json", b""
        name = path.rsplit("/", 1)[-1]
        if path.startswith("/files/") and name in self.files:
            return 200, "application/octet-stream", self.files[name]
        project = path.rstrip("/").rsplit("/", 1)[-1]
        return self._page([file for file in self.files if file.startswith(f"{project}-")], accept)

    def _page(self, names: list[str], accept: str) -> tuple[int, str, bytes]:
        if not names:
            return 404, "text/plain", b"no such project"
        if self.html_only or "json" not in accept:
            links = "".join(f'<a href="../../files/{name}#sha256=0">{name}</a>' for name in names)
            return 200, "text/html; charset=utf-8", f"<!DOCTYPE html><html><body>{links}</body></html>".encode()
        files = [self._entry(name) for name in names]
        page = {"meta": {"api-version": "1.1"}, "name": names[0].split("-")[0], "files": files}
        return 200, "application/vnd.pypi.simple.v1+json", json.dumps(page).encode()

    def _entry(self, name: str) -> dict[str, object]:
        entry: dict[str, object] = {
            "filename": name,
            "url": f"../../files/{name}",
            "hashes": {"sha256": hashlib.sha256(self.files[name]).hexdigest()},
        }
        if self.uploaded[name]:
            entry["upload-time"] = self.uploaded[name]
        if self.requires_python[name]:
            entry["requires-python"] = self.requires_python[name]
        return entry


@contextlib.contextmanager
def serving(index: LocalIndex) -> Iterator[LocalIndex]:
    """Serve ``index`` on a free port of loopback; its ``url`` is set meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            accept, authorization = self.headers.get("Accept", ""), self.headers.get("Authorization", "")
            status, content_type, body = index.answer(self.path, accept, authorization)
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            if status == 401:
                self.send_header("www-authenticate", 'Basic realm="index"')
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    try:
        yield index
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
