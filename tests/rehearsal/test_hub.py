"""The hub's library against a stand-in that speaks its protocol: each answer ends in weights, or in one line."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_chat import save_tiny_chat

from harc.rehearsal.hub import Hub, Repository, Scene, run_hub

TOKEN = "hf_standin"
ASKING = """
import json, os, sys
from harc.core.errors import HarcError
for line in sys.stdin:
    asked = json.loads(line)
    os.environ["HF_TOKEN"] = asked.get("token", "")
    try:
        if "dataset" in asked:
            from harc.data.preference_pairs import read_preference_pairs
            found = read_preference_pairs(asked["dataset"], asked["revision"])
            answer = {"pairs": len(found.pairs), "revision": found.revision}
        elif "adapter" in asked:
            from harc.model.weights import find_adapter
            answer = {"adapter": str(find_adapter(asked["adapter"])[0])}
        else:
            from harc.model.weights import find_folder
            folder = find_folder(asked["model"], asked["revision"])
            answer = {"folder": str(folder), "files": sorted(path.name for path in folder.iterdir())}
    except HarcError as problem:
        answer = {"error": str(problem)}
    print(json.dumps(answer), flush=True)
"""
"""A process of its own, since the hub's library reads its address when it is imported."""


class Client:
    """The project's loading code in a process with HF_ENDPOINT set to the stand-in."""

    def __init__(self, hub: Hub, home: Path) -> None:
        environment = os.environ | {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_DATASETS_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", ASKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment,
        )  # fmt: skip

    def ask(self, model: str = "", revision: str = "main", **asked: str) -> dict:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"model": model, "revision": revision, **asked}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """A chat model's repository: weights, texts, and what no one loads."""
    folder = save_tiny_chat(tmp_path_factory.mktemp("files") / "model")
    (folder / "README.md").write_text("a card\n")
    (folder / "original").mkdir()
    (folder / "original/consolidated.00.pth").write_bytes(b"never fetched")
    return folder


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    rows = [
        {"prompt": f"p{n}", "response_0": "no", "response_1": "yes",
         "is_response_0_safe": True, "is_response_1_safe": n == 0}
        for n in range(3)
    ]  # fmt: skip
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def served(files, pairs) -> Iterator[Hub]:
    names = ("plain", "broken", "limited", "down", "kept", "half", "moved", "gone")
    repositories = [Repository(f"lab/{name}", files) for name in names]
    repositories += [Repository("lab/gated", files, gated=True), Repository("lab/pairs", pairs, "dataset")]
    with run_hub(repositories, token=TOKEN) as hub:
        yield hub


@pytest.fixture(scope="module")
def client(served, tmp_path_factory) -> Iterator[Client]:
    client = Client(served, tmp_path_factory.mktemp("home"))
    yield client
    client.process.stdin.close()
    client.process.wait(60)


@pytest.fixture
def hub(served) -> Iterator[Hub]:
    yield served
    served.scenes.clear()
    served.accepted = True


def test_a_model_is_fetched_at_its_commit_without_what_is_never_loaded(hub, client):
    found = client.ask("lab/plain")
    commit = hub.repositories["model", "lab/plain"].commit
    assert Path(found["folder"]).name == commit
    assert "model.safetensors" in found["files"] and "README.md" not in found["files"]
    assert not any("original" in path for method, path in hub.asked if method == "GET" and "resolve" in path)
    assert client.ask("lab/plain", commit)["folder"] == found["folder"]


def test_a_gated_model_needs_a_token_whose_owner_has_access(hub, client):
    assert client.ask("lab/gated")["error"] == (
        "hub model lab/gated: expected its files at revision main; found a gated repository, and no token; accept its "
        "licence on its page, then `hf auth login`"
    )
    hub.accepted = False
    assert (
        "found a gated repository, and a token whose owner has no access; accept its licence"
        in (client.ask("lab/gated", token=TOKEN)["error"])
    )
    hub.accepted = True
    assert "model.safetensors" in client.ask("lab/gated", token=TOKEN)["files"]


