"""A killed evaluation loses the prompts in flight and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fixtures.misbehaving_server import answer, serve, status

from harc.core.errors import ModelError
from harc.core.files import read_jsonl, write_json, write_jsonl
from harc.core.finished import KEPT, KeyedStore
from harc.evaluation.run import EvaluationPaths, evaluate_backbone, run_in_parts
from harc.model.handle import ModelHandle
from harc.settings.evaluation import EvaluationSettings
from harc.suites import target

IN_FLIGHT = 2
ROWS = [
    {
        "id": f"direct-{number}", "suite": "direct", "category": "harmful", "expected": "", "goal": f"goal {number}",
        "messages": [{"role": "user", "content": f"goal {number}"}],
    }
    for number in range(9)
]  # fmt: skip
SCRIPT = """
import sys
from test_attack_resume import make_paths, make_settings
from harc.evaluation.run import evaluate_backbone
evaluate_backbone(make_paths(sys.argv[1]), make_settings(sys.argv[2], cache=sys.argv[3]), seed=0)
"""


def make_settings(url: str, cache: str | None = None, **changes) -> EvaluationSettings:
    """Settings; whoever names a cache says that the server stays the same."""
    endpoint = {
        "kind": "openai",
        "model": "m",
        "base_url": url,
        "cache": cache,
        "retries": 0,
        "concurrency": 1,
    }
    values = {
        "suites": ("direct",), "judges": ("string_rules", "string_pair"), "project": False,
        "prompts_in_flight": IN_FLIGHT, "target_endpoint": endpoint,
    }  # fmt: skip
    return EvaluationSettings(**(values | changes))


def make_paths(folder: str) -> EvaluationPaths:
    root = Path(folder)
    return EvaluationPaths(
        model=ModelHandle("served"), data=root / "rows.jsonl", world=root / "world.json", directions=None,
        generations=root / "generations", checkpoint=root / "checkpoint",
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    write_json(tmp_path / "world.json", {})
    return tmp_path


def read_kept(path: Path) -> dict[str, dict]:
    """Records by their ids in the whole lines of a store."""
    values = [json.loads(line)["value"] for line in path.read_bytes().split(b"\n")[:-1]]
    return {value["id"]: value for value in values}


def list_goals(server) -> list[str]:
    return [body["messages"][0]["content"] for _, body in server.requests]


def test_a_kill_loses_only_the_prompts_in_flight(folder):
    partial = folder / "checkpoint" / KEPT
    with serve([answer(wait=0.2)]) as (url, server):
        here = Path(__file__).parent
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (here, *here.parents[:2])))}
        cache = str(folder / "cache")
        child = subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), url, cache], env=environment)
        while not partial.is_file() or partial.read_bytes().count(b"\n") < 2 * IN_FLIGHT:
            assert child.poll() is None, "the run ended before it could be killed"
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        child.wait()
        asked, kept = set(list_goals(server)), read_kept(partial)
        assert not (folder / "generations").exists()
        assert 2 * IN_FLIGHT <= len(kept) < len(ROWS) and len(asked) - len(kept) <= IN_FLIGHT
        server.requests.clear()
        evaluate_backbone(make_paths(str(folder)), make_settings(url, cache), seed=0)
        again, goals = set(list_goals(server)), {row["goal"] for row in ROWS}
        assert not again & {r["goal"] for r in kept.values()}
        assert again >= goals - asked  # those in flight may have left their reply in the cache
    records = read_jsonl(folder / "generations/direct.jsonl")
    assert [record["id"] for record in records] == [row["id"] for row in ROWS]
    assert list((folder / "checkpoint").iterdir()) == []


@pytest.fixture
def impatient(monkeypatch):
    """A run that gives a server up after four prompts in turn without a reply."""
    monkeypatch.setattr(target, "STOP_AFTER", 4)


def test_an_earlier_run_on_a_server_is_taken_over_only_where_a_cache_is_named(folder):
    with serve([answer()]) as (url, server):
        for expected in (len(ROWS), 2 * len(ROWS)):
            evaluate_backbone(make_paths(str(folder)), make_settings(url), seed=0)
            assert len(server.requests) == expected


def test_a_server_that_goes_away_stops_the_run(folder, impatient):
    with (
        serve([answer(), answer(), status(500)]) as (url, _),
        pytest.raises(
            ModelError, match=r"direct-5 at m at .*found status 500.*4 prompts in turn without one"
        ),
    ):
        evaluate_backbone(make_paths(str(folder)), make_settings(url), seed=0)
    assert set(read_kept(folder / "checkpoint" / KEPT)) >= {"direct-0", "direct-1"}
    with serve([answer()]) as (other, server):
        # Another address is another target: nothing is taken over.
        evaluate_backbone(make_paths(str(folder)), make_settings(other), seed=0)
        assert len(server.requests) == len(ROWS)


def test_records_of_other_settings_are_not_taken_over(folder, impatient):
    cache = str(folder / "cache")
    with serve([answer(), answer(), *[status(500)] * 4, answer()]) as (url, server):
        with pytest.raises(ModelError):
            evaluate_backbone(make_paths(str(folder)), make_settings(url, cache), seed=0)
        before = len(server.requests)
        evaluate_backbone(make_paths(str(folder)), make_settings(url, cache, max_new_tokens=7), seed=0)
        assert len(server.requests) == before + len(ROWS)


def test_a_line_that_was_cut_short_is_asked_again_and_swallows_nothing(tmp_path):
    store = KeyedStore(tmp_path / KEPT, {})
    store.save_all({"/a": {"id": "a"}, "/b": {"id": "b"}})
    with store.path.open("ab") as handle:
        handle.write(b'{"name": "/c", "value\xc3')
    store.save("/d", {"id": "d"})
    assert set(read_kept(store.path)) == {"a", "b", "d"}
    asked = []

    def run(rows):
        asked.extend(row["id"] for row in rows)
        return [{"id": row["id"]} for row in rows]

    rows = [{"id": name} for name in "abcde"]
    assert run_in_parts(rows, run, store, 1) == rows
    assert asked == ["c", "e"]


def test_without_parts_nothing_is_kept_meanwhile(tmp_path):
    store = KeyedStore(tmp_path / KEPT, {})

    def run(rows):
        assert not store.path.exists()
        return [dict(row) for row in rows]

    assert run_in_parts([{"id": "a"}], run, store, None) == [{"id": "a"}]
