"""llama.cpp's server as the run starts it: on a free port, watched, ended with the run, its log kept."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path

import psutil
import pytest
from fixtures.tiny_gguf import write_tiny_gguf
from pydantic import ValidationError

from harc.core.errors import EnvironmentProblem
from harc.core.files import sha256_file
from harc.model.endpoints import llama_server
from harc.model.endpoints.base import create_endpoint
from harc.model.endpoints.cache import CachedEndpoint
from harc.model.endpoints.llama_server import LlamaEndpoint, LlamaServer, make_command
from harc.settings.endpoints import EndpointSettings

FAKE = Path(__file__).parents[1] / "fixtures/fake_llama.py"
GGUF = {"sha256": "0" * 64, "wheels": {"requirement": "tiny==1", "sha256": ["0" * 64]}}
ASKED = [[{"role": "user", "content": "who are you?"}], [{"role": "user", "content": "and you?"}]]


def name_fake(mode: str) -> list[str]:
    return [sys.executable, str(FAKE), mode]


def make_settings(**changes) -> EndpointSettings:
    return EndpointSettings(**({"kind": "llama_cpp", "model": "tiny", "gguf": GGUF} | changes))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Starts of the server, by mode; the package counts as installed."""
    started = []

    def command(gguf, settings):
        started.append(settings.model)
        return name_fake(settings.model)

    monkeypatch.setenv("HARC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(llama_server, "make_command", command)
    monkeypatch.setattr(llama_server, "is_installed", lambda: True)
    monkeypatch.setattr(llama_server.metadata, "version", lambda name: "1.2")
    return started


def test_a_server_answers_and_ends_with_its_owner_and_its_log_is_kept(tmp_path: Path):
    server = LlamaServer(name_fake("well"), tmp_path / "logs/server.log")
    pid = server._process.pid
    assert not server.has_ended() and server.address.startswith("http://127.0.0.1:")
    del server
    assert not psutil.pid_exists(pid)
    assert (tmp_path / "logs/server.log").read_text() == "loaded\n"


def test_a_server_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llama_server, "GRACE", 0.2)
    server = LlamaServer(name_fake("stubborn"), tmp_path / "server.log")
    server.close()
    assert server.has_ended()


def test_a_server_that_cannot_load_its_model_is_one_line(tmp_path: Path):
    log = tmp_path / "server.log"
    with pytest.raises(
        EnvironmentProblem,
        match=r"llama.cpp's server: expected an answer; found its end \(status 1\); its last line: "
        rf"error: this is no GGUF file; read {log}; the model takes",
    ):
        LlamaServer(name_fake("broken"), log)


def test_a_server_that_says_nothing_is_not_waited_for_forever(tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match="found none in time; its last line: nothing"):
        LlamaServer(name_fake("silent"), tmp_path / "server.log", patience=1.0)
    assert not [child for child in psutil.Process().children() if str(FAKE) in child.cmdline()]


