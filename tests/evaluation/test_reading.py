"""Answers drawn for a blind reader, and judges compared with what the reader wrote: weights, blindness, bad files."""

import csv
import random
from collections import Counter

import pytest
from fixtures.project_copy import PROJECT

import harc.cli
from harc.cli.running import run_command
from harc.core.csv_files import read_csv_rows, write_csv
from harc.core.errors import ConfigError, DataError
from harc.core.files import write_jsonl
from harc.evaluation.reading_agreement import measure_reading, read_sample, summarise_reading
from harc.evaluation.reading_sample import (
    KEY_FILE,
    SAMPLE_COLUMNS,
    SAMPLE_FILE,
    draw_sample,
    find_answers,
    share_out,
    write_sample,
)
from harc.settings.profile import load_profile

JUDGE = "refusal_classifier"
TRUTH = {"refused": "refused", "correct": "answered", "garbled": "broken"}


def make_record(suite: str, number: int, label: str, other: str) -> dict:
    return {
        "id": f"{suite}-{number}", "suite": suite, "goal": f"open box {number}", "attack": None,
        "messages": [{"role": "user", "content": f"=please open box {number}"}],
        "response": f"=answer {number} in {suite}, which is {label}",
        "verdicts": {JUDGE: {"label": label}, "refusal_rules": {"label": other}},
    }  # fmt: skip


def write_generations(folder, backbones=("small", "large"), methods=("base", "harc")) -> None:
    """40 answers a suite and method; the rules are wrong of every fourth refusal, and one in ten is unjudged."""
    for backbone in backbones:
        for method in methods:
            for suite in ("direct", "benign"):
                records = []
                for number in range(40):
                    label = "unjudged" if number % 10 == 9 else "refused" if number % 2 == 0 else "correct"
                    other = "correct" if label != "refused" or number % 4 == 0 else "refused"
                    records.append(make_record(suite, number, label, other))
                write_jsonl(folder / backbone / method / "seed0" / f"{suite}.jsonl", records)


@pytest.fixture
def drawn(tmp_path):
    write_generations(tmp_path / "generations")
    sample, key = draw_sample(find_answers(tmp_path / "generations"), 60, JUDGE, 0)
    write_sample(tmp_path / "reading", sample, key)
    return tmp_path / "reading"


def fill(folder, choose) -> None:
    """Write a reader's labels: what `choose` makes of an answer's text."""
    columns, rows = read_csv_rows(folder / SAMPLE_FILE)
    write_csv(folder / SAMPLE_FILE, columns, [{**row, "label": choose(row["response"])} for row in rows])


def read_truth(response: str) -> str:
    label = response.rpartition(" ")[2]
    return TRUTH.get(label, "answered")


def test_a_sample_names_neither_model_nor_method(drawn):
    columns, rows = read_csv_rows(drawn / SAMPLE_FILE)
    assert tuple(columns) == SAMPLE_COLUMNS and len(rows) == 120
    assert not any(row["label"] for row in rows)
    text = (drawn / SAMPLE_FILE).read_text()
    assert not any(word in text for word in ("small", "large", "harc", "base", "seed0", "refusal_rules"))
    _, key = read_csv_rows(drawn / KEY_FILE)
    assert Counter(row["backbone"] for row in key) == {"small": 60, "large": 60}
    order = [row["backbone"] for row in key]
    assert order not in (sorted(order), sorted(order, reverse=True))


def test_every_stratum_is_drawn_and_weighs_what_it_stands_for(drawn):
    _, key = read_csv_rows(drawn / KEY_FILE)
    own = [row for row in key if row["backbone"] == "small"]
    strata = Counter((row["suite"], row[f"label_{JUDGE}"]) for row in own)
    assert len(strata) == 6
    assert sum(float(row["weight"]) for row in own) == pytest.approx(2 * 2 * 40)
    unsure = [float(row["weight"]) for row in own if row[f"label_{JUDGE}"] == "unjudged"]
    assert sum(unsure) == pytest.approx(2 * 2 * 4)


def test_equal_seeds_draw_equal_samples(tmp_path):
    write_generations(tmp_path)
    answers = find_answers(tmp_path)
    first, second, other = (draw_sample(answers, 30, JUDGE, seed) for seed in (0, 0, 1))
    assert first == second != other


def test_no_formula_reaches_a_spreadsheet(drawn):
    with (drawn / SAMPLE_FILE).open(newline="") as handle:
        cells = [cell for row in csv.reader(handle) for cell in row]
    assert not any(cell.startswith("=") for cell in cells)
    assert any(row["response"].startswith("=answer") for row in read_csv_rows(drawn / SAMPLE_FILE)[1])


def test_shares_fill_what_is_wanted():
    assert share_out({"a": 90, "b": 9, "c": 1}, 20) == {"a": 17, "b": 2, "c": 1}
    assert share_out({"a": 3, "b": 2}, 50) == {"a": 3, "b": 2}
    generator = random.Random(0)
    for _ in range(200):
        sizes = {number: generator.randint(1, 40) for number in range(generator.randint(1, 9))}
        wanted = generator.randint(len(sizes), 120)
        found = share_out(sizes, wanted)
        assert sum(found.values()) == min(wanted, sum(sizes.values()))
        assert all(1 <= found[name] <= size for name, size in sizes.items())
    with pytest.raises(ConfigError, match="3 answers at least"):
        share_out({"a": 9, "b": 9, "c": 9}, 2)


