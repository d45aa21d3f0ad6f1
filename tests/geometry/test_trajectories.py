"""Answers read token by token: the same cosines as the pooled reading, whatever the batch; which answers are read."""

import numpy as np
import pytest
from fixtures.training_rows import STUDY, make_extraction
from safetensors.numpy import load_file
from tiny_models import build_backbone

from harc.audit.tensors import check_trajectories
from harc.core.errors import DataError
from harc.core.files import read_jsonl
from harc.evaluation.projecting import BASE_ANSWERS, choose_all, choose_answers, write_trajectories
from harc.geometry.directions import save_directions
from harc.geometry.extraction import extract_directions
from harc.geometry.projections import project_conversations, project_tokens
from harc.settings.robustness import TrajectorySettings
from harc.training.rows import split_extraction

JUDGES = ("exact", "string_rules")
PROMPTS = ["Tell me a tale.", "A much longer request about the river and the stone.", "Why?"]
ANSWERS = ["Once upon a time there was.", "No.", ""]


@pytest.fixture(scope="module")
def directions():
    return extract_directions(build_backbone(), *split_extraction(*make_extraction()), STUDY)


def make_record(number: int, suite: str = "direct", label: str = "correct") -> dict:
    return {
        "id": f"{suite}-{number}",
        "suite": suite,
        "messages": [{"role": "user", "content": f"Tell tale {number}."}],
        "response": f"Tale {number} is this.",
        "verdicts": {"exact": {"label": label}},
    }


def test_one_token_is_the_pooled_reading_of_one_token(directions):
    tokens = project_tokens(build_backbone(), PROMPTS, ANSWERS, directions, tokens=1)
    pooled = project_conversations(build_backbone(), PROMPTS, ANSWERS, directions, window=1)
    for ours, theirs in (("token_harm", "resp_harm"), ("token_ref", "resp_ref")):
        np.testing.assert_allclose(tokens[ours][:, 0], pooled[theirs], atol=2e-6)


def test_a_token_is_read_as_if_the_answer_ended_there(directions):
    whole = project_tokens(build_backbone(), PROMPTS, ANSWERS, directions, tokens=32)["token_harm"]
    short = project_tokens(build_backbone(), PROMPTS, ANSWERS, directions, tokens=2)["token_harm"]
    np.testing.assert_allclose(whole[:, :2], short, atol=2e-6)
    assert np.isnan(whole[2]).all() and not np.isnan(whole[0, 0]).any()


def test_batches_change_nothing(directions):
    one, many = (
        project_tokens(build_backbone(), PROMPTS, ANSWERS, directions, tokens_per_forward=size)["token_ref"]
        for size in (1, 4096)
    )
    np.testing.assert_allclose(one, many, atol=2e-6)


def test_unequal_numbers_are_an_error(directions):
    with pytest.raises(DataError, match="responses: expected 3 responses; found 2; give one for each prompt"):
        project_tokens(build_backbone(), PROMPTS, ANSWERS[:2], directions)


def test_classes_by_suite_and_label_in_one_order_for_all_methods():
    records = [make_record(n) for n in range(9)] + [make_record(n, "direct", "refused") for n in (20, 21)]
    records += [make_record(30, "benign"), make_record(31, "benign", "refused")]
    chosen = choose_answers(records, JUDGES, "harmful_answered", 4)
    fewer = [record for record in records if record["id"] != chosen[0]["id"]]
    assert choose_answers(fewer, JUDGES, "harmful_answered", 3) == chosen[1:]
    names = [name for name, _ in choose_all(records, None, JUDGES, 4)]
    assert names == ["harmful_answered"] * 4 + ["harmful_refused"] * 2 + ["benign_answered"]
    of_base = choose_all(records[9:], records, JUDGES, 4)
    assert [record for name, record in of_base if name == BASE_ANSWERS] == chosen


@pytest.mark.parametrize("count", [0, 3])
def test_files_hold_what_the_audit_asks_for(tmp_path, directions, count):
    save_directions(directions, tmp_path / "directions.safetensors")
    chosen = choose_all([make_record(n) for n in range(count)], None, JUDGES, 5)
    settings = TrajectorySettings(tokens=4)
    write_trajectories(build_backbone(), chosen, tmp_path / "directions.safetensors", tmp_path, settings)
    tensors = load_file(tmp_path / "trajectories.safetensors")
    lengths = [row["tokens"] for row in read_jsonl(tmp_path / "trajectories.jsonl", ("id", "suite", "class"))]
    assert tensors["token_harm"].shape == (count, 4, directions.n_slots)
    assert list(check_trajectories(tensors, lengths)) == []


def test_the_audit_sees_gaps_and_what_is_no_cosine():
    sound = np.full((1, 2, 3), np.nan)
    sound[0, 0] = 0.5
    assert list(check_trajectories({"a": sound}, [1])) == []
    assert "past it" in next(check_trajectories({"a": sound}, [2]))[0]
    assert "as trajectories.jsonl has" in next(check_trajectories({"a": sound}, [1, 1]))[0]
    assert "cosines in a" in next(check_trajectories({"a": sound * 4}, [1]))[0]