def test_a_server_does_not_outlive_a_run_that_is_killed(tmp_path: Path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from harc.model.endpoints.llama_server import LlamaServer\n"
        f"server = LlamaServer({name_fake('well')!r}, Path({str(tmp_path / 'server.log')!r}))\n"
        "print(server._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 20
    while psutil.pid_exists(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not psutil.pid_exists(int(done.stdout))


def test_the_server_starts_with_the_first_question_and_serves_all(fake: list[str]):
    endpoint = create_endpoint(make_settings(model="well", concurrency=2))
    assert fake == []
    assert endpoint.name == "well (GGUF 0000000000000000, xllamacpp 1.2)"  # no port: the same in every run
    replies = endpoint.complete(ASKED)
    assert [reply.text for reply in replies] == [endpoint.complete(ASKED)[0].text] * 2
    assert fake == ["well"]
    assert (endpoint.usage.requests, endpoint.usage.completion_tokens) == (4, 8)


def test_what_the_cache_knows_needs_no_server(fake: list[str], tmp_path: Path):
    settings = make_settings(model="well", cache=str(tmp_path / "replies"))
    first = create_endpoint(settings).complete(ASKED)
    assert create_endpoint(settings).complete(ASKED) == first
    assert fake == ["well"]


def ask_at_once(settings: EndpointSettings, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What two runs are told that ask the same at the same time, each held until the other starts a server or 1 s."""
    meeting, command = threading.Barrier(2), llama_server.make_command

    def meet(*given):
        with suppress(threading.BrokenBarrierError):
            meeting.wait(1.0)
        return command(*given)

    monkeypatch.setattr(llama_server, "make_command", meet)
    endpoints = [create_endpoint(settings) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda endpoint: endpoint.complete(ASKED[:1])[0].text, endpoints))


def test_runs_at_the_same_time_share_what_one_server_says(fake: list[str], tmp_path: Path, monkeypatch):
    settings = make_settings(model="well", cache=str(tmp_path / "replies"))
    first, second = ask_at_once(settings, monkeypatch)
    assert first == second and fake == ["well"]


def test_without_turns_each_of_them_starts_a_server(fake: list[str], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(CachedEndpoint, "_wait_turn", lambda self: nullcontext())
    settings = make_settings(model="well", cache=str(tmp_path / "replies"))
    first, second = ask_at_once(settings, monkeypatch)
    assert first != second and fake == ["well", "well"]


def test_a_server_that_ends_while_it_is_asked_stops_the_run(fake: list[str]):
    endpoint = create_endpoint(make_settings(model="fragile", retries=0))
    with pytest.raises(EnvironmentProblem, match=r"found its end \(status 7\); its last line: loaded"):
        endpoint.complete(ASKED[:1])


def test_a_package_that_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(llama_server, "find_spec", lambda name: None)
    with pytest.raises(
        EnvironmentProblem,
        match=r"endpoint of kind llama_cpp: expected the package xllamacpp, .*; found none; "
        r"run `pip install xllamacpp==[\d.]+`, or name a server of your own \(kind: openai\)",
    ):
        create_endpoint(make_settings())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gguf": None}, "gguf for an endpoint of kind llama_cpp, and for no other"),
        ({"kind": "local"}, "gguf for an endpoint of kind llama_cpp, and for no other"),
        ({"base_url": "http://127.0.0.1:1/v1"}, "no base_url and no key_variable for a server that the run"),
        ({"key_variable": "KEY"}, "no base_url and no key_variable for a server that the run starts"),
        ({"template_date": "2031-01-02"}, "no template_date for an endpoint of kind llama_cpp"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        make_settings(**changes)


def test_answers_depend_on_the_files_bytes():
    told = make_settings().describe_answers()
    assert told["gguf"] == "0" * 64
    assert told != make_settings(gguf=GGUF | {"sha256": "1" * 64}).describe_answers()
    assert told == make_settings(threads=1, concurrency=3).describe_answers()


def test_the_real_server_serves_a_tiny_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("xllamacpp")
    monkeypatch.setenv("HARC_CACHE", str(tmp_path))
    path = write_tiny_gguf(tmp_path / "tiny.gguf")
    digest = sha256_file(path)
    (tmp_path / "gguf").mkdir()
    path.rename(tmp_path / "gguf" / f"{digest}.gguf")
    settings = make_settings(gguf=GGUF | {"sha256": digest}, concurrency=1, context=256, threads=1)
    assert make_command(settings.gguf, settings)[1:3] == ["-m", llama_server.__name__]
    endpoint = LlamaEndpoint(settings)
    (reply,) = endpoint.complete(ASKED[:1], max_new_tokens=4, temperature=0.0)
    assert reply.error is None and reply.completion_tokens == 4 and reply.other_model is None
    assert os.path.getsize(llama_server.name_log(settings.gguf)) > 0
