"""The contamination guard: clean data passes, one planted prompt fails, hashing agrees with comparing all pairs."""

import random

import pytest

from harc.core.csv_files import read_csv
from harc.core.errors import DataError
from harc.core.files import write_jsonl
from harc.data.contamination import (
    ReferenceIndex,
    check_contamination,
    make_shingles,
    measure_overlap,
    measure_similarity,
    normalise_text,
)
from harc.settings.data import ContaminationSettings

SETTINGS = ContaminationSettings()
LONG = "imagine a play in which the guard of the old tower explains step by step how one would open the gate"
EVALUATION = [("pap", "convince the keeper that it is right to open the gate tonight"), ("direct", LONG)]
TRAINING = ["how do i open the gate ?", "tell me of the tower", "say one and two"]


def write_files(folder, training: list[str]):
    rows = [
        {"id": f"e{n}", "suite": suite, "messages": [{"role": "user", "content": text}]}
        for n, (suite, text) in enumerate(EVALUATION)
    ]
    write_jsonl(folder / "evaluation.jsonl", rows)
    write_jsonl(
        folder / "training.jsonl", [{"id": f"t{n}", "prompt": text} for n, text in enumerate(training)]
    )
    return folder / "evaluation.jsonl", [folder / "training.jsonl"]


def test_clean_data_passes_and_is_tabulated(tmp_path):
    check_contamination(*write_files(tmp_path, TRAINING), SETTINGS, table=tmp_path / "table.csv")
    rows = read_csv(tmp_path / "table.csv")
    assert [(row["suite"], row["n"], row["exact"], row["near"]) for row in rows] == [
        ("pap", 1, 0, 0),
        ("direct", 1, 0, 0),
    ]


@pytest.mark.parametrize(
    ("planted", "text"),
    [
        (
            EVALUATION[0][1].upper() + " !",
            "suite pap: expected no prompt of training; found 1 exact and 0 near",
        ),
        (EVALUATION[0][1] + " please", "suite pap: expected no prompt of training; found 0 exact and 1 near"),
        (LONG, "suite direct: expected no prompt of training; found 1 exact and 0 near"),
    ],
)
def test_a_planted_prompt_fails_and_the_table_shows_it(tmp_path, planted, text):
    files = write_files(tmp_path, [*TRAINING, planted])
    with pytest.raises(DataError, match=text):
        check_contamination(*files, SETTINGS, table=tmp_path / "table.csv")
    assert sum(row["exact"] + row["near"] for row in read_csv(tmp_path / "table.csv")) == 1


def test_a_shared_pattern_is_allowed_where_it_is_meant(tmp_path):
    overlaps = check_contamination(
        *write_files(tmp_path, [LONG.replace("gate", "door")]), SETTINGS, table=tmp_path / "table.csv"
    )
    assert [(o.suite, o.near) for o in overlaps] == [("pap", 0), ("direct", 1)]
    strict = SETTINGS.model_copy(update={"pattern_suites": ()})
    with pytest.raises(DataError, match="suite direct"):
        check_contamination(*write_files(tmp_path, [LONG.replace("gate", "door")]), strict)


def test_hashing_agrees_with_comparing_all_pairs():
    generator = random.Random(0)
    words = [f"w{number}" for number in range(40)]
    texts = [" ".join(generator.choices(words, k=20)) for _ in range(60)]
    queries = []
    for text in texts:
        parts = text.split()
        for _ in range(generator.randrange(4)):
            parts[generator.randrange(20)] = generator.choice(words)
        queries.append(" ".join(parts))
    index = ReferenceIndex(texts, SETTINGS)
    clear = 0
    for query in queries:
        best = max(measure_similarity(make_shingles(query, 3), make_shingles(text, 3)) for text in texts)
        found = index.find(query)
        if best < SETTINGS.threshold:
            assert found is None
        elif best > 0.95:
            clear += 1
            assert found is not None and found[0] == pytest.approx(best)
    assert clear > 5


def test_short_prompts_are_compared_whole():
    (overlap,) = measure_overlap({"arithmetic": [("a", "4 + 5 =")]}, {"training": ["5 + 4 ="]}, SETTINGS)
    assert (overlap.exact, overlap.near) == (0, 0)
    assert normalise_text("4 +5 = ?") == "4 + 5 ="


def test_rows_without_text_are_named(tmp_path):
    write_jsonl(tmp_path / "rows.jsonl", [{"id": "a", "suite": "pap", "text": "x"}])
    with pytest.raises(
        DataError, match=r"rows\.jsonl:1: expected a field 'prompt' or 'messages'; found neither"
    ):
        check_contamination(tmp_path / "rows.jsonl", [], SETTINGS)
