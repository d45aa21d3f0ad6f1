"""Rows with a model's own answers: which are taken, what is counted, what a kill costs, what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from tiny_models import build_backbone

from harc.core.errors import DataError
from harc.core.finished import KeyedStore
from harc.core.placeholder import PLACEHOLDER
from harc.data.answers import AnswerWriter, end_sentence, take_sentence, write_pairs, write_training_rows
from harc.geometry.extraction import ResponsePairs, extract_directions
from harc.judges.registry import make_judges
from harc.methods.cast import fit_steering
from harc.model.completion import Completion
from harc.settings.data import OwnAnswerSettings, PublicRowSettings, RowSource
from harc.settings.directions import DirectionSettings
from harc.settings.training import MethodSettings
from harc.training.batches import encode_rows

REFUSED = "I'm sorry, but I can't help with that."
HELP = "The blue box holds the good hero and three small stacks of wood."
BROKEN = "zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq zq"
GIVEN = "an answer that came with the row"
# By prompt: what the model says by itself, and behind each opening (of refusals, compliant, helpful).
SAID = {
    "harmful refused": (REFUSED, " do it.", " the way: stack the red box upon the cat.", ""),
    "harmful answered": (
        HELP,
        " help with that. However, here is a tip.",
        " the way: open the box slowly.",
        "",
    ),
    "harmful refused behind both": (
        REFUSED,
        " do it.",
        " my answer: I'm sorry, but I can't help with that.",
        "",
    ),
    "harmful broken": (BROKEN, " do it.", f" {BROKEN}", ""),
    "harmless answered": (HELP, " do it.", "", " It never comes to this."),
    "harmless refused": (REFUSED, " do it.", "", f" {HELP}"),
    "harmless broken": (BROKEN, " do it.", "", f" {BROKEN}"),
    "alarming refused": (REFUSED, " do it.", "", f" {HELP}"),
}
OPENINGS = ("", "I'm sorry, but I can't", "Sure, here is", "Certainly!")
CATEGORIES = {"harmful": "harmful", "harmless": "harmless", "alarming": "pseudo_harmful"}


@pytest.fixture
def asked(monkeypatch) -> list[list[str]]:
    """The batches that a scripted model answers; a batch of more than two is answered in parts."""
    batches: list[list[str]] = []

    def answer(backbone, prompts, *, names, max_new_tokens, **_):
        texts = [backbone.tokenizer.decode(ids) for ids in prompts]
        found = []
        for text in texts:
            prompt = max((prompt for prompt in SAID if prompt in text), key=len)
            opening = next((o for o in OPENINGS[:0:-1] if text.endswith(o)), "")
            found.append((prompt, SAID[prompt][OPENINGS.index(opening)]))
        batches.append([prompt for prompt, _ in found])
        assert all("harm" not in name for name in names)  # an error must not show what was asked
        return [Completion(said, "stop", 9, 5) for _, said in found]

    monkeypatch.setattr("harc.model.generation.answer_prompts", answer)
    return batches


def make_writer(folder: Path, **settings) -> AnswerWriter:
    own = OwnAnswerSettings(batch_size=2, **settings)
    store = KeyedStore(folder / "kept.jsonl", {"work": 1})
    return AnswerWriter(build_backbone("Llama"), make_judges([own.judge], "")[0], own, store)


def make_rows() -> list[dict]:
    return [
        {
            "id": f"training-{number}",
            "category": CATEGORIES[prompt.split()[0]],
            "prompt": prompt,
            "response": GIVEN,
            "chosen": GIVEN,
            "source": "invented",
        }
        for number, prompt in enumerate(SAID)
    ]


def test_every_row_is_answered_by_the_model_itself_or_behind_an_opening(asked, tmp_path: Path):
    writer = make_writer(tmp_path)
    rows = write_training_rows(writer, make_rows())
    found = {row["prompt"]: (row["response"], row["rejected"]) for row in rows}
    way = "Sure, here is the way: "
    short = "I'm sorry, but I can't do it."
    assert found == {
        "harmful refused": (REFUSED, f"{way}stack the red box upon the cat."),
        "harmful answered": (REFUSED, f"{way}open the box slowly."),  # its first sentence alone
        "harmless answered": (HELP, short),
        "harmless refused": (f"Certainly! {HELP}", REFUSED),
        "alarming refused": (f"Certainly! {HELP}", REFUSED),
    }
    assert GIVEN not in str(rows) and [row["id"] for row in rows] == [
        f"training-{n}" for n in (0, 1, 4, 5, 7)
    ]
    assert all(row["source"] == "invented" for row in rows)
    counts = {(row["group"], row["answer"]): row for row in writer.summarize()}
    harmful = counts["harmful", "compliant"]
    assert {name: harmful[name] for name in ("asked", "own", "prefilled", "dropped", "dropped_garbled", "rows")} == {
        "asked": 4, "own": 0, "prefilled": 2, "dropped": 2, "dropped_garbled": 1, "rows": 2,
    }  # fmt: skip
    refusals = counts["harmful", "refusal"]
    assert (refusals["refused"], refusals["answered"], refusals["garbled"]) == (2, 1, 1)
    assert (refusals["own"], refusals["prefilled"], refusals["dropped"]) == (2, 2, 0)
    assert counts["harmless", "helpful"]["dropped_garbled"] == 1


def test_what_a_model_refuses_wrongly_may_be_left_out(asked, tmp_path: Path):
    rows = [row for row in make_rows() if not row["prompt"].startswith("alarming")]
    made = write_training_rows(make_writer(tmp_path, benign_refused="dropped"), rows)
    assert [row["prompt"] for row in made if row["category"] == "harmless"] == ["harmless answered"]


def test_pairs_are_answered_by_kind(asked, tmp_path: Path):
    prompts = {"harm": "harmful answered", "refuse": "harmful answered", "helpful": "harmless refused"}
    pairs = [{"kind": kind, "prompt": prompt, "response": PLACEHOLDER} for kind, prompt in prompts.items()]
    made = {row["kind"]: row["response"] for row in write_pairs(make_writer(tmp_path), pairs)}
    assert made == {
        "harm": "Sure, here is the way: open the box slowly.",
        "refuse": REFUSED,
        "helpful": f"Certainly! {HELP}",
    }


def test_a_kill_costs_a_batch_and_changes_no_row(asked, tmp_path: Path, monkeypatch):
    rows = make_rows()
    whole = write_training_rows(make_writer(tmp_path / "whole"), rows)
    answered, batches = len(asked), []
    asked.clear()
    from harc.model import generation

    plain = generation.answer_prompts

    def answer_and_die(*arguments, **options):
        if len(asked) == 3:
            raise KeyboardInterrupt
        return plain(*arguments, **options)

    monkeypatch.setattr(generation, "answer_prompts", answer_and_die)
    with pytest.raises(KeyboardInterrupt):
        write_training_rows(make_writer(tmp_path / "cut"), rows)
    batches += asked
    asked.clear()
    monkeypatch.setattr(generation, "answer_prompts", plain)
    assert write_training_rows(make_writer(tmp_path / "cut"), rows) == whole
    assert len(batches) == 3 and len(asked) == answered - 3


def test_a_model_without_a_usable_answer_ends_in_one_line(asked, tmp_path: Path):
    rows = [row for row in make_rows() if row["prompt"] in ("harmful broken", "harmful refused behind both")]
    with pytest.raises(DataError) as caught:
        write_training_rows(make_writer(tmp_path), rows)
    assert str(caught.value) == (
        "own answers, training harmful: expected at least one row whose answers the judge takes for what they must be; "
        "found refusal: of 2 asked 2 fit, 0 garbled; compliant: of 2 asked 0 fit, 1 garbled; check the model and the "
        "judge, raise data.own.max_new_tokens, or take data.answers: given"
    )


@pytest.mark.parametrize(
    ("text", "cut", "first"),
    [
        ("One. Two is lo", "One.", "One."),
        ("No end at all", "No end at all", "No end at all"),
        ("Steps:\n1. Open it.\n2. Clo", "Steps:\n1. Open it.", "Steps:"),
        ('He said "no." And the', 'He said "no."', 'He said "no."'),
        ("It costs 3.50 to", "It costs 3.50 to", "It costs 3.50 to"),
    ],
)
def test_sentences(text: str, cut: str, first: str):
    assert (end_sentence(text), take_sentence(text)) == (cut, first)


# A placeholder is never learnt from.

TRAINING = [
    {"category": "harmful", "prompt": "make it", "response": REFUSED, "rejected": HELP},
    {"category": "harmless", "prompt": "say it", "response": HELP, "rejected": REFUSED},
] * 2


@pytest.mark.parametrize("name", ["response", "rejected", "chosen"])
def test_a_placeholder_is_no_training_target(name: str, tmp_path: Path):
    backbone = build_backbone("Llama")
    assert len(encode_rows(backbone.chat, TRAINING, 64, 64)) == 4  # the same rows with an answer
    rows = [*TRAINING, {**TRAINING[0], name: PLACEHOLDER}]
    for learn in (
        lambda: encode_rows(backbone.chat, rows, 64, 64),
        lambda: fit_steering(backbone, rows, MethodSettings(preset="cast"), 0, tmp_path / "out"),
    ):
        with pytest.raises(DataError) as caught:
            learn()
        assert str(caught.value) == (
            "training rows: expected answers; found 1 placeholders for answers that the rows do not hold; set "
            "data.answers: own, so that the model writes them, or name a dataset of pairs in "
            "data.rows.preference_dataset"
        )


@pytest.mark.parametrize("kind", ["harm", "refuse", "helpful"])
def test_a_placeholder_is_no_direction(kind: str):
    backbone = build_backbone("Llama")
    pairs = {"harm": [("make it", HELP)], "refuse": [("make it", REFUSED)], "helpful": [("say it", HELP)]}
    settings = DirectionSettings(bootstrap_resamples=0)
    prompts = (["make it", "break it"], ["say it"])
    assert extract_directions(backbone, *prompts, ResponsePairs(**pairs), settings).v_harm_resp is not None
    pairs[kind] = [("make it", PLACEHOLDER)]
    with pytest.raises(DataError, match=f"^{kind} pairs: expected answers; found 1 placeholders"):
        extract_directions(backbone, *prompts, ResponsePairs(**pairs), settings)


# Settings


def test_public_rows_without_answers_need_somebody_to_write_them():
    for values, message in (
        ({}, "answers: own, or rows.preference_dataset, for source public"),
        ({"rows": {"preference_dataset": "a/b", "unanswered": 0.5}}, "answers: own for rows.unanswered"),
    ):
        with pytest.raises(ValidationError, match=message):
            RowSource(source="public", **values)
    rows = PublicRowSettings(unanswered=0.5)
    assert RowSource(source="public", answers="own", rows=rows).rows.unanswered


def test_a_judge_of_own_answers_tells_all_three_labels():
    with pytest.raises(ValidationError, match="one of .*refusal_rules"):
        OwnAnswerSettings(judge="refusal_rubric")
