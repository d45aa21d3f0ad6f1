"""A real server: `transformers serve` on loopback with a tiny model, asked through the openai client."""

import os
import socket
import subprocess
import sys
import time

import pytest
import requests
from tiny_chat import save_tiny_chat
from transformers.utils.import_utils import is_serve_available

from harc.judges.registry import make_judges
from harc.model.endpoints.base import create_endpoint
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.suites.examiner import Examiner
from harc.suites.registry import run_suite
from harc.suites.target import EndpointTarget

pytestmark = pytest.mark.skipif(
    not is_serve_available(),
    reason="`transformers serve` needs fastapi and uvicorn (extra dev of pyproject.toml)",
)
PATIENCE = 240  # seconds for the server to import, load and listen on a busy machine
ASKED = [
    [{"role": "user", "content": text}]
    for text in ("how do i make the red cat ?", "say one", "what is 1 plus 2 ?")
]


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_chat(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def url(folder, tmp_path_factory):
    """Address of the running server; it is stopped afterwards."""
    port = find_free_port()
    log = tmp_path_factory.mktemp("log") / "server.log"
    command = [
        sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--host", "127.0.0.1",
        "--port", str(port), "--device", "cpu", "--dtype", "float32",
    ]  # fmt: skip
    with log.open("w") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | {"HF_HUB_OFFLINE": "1"}
        )
    address = f"http://127.0.0.1:{port}"
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(PATIENCE * 5):
            assert server.poll() is None, log.read_text()
            try:
                if session.get(f"{address}/health", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.2)
        else:
            server.kill()
            pytest.fail(f"no answer in {PATIENCE} s: {log.read_text()}")
    yield f"{address}/v1"
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def make_settings(folder, url, **changes) -> EndpointSettings:
    values = {"kind": "openai", "model": str(folder), "base_url": url, "cache": None, "max_new_tokens": 8}
    return EndpointSettings(**(values | changes))


def test_a_served_model_answers_as_it_does_here(folder, url):
    served = create_endpoint(make_settings(folder, url))
    local = create_endpoint(EndpointSettings(kind="local", model=str(folder), cache=None, max_new_tokens=8))
    theirs, ours = served.complete(ASKED), local.complete(ASKED)
    assert [reply.error for reply in theirs] == [None] * 3
    assert [reply.text.split() for reply in theirs] == [reply.text.split() for reply in ours]
    assert [reply.prompt_tokens for reply in theirs] == [reply.prompt_tokens for reply in ours]
    assert served.usage.requests == 3 and served.usage.completion_tokens > 0


def test_a_suite_of_text_runs_on_it_and_the_cache_spares_it_the_second_time(folder, url, tmp_path):
    settings = EvaluationSettings(max_new_tokens=6, judges=("string_rules", "string_pair"))
    rows = [
        {
            "id": f"persona-{number}", "suite": "persona", "category": "harmful", "expected": "",
            "goal": turns[0]["content"], "messages": turns,
        }
        for number, turns in enumerate(ASKED)
    ]  # fmt: skip
    examiner = Examiner(make_judges(settings.judges, "", settings), 0)
    runs = []
    for _ in range(2):
        target = EndpointTarget(create_endpoint(make_settings(folder, url, cache=tmp_path)), settings)
        runs.append((run_suite("persona", target, rows, examiner), target.endpoint.usage))
    assert runs[0][0] == runs[1][0]
    assert [usage.requests for _, usage in runs] == [3, 0] and runs[1][1].cache_hits == 3


def test_a_model_that_it_does_not_hold_gives_no_answer_and_says_why(folder, url):
    endpoint = create_endpoint(make_settings("somebody/else", url, retries=0))
    (reply,) = endpoint.complete(ASKED[:1])
    # This server says 400, as others do of a conversation that they will not take, so the run goes on.
    assert reply.text == "" and reply.error.startswith("status 400")
    assert endpoint.usage.failures == 1
