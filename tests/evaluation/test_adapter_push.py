"""`harc adapter push`: nothing leaves without --yes, and then only what was listed; the hub is a local server."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest
from fixtures.hostile_models import ADAPTER, put
from fixtures.tiny_adapters import CARD, Q, save_adapter, save_base

import harc.cli
from harc.cli.running import run_command
from harc.evaluation.adapters import push

SECRET = "hf_" + "x" * 30


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_base(tmp_path / "base")


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = save_adapter(tmp_path / "adapter")
    (folder / "notes.txt").write_text("private")
    (folder / ".env").write_text("KEY=1")
    return folder


class Hub(ThreadingHTTPServer):
    """As much of the hub as a commit of small files needs."""

    def __init__(self, status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status, self.asked, self.files, self.made = status, [], {}, {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        found: dict = {}
        if self.path == "/api/repos/create":
            self.server.made = json.loads(body)
            found = {"url": f"{self.server.url}/owner/name"}
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            found = {
                "files": [
                    {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in files
                ]
            }
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.server.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            found = {"commitUrl": f"{self.server.url}/owner/name/commit/1", "commitOid": "1" * 40}
        self.reply(found)

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        self.reply({})

    def reply(self, found: dict) -> None:
        text = json.dumps(found).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *words) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", server.url)
    huggingface_hub.close_session()
    monkeypatch.setattr(
        push, "open_api", lambda token: huggingface_hub.HfApi(endpoint=server.url, token=token)
    )
    yield server
    server.shutdown()
    server.server_close()
    huggingface_hub.close_session()


def run(*words: object) -> int:
    return run_command(harc.cli.app, ["adapter", "push", *map(str, words)])


def test_nothing_leaves_without_yes(adapter, base, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert run(adapter, "owner/name", "--base", base) == 0
    said = capsys.readouterr().out
    assert hub.asked == []
    assert "nothing was sent" in said and "adapter_model.safetensors" in said and SECRET not in said
    assert "not sent: .env, notes.txt" in said and "3 files" in said and "pass  finite" in said


def test_with_yes_exactly_the_listed_files_are_sent(adapter, base, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert run(adapter, "owner/name", "--base", base, "--yes") == 0
    said = capsys.readouterr()
    assert hub.files.keys() == {"README.md", "adapter_config.json", ADAPTER}
    assert all((adapter / name).read_bytes() == data for name, data in hub.files.items())
    assert hub.made["visibility" if "visibility" in hub.made else "private"] in ("private", True)
    given = {path: token for path, token in hub.asked if "/owner/" in path or "/repos/" in path}
    assert len(given) == 3 and set(given.values()) == {f"Bearer {SECRET}"}
    assert "sent: " in said.out and SECRET not in said.out + said.err


def test_a_token_comes_from_the_environment_alone(adapter, base, hub, monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    (tmp_path / "token").write_text(SECRET)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    assert run(adapter, "owner/name", "--base", base, "--yes") == 1
    assert "HF_TOKEN: expected an access token in the environment; found none" in capsys.readouterr().err
    assert hub.asked == []


def test_a_refusal_of_the_hub_is_one_line_without_the_token(adapter, base, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.status = 403
    assert run(adapter, "owner/name", "--base", base, "--yes") == 1
    said = capsys.readouterr()
    assert (
        said.err.count("\n") == 1
        and "found HTTP status 403" in said.err
        and SECRET not in said.out + said.err
    )


def test_a_repositorys_name_and_the_licence_of_the_base_are_checked(adapter, base, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    (base / "README.md").write_text(CARD.format(licence="wtfpl"))
    for words, message in (
        ((adapter, "name", "--base", base), "REPOSITORY: expected owner/name; found name"),
        ((adapter, "owner/name"), "licence of the base: expected one that is known"),
        ((adapter, "owner/name", "--base", base), "found wtfpl; read its terms and name it with --licence"),
        ((adapter, "owner/name", "--licence", "cc-by-nd-4.0"), "keep the adapter to yourself"),
        ((adapter, "owner/name", "--licence", "nope"), "found nope"),
    ):
        assert run(*words, "--yes") == 1
        assert message in capsys.readouterr().err
    assert hub.asked == []
    assert run(adapter, "owner/name", "--licence", "llama3.1") == 0
    assert "asks that the name begin with Llama" in capsys.readouterr().out
    assert run(adapter, "owner/Llama-name", "--licence", "llama3.1") == 0
    assert "asks that the name" not in capsys.readouterr().out


def test_a_failed_check_ends_it(adapter, base, hub, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    put(f"{Q}.lora_A.weight", float("nan"), ADAPTER)(adapter)
    assert run(adapter, "owner/name", "--base", base, "--yes") == 1
    assert "expected an adapter that passes its checks; found finite (NaN" in capsys.readouterr().err
    assert hub.asked == []
