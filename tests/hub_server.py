"""A hub of models and datasets on this machine, which speaks as much of the protocol as a download needs."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def listening(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on a free port of this machine; gives its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def answering(status: int, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A server with one answer to everything; gives its address and the paths it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as endpoint:
        yield endpoint, asked


@contextmanager
def serving(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Serves `root/models/OWNER/NAME` and `root/datasets/OWNER/NAME`; gives the address and all requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer()

        def _answer(self) -> None:
            words = [word for word in urlsplit(self.path).path.split("/") if word]
            asked.append(f"{self.command} {self.path}")
            if words[0] == "api":
                repo = root.joinpath(*words[1:4])
                return self._about(repo, words[4:]) if repo.is_dir() else self._missing("RepoNotFound")
            kind = words.pop(0) if words[0] == "datasets" else "models"
            path = root.joinpath(kind, *words[:2], *words[4:])
            return self._file(path) if path.is_file() else self._missing("EntryNotFound")

        def _about(self, repo: Path, words: list[str]) -> None:
            files = sorted(path for path in repo.rglob("*") if path.is_file())
            names = [str(path.relative_to(repo)) for path in files]
            entries = [
                {"type": "file", "path": name, "size": path.stat().st_size, "oid": etag(path)}
                for name, path in zip(names, files, strict=True)
            ]
            if words[:1] == ["tree"]:
                return self._json(entries)
            if words[:1] == ["paths-info"]:
                wanted = json.loads(self._body)["paths"]
                return self._json([entry for entry in entries if entry["path"] in wanted])
            siblings = [{"rfilename": name} for name in names]
            return self._json({"id": "/".join(repo.parts[-2:]), "sha": COMMIT, "siblings": siblings})

        def _json(self, value: object) -> None:
            self._send(json.dumps(value).encode(), {"Content-Type": "application/json"})

        def _file(self, path: Path) -> None:
            self._send(path.read_bytes(), {"ETag": f'"{etag(path)}"', "X-Repo-Commit": COMMIT})

        def _missing(self, code: str) -> None:
            self._send(b"{}", {"X-Error-Code": code}, 404)

        def _send(self, content: bytes, headers: dict[str, str], status: int = 200) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with listening(Handler) as endpoint:
        yield endpoint, asked


def etag(path: Path) -> str:
    """What names this content on the hub."""
    return hashlib.sha1(path.read_bytes()).hexdigest()
