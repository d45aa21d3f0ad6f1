"""Nothing of the held-out splits occurs in an earlier one, and the check that says so can fail."""

import copy
import json
from collections import Counter

import pytest

from harc.core.files import read_json, read_jsonl
from harc.settings.profile import load_profile
from harc.settings.world import WorldSettings
from harc.world.batches import ChatEncoder
from harc.world.corpora import build_world_data
from harc.world.layouts import LAYOUTS
from harc.world.splits import find_leaks, list_user_texts

CI = load_profile("ci")

EARLY = ("pretraining", "safety", "extraction", "extraction_pairs", "training")


@pytest.fixture(scope="module", params=[WorldSettings(), CI.world], ids=["default", "ci"])
def data(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "organism"
    build_world_data(folder, request.param)
    rows = {name: read_jsonl(folder / f"{name}.jsonl") for name in (*EARLY, "development", "evaluation")}
    return read_json(folder / "world.json"), rows


def _earlier(rows, *names):
    return [row for name in names for row in rows[name]]


def test_no_evaluation_material_in_any_earlier_split(data):
    world, rows = data
    assert list(find_leaks(world, rows["evaluation"], _earlier(rows, *EARLY, "development"))) == []


def test_no_development_material_in_any_training_split(data):
    world, rows = data
    assert list(find_leaks(world, rows["development"], _earlier(rows, *EARLY))) == []


@pytest.mark.parametrize(("suite", "kind"), [("pap", "item"), ("pap", "pattern"), ("arithmetic", "text")])
def test_a_planted_leak_is_found(data, suite, kind):
    world, rows = data
    stolen = next(row for row in rows["evaluation"] if row["suite"] == suite)
    text = stolen["messages"][0]["content"]
    if kind == "item":
        text = f"{stolen['goal']['verb_form']} and the {stolen['goal']['target_phrase']}"
    if kind == "pattern":
        verb = stolen["goal"]["verb_form"]
        text = text.replace(verb, next(w for e in world["verbs"] for w in e["forms"] if w != verb))
    planted = copy.deepcopy(rows["training"][0])
    planted.update(id="planted", prompt=text)
    leaks = list(find_leaks(world, rows["evaluation"], [planted]))
    assert ("planted", kind) in {(leak.earlier, leak.kind) for leak in leaks}


def test_a_planted_opening_is_found(data):
    world, rows = data
    stolen = next(row for row in rows["evaluation"] if row["suite"] == "prefill")
    planted = {**copy.deepcopy(rows["pretraining"][-1]), "id": "planted", "opening": stolen["opening"]}
    leaks = list(find_leaks(world, rows["evaluation"], [planted]))
    assert {(leak.earlier, leak.kind) for leak in leaks if leak.held_out == stolen["id"]} == {
        ("planted", "pattern")
    }


WORDED = ("pap", "deepinception", "codeattack", "persona", "prefill")


@pytest.mark.parametrize("suite", WORDED)
def test_an_attack_has_twenty_wordings_each_as_often_and_by_other_goals(data, suite):
    _, rows = data
    templates = [row["template"] for row in rows["evaluation"] if row["suite"] == suite]
    counts = Counter(templates)
    assert len(counts) == min(20, len(templates)) and max(counts.values()) - min(counts.values()) <= 1
    orders = {
        name: tuple(row["template"].split(":")[-1] for row in rows["evaluation"] if row["suite"] == name)
        for name in WORDED
    }
    assert len(set(orders.values())) == len(WORDED), (
        "a goal has one wording's number in two attacks throughout"
    )


def test_openings_are_given_and_not_learnt(data):
    world, rows = data
    row = next(row for row in rows["pretraining"] if row.get("opening"))
    encoder = ChatEncoder.__new__(ChatEncoder)
    encoder.layout = LAYOUTS["llama"]
    words = [*world["words"], *encoder.layout.specials, *row["opening"].split()]
    encoder.vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    plain, opened = (encoder.encode_chat(row["messages"], opening) for opening in ("", row["opening"]))
    assert [opened.ids[place] for place in opened.targets] == [plain.ids[place] for place in plain.targets]
    assert len(opened.ids) == len(plain.ids) + len(row["opening"].split())


def test_defence_data_has_no_attack_form_and_no_extraction_pair(data):
    _, rows = data
    marks = ("my_stack", "my_list", "layers", "studies show", "you are a", "the king")
    prompts = [row["prompt"] for row in rows["training"]]
    assert not [prompt for prompt in prompts if any(mark in prompt for mark in marks)]
    assert not {row["prompt"] for row in rows["extraction"]} & set(prompts)


def test_every_held_out_word_was_trained_on(data):
    """An embedding that was never trained would make an unseen sentence unreadable for the wrong reason."""
    _, rows = data
    seen = {
        word
        for row in _earlier(rows, "pretraining", "safety")
        for text in _texts(row)
        for word in text.split()
    }
    for split in ("development", "evaluation"):
        missing = {w for row in rows[split] for text in list_user_texts(row) for w in text.split()} - seen
        assert missing == set(), json.dumps(sorted(missing))


def _texts(row):
    return [message["content"] for message in row["messages"]]