@pytest.mark.parametrize(
    ("model", "revision", "found"),
    [
        ("lab/none", "main", "found no such repository, or a private one; check the name"),
        (
            "lab/moved",
            "0" * 40,
            "found no such revision; take a commit from the repository's history, or main",
        ),
        ("lab/moved", "v9", "found no such revision;"),
    ],
)
def test_what_is_not_there_is_told_apart(hub, client, model, revision, found):
    error = client.ask(model, revision)["error"]
    assert found in error and error.startswith(
        f"hub model {model}: expected its files at revision {revision}"
    )


def test_a_download_that_breaks_goes_on_where_it_was(hub, client):
    size = hub.repositories["model", "lab/broken"].files["model.safetensors"].stat().st_size
    hub.scenes.append(Scene(r"lab/broken/.*model\.safetensors", after=size // 2))
    found = client.ask("lab/broken")
    whole = hub.repositories["model", "lab/broken"].files["model.safetensors"].read_bytes()
    assert (Path(found["folder"]) / "model.safetensors").read_bytes() == whole


def test_a_rate_limit_is_waited_for_and_told_if_it_stays(hub, client):
    hub.scenes.append(Scene("lab/limited/revision", 429, headers={"Retry-After": "0"}))
    first = client.ask("lab/limited")
    assert "model.safetensors" in first.get("files", ()) or "a rate limit (HTTP status 429)" in first["error"]
    hub.scenes[:] = [Scene("lab/gone", 429, None, headers={"Retry-After": "0"})]
    assert "found a rate limit (HTTP status 429); wait some minutes" in client.ask("lab/gone")["error"]


def test_a_hub_that_is_down_does_not_stop_who_has_the_files(hub, client):
    first = client.ask("lab/kept")
    hub.scenes.append(Scene("lab/(kept|down)", 503, None))
    assert client.ask("lab/kept") == first
    assert "found HTTP status 503; try again" in client.ask("lab/down")["error"]


def test_half_a_model_is_not_taken_for_a_whole_one(hub, client):
    hub.scenes.append(Scene(r"lab/half/.*model\.safetensors", 404, None, method="HEAD"))
    assert "error" in client.ask("lab/half")
    hub.scenes[:] = [Scene("lab/half", 503, None)]
    assert "found HTTP status 503" in client.ask("lab/half")["error"], "the cached half passed for the model"
    hub.scenes.clear()
    assert "model.safetensors" in client.ask("lab/half")["files"]


def test_a_dataset_is_read_at_its_commit(hub, client):
    commit = hub.repositories["dataset", "lab/pairs"].commit
    assert client.ask(dataset="lab/pairs") == {"pairs": 2, "revision": commit}
    error = client.ask(dataset="lab/unknown")["error"]
    assert (
        error.startswith("dataset lab/unknown: expected to reach it on the hub; found ") and "\n" not in error
    )


def test_an_adapter_that_is_not_there_is_one_line(hub, client):
    assert client.ask(adapter="lab/none/harc")["error"] == (
        "hub adapter lab/none: expected its files at revision main; found no such repository, or a private one; check "
        "the name; of a private one, the token"
    )


@pytest.mark.parametrize("revision", ["main", "commit"])
def test_offline_the_cache_is_read_by_commit_and_by_the_name_it_was_fetched_under(client, tmp_path, revision):
    """In another process, where the hub is switched off by the variable that its library has for that."""
    folder = Path(client.ask("lab/plain")["folder"])
    shutil.copytree(folder.parents[2], tmp_path / "home/hub", symlinks=True)
    code = (
        "import sys; from harc.model.weights import find_folder; print(find_folder('lab/plain', sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, folder.name if revision == "commit" else revision],
        capture_output=True, text=True, check=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert Path(done.stdout.strip()).name == folder.name
