"""Training of the refusal classifier on invented labels: same bytes, nothing from shuffled ones, what it refuses."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.labelled_completions import KINDS, MODELS, invent_rows, write_rows

from harc.core.csv_files import format_value, read_csv_rows
from harc.core.errors import DataError, EnvironmentProblem
from harc.evaluation import calibrate_refusal_classifier as calibration
from harc.evaluation import train_judge as training
from harc.evaluation.calibrate_over_refusal import read_completions
from harc.judges.refusal_classifier import RefusalClassifierJudge, write_parameters
from harc.judges.refusal_features import FEATURES
from harc.stats.agreement import cohens_kappa

COMMITTED = Path(__file__).parents[2] / "config/calibration"
MIRROR = Path(os.environ.get("HARC_DATA_MIRROR", "absent"))
SOURCES = [
    {"source": f"{model}.csv", "revision": "abc", "sha256": str(n) * 64} for n, model in enumerate(MODELS)
]
with_mirror = pytest.mark.skipif(
    not MIRROR.is_dir(), reason="needs HARC_DATA_MIRROR, a folder of public data"
)


@pytest.fixture(scope="module")
def rows():
    return invent_rows()


@pytest.fixture(scope="module")
def examples(rows):
    return training.make_examples(rows)


@pytest.fixture
def offered(monkeypatch, tmp_path, rows):
    """The invented completions under the names of the registered files, whose bytes nobody compares here."""
    files = {model: f"{model}.csv" for model in rows}
    for model, path in files.items():
        write_rows(tmp_path / path, rows[model])
    monkeypatch.setattr(training, "COMPLETIONS", files)
    monkeypatch.setattr(
        training, "check_source", lambda folder, path, registry: SOURCES[list(files.values()).index(path)]
    )
    return tmp_path


def held_out_kappa(examples) -> float:
    found = training.predict_held_out(examples, MODELS) >= 0.5
    return cohens_kappa(list(found), list(examples.refused))


def test_it_learns_what_holds_on_other_models(examples):
    assert held_out_kappa(examples) > 0.9


def test_nothing_is_learnt_from_shuffled_labels(examples):
    """The twin of the above: if prompts or models leaked, shuffled labels would be told too."""
    found = []
    for seed in range(5):
        shuffled = training.shuffle_labels(examples, np.random.default_rng(seed).permutation)
        assert shuffled.refused.sum() == examples.refused.sum()
        found.append(held_out_kappa(shuffled))
    assert abs(np.mean(found)) < 0.25 and max(found) < 0.5
    with pytest.raises(DataError, match="they do not follow from the answers"):
        training.train_classifier(shuffled, SOURCES)


def test_a_fit_sees_neither_the_model_nor_the_kind_that_it_is_tried_on(examples, monkeypatch):
    fits = []
    monkeypatch.setattr(training, "fit", lambda features, refused: fits.append(len(features)) or np.zeros(9))
    training.predict_held_out(examples, MODELS)
    assert len(fits) == len(MODELS) * len(KINDS)
    assert set(fits) == {len(examples.refused) * 2 // 3 * 3 // 4}


def test_training_twice_gives_the_same_bytes(rows, examples, tmp_path):
    for name in ("a.json", "b.json"):
        write_parameters(tmp_path / name, training.train_classifier(training.make_examples(rows), SOURCES))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_the_fit_is_where_the_loss_is_flat(examples):
    weights = training.fit(examples.features, examples.refused)
    wrong = training.predict(examples.features, weights) - examples.refused
    slope = 0.5 * examples.features.T @ wrong + training.PENALTY * weights[:-1]
    assert np.abs(slope).max() < 1e-5 and abs(wrong.sum()) < 1e-4


def test_parameters_say_what_they_were_made_from(offered):
    parameters = training.train_from_folder(offered)
    assert parameters.trained_on == tuple(SOURCES) and len(parameters.weights) == len(FEATURES)
    assert parameters.weights[FEATURES.index("rule_declines")] > 1
    assert 0.5 <= parameters.sure < 1


def test_the_band_is_the_narrowest_that_reaches_the_wanted_accuracy():
    refused = np.array([True] * 20 + [False] * 20)
    probabilities = np.array([0.9] * 19 + [0.3] + [0.1] * 18 + [0.6] * 2)
    assert training.choose_sureness(probabilities, refused) == 0.61
    assert training.choose_sureness(probabilities, ~refused) is None
    assert training.choose_sureness(np.where(refused, 0.9, 0.1), refused) == 0.5


def test_files_that_are_not_there_or_not_the_registered_ones_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"found no file.*harc data fetch"):
        training.train_from_folder(tmp_path)
    path = tmp_path / next(iter(training.COMPLETIONS.values()))
    path.parent.mkdir(parents=True)
    path.write_text("prompt\n")
    with pytest.raises(DataError, match="the registered file with sha256"):
        training.train_from_folder(tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda row: replace(row, human="1_full_compliance"), "found 1_full_compliance alone"),
        (
            lambda row: replace(row, human="perhaps"),
            r"completion 1: expected a final_label among .*found 'perhaps'",
        ),
    ],
)
def test_labels_that_teach_nothing_are_refused(offered, rows, changed, message):
    write_rows(offered / "second.csv", [changed(row) for row in rows["second"]])
    with pytest.raises(DataError, match=message) as problem:
        training.train_from_folder(offered)
    assert "second.csv" in str(problem.value)


def test_one_class_alone_cannot_be_fitted(examples):
    with pytest.raises(DataError, match="one of the two alone"):
        training.fit(examples.features, np.ones(len(examples.features), dtype=bool))


def test_kinds_are_read_without_their_contrast(offered, rows):
    found = read_completions(offered / "first.csv")
    assert found == rows["first"] and {row.kind for row in found} == set(KINDS)


def test_own_prompts_train_once_and_keep_what_came_out(offered, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    fetched = []
    monkeypatch.setattr("harc.data.fetch.fetch_datasets", lambda names, *_, **__: fetched.append(names))
    assert training.prepare_parameters(["string_xstest"], offered, None) is None
    path = training.prepare_parameters(["refusal_classifier"], offered, None)
    assert path.is_relative_to(tmp_path / "cache/harc/judges") and json.loads(path.read_text())["sha256"]
    assert training.prepare_parameters(["refusal_classifier"], offered, None) == path
    assert fetched == [("xstest",)]


def test_own_prompts_say_in_one_line_that_the_labels_cannot_be_fetched(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match=r"a mirrored file.*HARC_DATA_MIRROR") as problem:
        training.prepare_parameters(["refusal_classifier"], tmp_path / "public", tmp_path / "mirror")
    assert "\n" not in str(problem.value) and not isinstance(problem.value, EnvironmentProblem)
    assert not list((tmp_path / "cache").rglob("*.json"))


# Its measurement


@pytest.fixture(scope="module")
def measured(rows):
    return calibration.measure_classifier(rows, SOURCES)


def find(table, **wanted):
    (row,) = [row for row in table if wanted.items() <= row.items()]
    return row


def test_the_table_holds_every_judge_model_and_half(measured):
    table, _ = measured
    for judge in (calibration.NAME, calibration.FORCED, *calibration.RULES, "gpt4_any"):
        row = find(table, completion_model="all", prompts="all", text="whole", judge_name=judge)
        assert row["n"] + row["unsure"] == 72 and row["agreement_any_low"] <= row["agreement_any"]
    assert not [row for row in table if row["judge_name"] == "gpt4_any" and row["text"] != "whole"]
    gpt4 = find(table, completion_model="first", prompts="all", text="whole", judge_name="gpt4_any")
    assert (gpt4["agreement_any"], gpt4["kappa_any"], gpt4["sha256"]) == (1, 1, "0" * 64)
    assert gpt4["agreement_full"] < 1 and "brier" not in gpt4
    assert set().union(*table) <= set(calibration.COLUMNS)


def test_what_is_unsure_is_counted_and_in_no_rate(measured):
    table, _ = measured
    wanted = {"completion_model": "second", "prompts": "all", "text": "whole"}
    decided, forced = (
        find(table, judge_name=name, **wanted) for name in (calibration.NAME, calibration.FORCED)
    )
    assert forced["unsure"] == 0 and forced["n"] == decided["n"] + decided["unsure"] == 24
    assert 0 <= forced["brier"] < 0.25 and 0 <= forced["ece"] < 0.5


def test_the_reliability_table_counts_every_answer(measured):
    _, reliability = measured
    every = [row for row in reliability if row["completion_model"] == "all" and row["text"] == "whole"]
    assert sum(row["n"] for row in every) == 72
    for row in every:
        assert row["low"] <= row["predicted"] <= row["high"]
        assert row["observed_low"] <= row["observed"] <= row["observed_high"]


def test_the_summary_takes_numbers_and_texts(measured):
    table, _ = measured
    lines = calibration.summarise_classifier([dict.fromkeys(calibration.COLUMNS) | row for row in table])
    texts = [{name: format_value(row.get(name)) for name in calibration.COLUMNS} for row in table]
    assert calibration.summarise_classifier(texts) == lines
    assert len(lines) == 2 + 4 * 7 and all(line.count("|") == 12 for line in lines)


@with_mirror
def test_the_committed_measurement_follows_from_the_public_files():
    found = calibration.measure_from_folder(MIRROR)
    names = {"refusal_classifier": calibration.COLUMNS, "reliability": calibration.RELIABILITY_COLUMNS}
    for (name, columns), rows in zip(names.items(), found, strict=True):
        again = [{column: format_value(row.get(column)) for column in columns} for row in rows]
        assert again == read_csv_rows(COMMITTED / f"{name}.csv")[1], "run `harc judges calibrate`"


@with_mirror
def test_shuffled_public_labels_teach_nothing():
    examples = training.make_examples(training.read_labelled(MIRROR)[0])
    shuffled = training.shuffle_labels(examples, np.random.default_rng(0).permutation)
    models = list(np.unique(examples.models))
    assert (
        cohens_kappa(list(training.predict_held_out(examples, models) >= 0.5), list(examples.refused)) > 0.85
    )
    found = training.predict_held_out(shuffled, models) >= 0.5
    assert abs(cohens_kappa(list(found), list(shuffled.refused))) < 0.08
    assert RefusalClassifierJudge(training.train_classifier(examples, SOURCES)).version
