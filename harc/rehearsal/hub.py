"""A stand-in for the Hugging Face hub on loopback: the requests of huggingface_hub and datasets, and their refusals.

It speaks what huggingface_hub 2.4 asks (`HfApi.repo_info`, `list_repo_tree`, `paths-info`, `resolve`), with the
status and the X-Error-Code that `huggingface_hub/utils/_http.py` tells refusals by, so that with HF_ENDPOINT set to it
the true loading code runs: snapshots, pinned commits, tokens, resumption, the offline cache.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from harc.core.files import sha256_file, sha256_text

HOST = "127.0.0.1"
KINDS = {"models": "model", "datasets": "dataset"}
API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)(?:/(?P<what>revision|tree|paths-info)/(?P<revision>[^/]+))?"
    r"(?P<folder>/.*)?"
)
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
PLAIN = "/files/"
MAIN = "main"
BLOCK = 1 << 16


@dataclass(frozen=True)
class Repository:
    """A repository of the stand-in: a folder's files as one commit.

    Attributes:
        name: owner/name.
        folder: its files.
        kind: of what.
        gated: whether it asks for a token.
    """

    name: str
    folder: Path
    kind: Literal["model", "dataset"] = "model"
    gated: bool = False

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every file by its path in the repository."""
        return {
            path.relative_to(self.folder).as_posix(): path
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of every file."""
        return {name: sha256_file(path) for name, path in self.files.items()}

    @cached_property
    def commit(self) -> str:
        """40 hex digits that follow from names and bytes."""
        text = json.dumps([self.name, sorted(self.digests.items())])
        return sha256_text(text)[:40]

    def describe_file(self, name: str) -> dict[str, Any]:
        """An entry of the tree."""
        return {
            "type": "file",
            "path": name,
            "size": self.files[name].stat().st_size,
            "oid": self.digests[name][:40],
        }

    def list_tree(self, folder: str, recursive: bool) -> list[dict[str, Any]]:
        """Entries below a folder; its own folders too, since datasets looks for them."""
        start = f"{folder}/" if folder else ""
        inside = [name for name in self.files if name.startswith(start)]
        nested = {name[: len(start) + at] for name in inside if (at := name[len(start) :].find("/")) > 0}
        files = [name for name in inside if recursive or "/" not in name[len(start) :]]
        folders = [
            {"type": "directory", "path": name, "size": 0, "oid": self.commit} for name in sorted(nested)
        ]
        return [*folders, *(self.describe_file(name) for name in files)]


@dataclass
class Scene:
    """What the stand-in does wrong, and how often: something that a real hub does now and then.

    Attributes:
        path: pattern that is searched in the request's path.
        status: HTTP status that is answered in place of the right one; None: the file is cut off.
        times: how many requests; None: all.
        after: bytes of a file that are sent before the connection breaks.
        headers: further headers of the answer.
        method: the requests that it is for.
    """

    path: str
    status: int | None = None
    times: int | None = 1
    after: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    method: str = "GET"


class Hub(ThreadingHTTPServer):
    """The server; `run_hub` starts and stops it.

    Attributes:
        repositories: what it holds, by (kind, name).
        token: what opens gated repositories; None: none does.
        accepted: whether the token's owner has accepted their licences.
        plain: folder of files that other homes than the hub serve, under /files/COMMIT/.
        scenes: what it does wrong.
        asked: method and path of every request, in order.
    """

    daemon_threads = True

    def __init__(
        self,
        repositories: list[Repository],
        *,
        token: str | None = None,
        accepted: bool = True,
        plain: Path | None = None,
        port: int = 0,
    ) -> None:
        super().__init__((HOST, port), Handler)
        self.repositories: dict[tuple[str, str], Repository] = {
            (held.kind, held.name): held for held in repositories
        }
        self.token, self.accepted, self.plain = token, accepted, plain
        self.scenes: list[Scene] = []
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """Its address, for HF_ENDPOINT."""
        return f"http://{HOST}:{self.server_address[1]}"

    def take_scene(self, method: str, path: str) -> Scene | None:
        """The first scene that a request is for, counted down."""
        with self.lock:
            self.asked.append((method, path))
            for scene in self.scenes:
                if scene.method == method and re.search(scene.path, path) and scene.times != 0:
                    scene.times = None if scene.times is None else scene.times - 1
                    return scene
        return None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to report."""


class Handler(BaseHTTPRequestHandler):
    """One request; paths are those of the hub."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed; `Hub.asked` knows."""

    def do_HEAD(self) -> None:  # named by http.server
        """Whether a file is there, and what it is."""
        self._answer("HEAD", {})

    def do_GET(self) -> None:  # named by http.server
        """A file, a listing, a description."""
        self._answer("GET", {})

    def do_POST(self) -> None:  # named by http.server
        """Descriptions of named paths."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer("POST", json.loads(body) if body else {})

    def _answer(self, method: str, body: Mapping[str, Any]) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        scene = self.server.take_scene(method, path)
        if scene is not None and scene.status is not None:
            self._send(scene.status, b"", scene.headers)
            return
        after = None if scene is None else scene.after
        if path.startswith(PLAIN) and self.server.plain is not None:
            self._send_file(self.server.plain / path.removeprefix(PLAIN).partition("/")[2], {}, after)
        elif match := FILE.fullmatch(path):
            self._send_entry(match, after)
        elif match := API.fullmatch(path):
            self._describe(match, "recursive=true" in parts.query.lower(), body)
        else:
            self._refuse(404, "RepoNotFound", "nothing here")

    def _find(self, kind: str, name: str, revision: str | None) -> Repository | None:
        """The repository; refused where there is none, where it may not be read, or at another revision."""
        found = self.server.repositories.get((kind, name))
        given = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        if found is None:
            self._refuse(401 if not given else 404, "RepoNotFound", "Repository not found")
        elif found.gated and given != self.server.token:
            self._refuse(
                401, "GatedRepo", f"Access to model {name} is restricted. You must be authenticated."
            )
        elif found.gated and not self.server.accepted:
            self._refuse(403, "GatedRepo", f"Access to model {name} is restricted; ask for access.")
        elif revision not in (None, MAIN, found.commit):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            return found
        return None

    def _describe(self, match: re.Match[str], recursive: bool, body: Mapping[str, Any]) -> None:
        # Descriptions of gated repositories are public, their files are not.
        kind, name = KINDS[match["kind"]], match["name"]
        held = self.server.repositories.get((kind, name))
        public = match["what"] in (None, "revision") and held is not None and held.gated
        found = held if public else self._find(kind, name, match["revision"])
        if found is None:
            return
        if public and match["revision"] not in (None, MAIN, found.commit):
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {match['revision']}")
            return
        folder = (match["folder"] or "").strip("/")
        if match["what"] == "tree":
            self._send_json(found.list_tree(folder, recursive))
        elif match["what"] == "paths-info":
            asked = [name for name in body.get("paths", ()) if name in found.files]
            self._send_json([found.describe_file(name) for name in asked])
        else:
            siblings = [{"rfilename": name} for name in found.files]
            known = {"id": found.name, "sha": found.commit, "private": False, "siblings": siblings}
            self._send_json(known | {"gated": "manual" if found.gated else False, "tags": []})

    def _send_entry(self, match: re.Match[str], after: int | None) -> None:
        found = self._find("dataset" if match["kind"] else "model", match["name"], match["revision"])
        if found is None:
            return
        commit = {"X-Repo-Commit": found.commit}
        if match["path"] not in found.files:
            self._refuse(404, "EntryNotFound", "Entry not found", commit)
            return
        etag = {"ETag": f'"{found.digests[match["path"]]}"'}
        self._send_file(found.files[match["path"]], commit | etag, after)

    def _send_file(self, path: Path, headers: dict[str, str], after: int | None) -> None:
        if not path.is_file():
            self._refuse(404, "EntryNotFound", "Entry not found", headers)
            return
        data = path.read_bytes()
        begin = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(begin[1]) if begin else 0
        if start and start >= len(data):
            self._send(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
            return
        extra = {"Accept-Ranges": "bytes"}
        if start:
            extra["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._send(206 if start else 200, data[start:], headers | extra, after)

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        own = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
        self._send(status, json.dumps({"error": message}).encode(), {**(headers or {}), **own})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str], after: int | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            whole = data if after is None else data[:after]
            for start in range(0, len(whole), BLOCK):
                self.wfile.write(whole[start : start + BLOCK])
        if after is not None:
            self.close_connection = True  # fewer bytes than promised: the client sees the connection break


@contextmanager
def run_hub(repositories: list[Repository], **options: Any) -> Iterator[Hub]:
    """The stand-in in a thread of this process; `options` are those of `Hub`."""
    hub = Hub(repositories, **options)
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