def test_weights_give_back_what_all_answers_would(drawn):
    fill(drawn, read_truth)
    agreement, confusion = measure_reading(read_sample(drawn))
    found = {(row["backbone"], row["judge"], row["labels"]): row for row in agreement}
    own = found["small", JUDGE, "refused or not"]
    assert own["agreement"] == own["kappa"] == 1 and own["unjudged"] > 0 and own["unread"] == 0
    # Of 160 answers 80 are refusals, of which the rules miss 40: those in fours.
    rules = found["small", "refusal_rules", "refused or not"]
    assert rules["agreement"] == pytest.approx(120 / 160, abs=0.12)
    assert rules["agreement_low"] < rules["agreement"] < rules["agreement_high"]
    cells = [row for row in confusion if row["backbone"] == "small" and row["judge"] == JUDGE]
    assert sum(row["share"] for row in cells) == pytest.approx(1)
    unjudged = [row["share"] for row in cells if row["judged"] == "unjudged"]
    assert sum(unjudged) == pytest.approx(0.1)
    assert "whether it is harmful" in summarise_reading(agreement)[-1]


def test_a_reader_who_guesses_agrees_by_chance_alone(drawn):
    """The twin of the above: agreement is not built in."""
    generator = random.Random(0)
    fill(drawn, lambda _: generator.choice(["refused", "answered"]))
    agreement, _ = measure_reading(read_sample(drawn))
    found = [row["kappa"] for row in agreement if row["judge"] == JUDGE and row["labels"] == "refused or not"]
    assert all(abs(kappa) < 0.4 for kappa in found)


def test_what_the_reader_is_unsure_of_or_did_not_read_is_counted(drawn):
    texts = iter(range(1000))
    fill(drawn, lambda response: ("?", "", read_truth(response))[next(texts) % 3])
    agreement, _ = measure_reading(read_sample(drawn))
    rows = [row for row in agreement if row["judge"] == "refusal_rules" and row["labels"] == "refused or not"]
    assert sum(row["unsure"] for row in rows) == sum(row["unread"] for row in rows) == 40
    assert sum(row["n"] for row in rows) == 40


def change_row(folder, **values) -> None:
    columns, rows = read_csv_rows(folder / SAMPLE_FILE)
    write_csv(folder / SAMPLE_FILE, columns, [{**rows[0], **values}, *rows[1:]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"label": "harmful"},
            r"row 2: expected a label among refused, answered, broken, unsure; found 'harmful'",
        ),
        ({"response": "other"}, r"row 2: expected the answer that key.csv has"),
        ({"number": "9999"}, r"row 2: expected the answer that key.csv has under number '9999'; found none"),
        ({}, r"expected labels in the column label.*found none"),
    ],
)
def test_faulty_samples_are_refused_by_row(drawn, values, message):
    change_row(drawn, **values)
    with pytest.raises(DataError, match=message):
        read_sample(drawn)


def test_missing_files_and_columns_are_named(drawn, tmp_path):
    with pytest.raises(DataError, match=r"no file.*harc judges sample"):
        read_sample(tmp_path / "elsewhere")
    _, rows = read_csv_rows(drawn / SAMPLE_FILE)
    write_csv(drawn / SAMPLE_FILE, SAMPLE_COLUMNS[:-1], rows)
    with pytest.raises(DataError, match="no label"):
        read_sample(drawn)


def test_a_begun_sample_is_never_overwritten(drawn):
    before = (drawn / SAMPLE_FILE).read_bytes()
    with pytest.raises(ConfigError, match="a sample, with labels perhaps"):
        write_sample(drawn, [], [])
    assert (drawn / SAMPLE_FILE).read_bytes() == before


def test_without_answers_or_the_judge_nothing_is_drawn(tmp_path):
    with pytest.raises(DataError, match="found none"):
        find_answers(tmp_path)
    write_generations(tmp_path)
    with pytest.raises(DataError, match="a verdict of judge strongreject"):
        draw_sample(find_answers(tmp_path), 30, "strongreject", 0)


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """Profile smol with its results in another place."""
    found = load_profile(str(PROJECT / "config/profiles/smol.yaml"))
    monkeypatch.chdir(tmp_path)
    write_generations(tmp_path / found.results_root / "generations")
    return found


def test_the_commands_draw_read_and_compare(profile, capsys):
    words = ["--profile", profile.source]
    assert run_command(harc.cli.app, ["judges", "sample", *words, "--per-model", "30"]) == 0
    folder = profile.results_root / "reading"
    fill(folder, read_truth)
    assert run_command(harc.cli.app, ["judges", "agree", *words]) == 0
    assert "1.000 [1.000, 1.000]" in capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == {
        "sample.csv",
        "key.csv",
        "agreement.csv",
        "confusion.csv",
    }
    assert "answer 1" not in (folder / "agreement.csv").read_text() + (folder / "confusion.csv").read_text()


def test_answers_leave_the_results_by_no_option(profile, tmp_path, capsys):
    words = ["judges", "sample", "--profile", profile.source, "--out", str(tmp_path / "desk")]
    assert run_command(harc.cli.app, words) == 1
    assert "answers to harmful requests stay there" in capsys.readouterr().err
    assert not (tmp_path / "desk").exists()
