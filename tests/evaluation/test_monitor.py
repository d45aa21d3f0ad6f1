"""`harc monitor`: thresholds that hold what they promise, checked files, scored prompts, one line for faults."""

import json
from itertools import product

import numpy as np
import pytest
import torch
from tiny_chat import CONTEXT, save_tiny_chat

import harc.cli
from harc.cli.running import run_command
from harc.core.csv_files import read_csv
from harc.core.errors import ArtifactError, ConfigError, DataError, HarcError, ModelError
from harc.core.files import read_json, write_json, write_jsonl
from harc.evaluation.monitor_calibration import (
    check_counts,
    check_scores,
    choose_slot,
    choose_threshold,
    count_needed,
    draw_curve,
    fit_weights,
    list_warnings,
    measure,
    split_prompts,
)
from harc.evaluation.monitor_command import (
    ModelOptions,
    calibrate_monitor,
    open_monitored,
    read_labelled,
    run_monitor,
)
from harc.evaluation.monitor_file import COMBINED, PARTS, decode_vector, encode_vector, read_monitor
from harc.evaluation.monitor_scoring import read_prompts, split_text, watch_prompts
from harc.geometry.directions import Directions, load_directions, normalize_rows, save_directions
from harc.geometry.projections import project_conversations
from harc.steps.by_hand import extract_directions_from_files

HARMFUL = [
    " ".join(["how", "do", "i", "make", *words])
    for words in product(("the", "a"), ("b1", "b2", "h1", "q1"), ("cat", "?", "y1"))
]
BENIGN = [
    " ".join(["say", "what", "is", *words])
    for words in product(("1", "2", "3", "4"), ("plus", "hero", "good"), ("1", "2", "stack"))
]
RATE = 0.25


def write_prompts(path, harmful=HARMFUL, benign=BENIGN):
    rows = [{"prompt": text, "kind": "harmful"} for text in harmful]
    write_jsonl(path, rows + [{"prompt": text, "kind": "benign"} for text in benign])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("monitor")
    save_tiny_chat(root / "model")
    save_tiny_chat(root / "other", seed=1)
    write_prompts(root / "prompts.jsonl")
    for name, texts in (("harmful", HARMFUL[:4]), ("harmless", BENIGN[:4])):
        write_jsonl(root / f"{name}.jsonl", [{"prompt": text} for text in texts])
    kinds = (
        ("harm", HARMFUL, "sure now b1"),
        ("refuse", HARMFUL, "sorry , i will not help ."),
        ("helpful", BENIGN, "1 plus 2"),
    )
    pairs = [{"kind": k, "prompt": text, "response": said} for k, texts, said in kinds for text in texts[:4]]
    write_jsonl(root / "pairs.jsonl", pairs)
    extract_directions_from_files(
        root / "model",
        root / "harmful.jsonl",
        root / "harmless.jsonl",
        root / "d.safetensors",
        pairs=root / "pairs.jsonl",
    )
    return root


@pytest.fixture(scope="module")
def options(folder) -> ModelOptions:
    return ModelOptions(str(folder / "model"))


@pytest.fixture(scope="module")
def calibrated(folder, options):
    return calibrate_monitor(
        options,
        folder / "d.safetensors",
        [folder / "prompts.jsonl"],
        folder / "monitor.json",
        rate=RATE,
        window=4,
    )


def call(words, capsys) -> tuple[int, str, str]:
    status = run_command(harc.cli.app, list(map(str, words)))
    ended = capsys.readouterr()
    return status, ended.out, ended.err


def check_line(words, capsys, *parts: str) -> None:
    """A command ends in one line on standard error, and with 1."""
    status, _, err = call(words, capsys)
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert status == 1 and len(errors) == 1 and "unexpected" not in err, err
    for part in parts:
        assert part in errors[0]


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_a_threshold_flags_no_more_than_asked_on_average(rate):
    rng = np.random.default_rng(0)
    share = []
    for _ in range(400):
        threshold = choose_threshold(rng.normal(size=int(1 / rate)), rate)
        share.append((rng.normal(size=200) > threshold).mean())
    assert np.mean(share) <= rate * 1.1


def test_the_largest_score_below_would_flag_too_many():
    """The twin: the empirical quantile, without the one for the next prompt, does not hold it."""
    rng = np.random.default_rng(0)
    share = [(rng.normal(size=200) > np.quantile(rng.normal(size=20), 0.95)).mean() for _ in range(400)]
    assert np.mean(share) > 0.05 * 1.1


def test_too_few_prompts_are_refused():
    assert count_needed(0.01) == 200 and count_needed(0.05) == 40 and count_needed(1 / 3) == 6
    few = np.array([True] * 30 + [False] * 199)
    with pytest.raises(
        DataError, match=r"at least 200 different benign prompts .* 100 of them .* 0.03: rule of three"
    ):
        check_counts(few, 0.01, "prompts.csv")
    check_counts(np.array([True] * 30 + [False] * 200), 0.01, "prompts.csv")
    with pytest.raises(DataError, match="at least 20 different harmful prompts; found 19"):
        check_counts(np.array([True] * 19 + [False] * 200), 0.01, "prompts.csv")
    with pytest.raises(DataError, match="enough for a false positive rate"):
        choose_threshold(np.arange(98.0), 0.01)


def test_parts_hold_their_shares_and_depend_on_texts_alone():
    texts = [f"prompt {number}" for number in range(230)]
    harmful = np.arange(230) < 30
    parts = split_prompts(texts, harmful, 0)
    assert sum(held.astype(int) for held in parts.values()).tolist() == [1] * 230
    assert [(held & ~harmful).sum() for held in parts.values()] == [40, 100, 60]
    assert [(held & harmful).sum() for held in parts.values()] == [6, 15, 9]
    again = split_prompts(texts[::-1], harmful[::-1], 0)
    assert all((parts[name] == again[name][::-1]).all() for name in PARTS)
    assert any((parts[name] != split_prompts(texts, harmful, 1)[name]).any() for name in PARTS)


def test_slots_and_weights_follow_what_tells():
    rng = np.random.default_rng(0)
    harmful = np.arange(200) < 100
    scores = rng.normal(size=(200, 4))
    scores[:, 2] += 3 * harmful
    assert choose_slot(scores, harmful, [0, 1, 2, 3]) == 2 and choose_slot(scores, harmful, [0, 1]) in (0, 1)
    axes = {"prompt_harm": scores[:, 2], "prompt_ref": scores[:, 0]}
    weights = fit_weights(axes, harmful)
    assert weights.weight["prompt_harm"] > 5 * abs(weights.weight["prompt_ref"])
    known = weights.combine(axes)
    axes["prompt_ref"] = np.full(200, np.nan)
    assert np.isfinite(weights.combine(axes)).all() and np.corrcoef(known, weights.combine(axes))[0, 1] > 0.9


def test_a_model_that_says_nothing_is_refused():
    harmful = np.arange(40) < 20
    parts = split_prompts([str(number) for number in range(40)], harmful, 0)
    scores = {"prompt_harm": np.zeros(40), "response_harm": np.where(harmful, 1.0, np.nan)}
    with pytest.raises(DataError, match="response_harm, part fit: expected at least two benign .* found 0"):
        check_scores(scores, harmful, parts)
    check_scores({"prompt_harm": scores["prompt_harm"]}, harmful, parts)


def test_a_curve_ends_in_its_corners_and_has_its_area():
    rng = np.random.default_rng(1)
    harmful = np.arange(120) < 50
    scores = np.round(rng.normal(size=120) + harmful, 1)
    curve = draw_curve(scores, harmful)
    x, y = np.array(curve.false_positive_rate), np.array(curve.true_positive_rate)
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1) and len(x) < 100
    one = measure(scores, harmful, 1.0)
    np.testing.assert_allclose(np.trapezoid(y, x), one.area[0], atol=1e-9)
    assert one.true_positive_rate[0] == (scores[harmful] > 1.0).mean() and (one.benign, one.harmful) == (
        70,
        50,
    )


def test_axes_that_tell_nothing_are_said():
    rng = np.random.default_rng(1)
    harmful = np.arange(100) < 40
    useless = measure(rng.normal(size=100), harmful, -9.0)
    useful = measure(rng.normal(size=100) + 9 * harmful, harmful, 4.5)
    found = list_warnings({"held_out": {"prompt_harm": useless, COMBINED: useful}}, 0.01)
    assert len(found) == 3
    assert (
        "does not tell" in found[0]
        and "flags 1.000 of held-out" in found[1]
        and "0.05 (rule of three)" in found[2]
    )


def test_the_written_monitor_is_the_one_that_was_made(folder, calibrated):
    monitor, _ = calibrated
    assert read_monitor(folder / "monitor.json") == monitor
    assert set(monitor.axes) == {"prompt_harm", "prompt_ref", "response_harm", "response_ref"}
    directions, again = load_directions(folder / "d.safetensors"), monitor.make_directions()
    for name, axis in monitor.axes.items():
        family = {
            "prompt_harm": "v_harm",
            "prompt_ref": "v_ref",
            "response_harm": "v_harm_resp",
            "response_ref": "v_ref_resp",
        }[name]
        assert torch.equal(directions.families[family][axis.slot], again.families[family][axis.slot])
    counts = {part: (one[COMBINED].benign, one[COMBINED].harmful) for part, one in monitor.measured.items()}
    assert counts == {"threshold": (18, 12), "held_out": (11, 7)}
    assert monitor.measured["threshold"][COMBINED].false_positive_rate[0] <= RATE


def test_vectors_survive_to_the_last_bit():
    vector = np.random.default_rng(0).normal(size=7).astype(np.float32)
    assert (decode_vector(encode_vector(vector)) == vector).all()


def test_scores_are_those_of_the_plane(folder, options, calibrated):
    monitor, _ = calibrated
    loaded, backbone = open_monitored(options, folder / "monitor.json")
    prompts = [HARMFUL[7], BENIGN[11], BENIGN[30]]
    readings = read_prompts(loaded, backbone, prompts, batch_size=2)
    plane = project_conversations(backbone, prompts, None, load_directions(folder / "d.safetensors"))
    for row, reading in enumerate(readings):
        assert reading.scores["prompt_harm"] == pytest.approx(
            plane["inst_harm"][row, monitor.axes["prompt_harm"].slot], abs=1e-5
        )
        assert reading.scores["prompt_ref"] == pytest.approx(
            plane["post_ref"][row, monitor.axes["prompt_ref"].slot], abs=1e-5
        )
        text = "".join(reading.pieces[: reading.prompt_tokens])
        assert prompts[row] in text and text.endswith("<sep>")
        assert reading.tokens["response_harm"].mean() == pytest.approx(
            reading.scores["response_harm"], nan_ok=True
        )
        assert reading.flags[COMBINED] == (reading.scores[COMBINED] > monitor.combined_threshold)


def test_what_is_answered_is_what_the_model_answers_alone(folder, options):
    from harc.model.generation import answer_prompts

    backbone = options.open()[0]
    ids = backbone.chat.encode_prompts(BENIGN[:5] + HARMFUL[:3])
    watched = dict(
        watch_prompts(
            backbone, load_directions(folder / "d.safetensors"), ids, max_new_tokens=6, batch_size=3
        )
    )
    alone = answer_prompts(backbone, ids, max_new_tokens=6, batch_size=1)
    for place, completion in enumerate(alone):
        trace = watched[place]
        text = backbone.tokenizer.decode(list(trace.ids[trace.prompt_tokens :]), skip_special_tokens=True)
        assert text == completion.text


def test_run_writes_scores_and_rates(folder, options, calibrated, tmp_path):
    monitor, found = run_monitor(options, folder / "monitor.json", [folder / "prompts.jsonl"], tmp_path)
    rows = read_csv(tmp_path / "scores.csv")
    assert len(rows) == 60 and rows[0]["kind"] == "harmful" and "prompt" not in rows[0]
    flagged = [row["combined_flagged"] for row in rows if row["kind"] == "harmful"]
    assert found.measured["run"][COMBINED].true_positive_rate[0] == pytest.approx(np.mean(flagged))
    assert all(
        (row["combined"] > monitor.combined_threshold) == bool(row["combined_flagged"]) for row in rows
    )


def test_the_commands_write_what_they_say(folder, options, calibrated, tmp_path, capsys):
    words = ["--model", options.model, "--monitor", folder / "monitor.json"]
    prompts = ["--prompts", folder / "prompts.jsonl", "--out", tmp_path / "run"]
    status, out, _ = call(["monitor", "run", *words, *prompts], capsys)
    assert status == 0 and "of 60 prompts flagged by the combined score" in out
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["roc.pdf", "roc.png", "scores.csv"]
    status, out, _ = call(["monitor", "show", *words, "--html", tmp_path / "page.html", BENIGN[0]], capsys)
    assert status == 0 and "harmfulness of the prompt" in out and f"wrote {tmp_path / 'page.html'}" in out
    assert "token by token" in (tmp_path / "page.html").read_text()


def test_prompts_alone_and_one_slot(folder, options, tmp_path, capsys):
    words = ["monitor", "calibrate", "--model", options.model, "--directions", folder / "d.safetensors"]
    words += [
        "--prompts",
        folder / "prompts.jsonl",
        "--out",
        tmp_path / "m.json",
        "--false-positive-rate",
        RATE,
    ]
    status, out, _ = call([*words, "--max-new-tokens", 0, "--slot", 1], capsys)
    assert status == 0 and "held-out prompts" in out
    monitor = read_monitor(tmp_path / "m.json")
    assert {name: axis.slot for name, axis in monitor.axes.items()} == {"prompt_harm": 1, "prompt_ref": 1}
    status, out, _ = call(
        ["monitor", "show", "--model", options.model, "--monitor", tmp_path / "m.json", BENIGN[0]], capsys
    )
    assert status == 0 and "response, 0 tokens" in out
    check_line([*words, "--slot", 9], capsys, "--slot", "found 9")


def test_pieces_make_the_whole_text():
    from tiny_models import load_tokenizer

    tokenizer = load_tokenizer()
    text = "Say “naïve” 日本語 \U0001f600\n\tand stop"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    pieces = split_text(tokenizer, ids)
    assert len(pieces) == len(ids) and "".join(pieces) == text
    assert split_text(tokenizer, []) == ()


def test_labels_are_read_strictly(tmp_path):
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [{"prompt": "x", "kind": "benign"}, {"prompt": "y"}])
    with pytest.raises(DataError, match=r"a.jsonl:2: column kind: expected harmful or benign; found neither"):
        read_labelled([path])
    write_jsonl(path, [{"prompt": "x", "kind": "benign"}, {"prompt": "x", "kind": "benign"}])
    rows, remarks = read_labelled([path])
    assert len(rows) == 1 and remarks == ["1 rows repeat the prompt of another, and are left out"]
    other = tmp_path / "b.jsonl"
    write_jsonl(other, [{"prompt": "x", "kind": "harmful"}])
    with pytest.raises(DataError, match="a prompt of one kind; found one that is benign"):
        read_labelled([path, other])


def test_faults_are_one_line(folder, options, calibrated, tmp_path, capsys):
    base = ["monitor", "calibrate", "--model", options.model, "--out", tmp_path / "m.json"]
    good = ["--directions", folder / "d.safetensors", "--prompts", folder / "prompts.jsonl"]
    check_line([*base, *good], capsys, "at least 200 different benign prompts", "rule of three")
    (tmp_path / "empty.jsonl").write_text("")
    check_line(
        [*base, *good[:2], "--prompts", tmp_path / "empty.jsonl"], capsys, "at least one row; found none"
    )
    rows = normalize_rows(torch.randn(3, 16))
    save_directions(Directions(v_harm=rows, v_ref=rows.clone()), tmp_path / "narrow.safetensors")
    rate = ["--false-positive-rate", RATE]
    check_line(
        [*base, "--directions", tmp_path / "narrow.safetensors", *good[2:], *rate],
        capsys,
        "3 slots of width 24",
        "width 16",
    )
    save_directions(Directions(v_harm=2 * rows, v_ref=rows), tmp_path / "long.safetensors")
    check_line(
        [*base, "--directions", tmp_path / "long.safetensors", *good[2:], *rate],
        capsys,
        "a unit vector, or zeros",
    )
    assert not (tmp_path / "m.json").exists()
    show = ["monitor", "show", "--monitor", folder / "monitor.json", "--model"]
    check_line(
        [*show, folder / "other", "say what"],
        capsys,
        "the model that it was calibrated on",
        "differs in weights",
    )
    check_line([*show, options.model, " "], capsys, "expected a text")
    check_line(
        [*show, options.model, "what " * CONTEXT], capsys, "prompt: expected 1 to", f"context {CONTEXT}"
    )
    check_line([*show, options.model, "what", "--max-new-tokens", 2], capsys, "at least the 4 tokens")
    write_prompts(tmp_path / "long.jsonl", ["what " * CONTEXT])
    run = [
        "monitor",
        "run",
        "--monitor",
        folder / "monitor.json",
        "--model",
        options.model,
        "--out",
        tmp_path / "run",
    ]
    check_line(
        [*run, "--prompts", tmp_path / "long.jsonl"],
        capsys,
        "long.jsonl:1: column prompt",
        f"context {CONTEXT}",
    )
    assert not (tmp_path / "run").exists()


def test_another_template_is_another_model(folder, calibrated, tmp_path):
    save_tiny_chat(tmp_path / "model")
    template = tmp_path / "model/chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "user"))
    with pytest.raises(ModelError, match="differs in chat template"):
        open_monitored(ModelOptions(str(tmp_path / "model")), folder / "monitor.json")


def test_states_that_are_not_finite_are_one_line(folder, options):
    backbone = options.open()[0]
    with torch.no_grad():
        backbone.blocks[0].mlp.down_proj.weight[0, 0] = float("nan")
    with pytest.raises(ModelError, match="expected finite activations"):
        list(
            watch_prompts(
                backbone,
                load_directions(folder / "d.safetensors"),
                [[5, 6, 7]],
                max_new_tokens=0,
                batch_size=1,
            )
        )


def damage(values, *keys, to=None, drop=False):
    held = values
    for key in keys[:-1]:
        held = held[key]
    if drop:
        del held[keys[-1]]
    else:
        held[keys[-1]] = to
    return values


@pytest.mark.parametrize(
    ("keys", "change", "kind", "said"),
    [
        (("format",), {"to": 2}, ConfigError, "format"),
        (("thresholds",), {"to": 2}, ConfigError, "an unknown key"),
        (("axes", "prompt_harm", "slot"), {"to": 7}, ArtifactError, "at a slot up to 2"),
        (("axes", "prompt_harm", "direction"), {"to": "%%"}, ArtifactError, "a vector in base64"),
        (
            ("axes", "prompt_harm", "direction"),
            {"to": encode_vector(np.ones(24))},
            ArtifactError,
            "length 4.9",
        ),
        (
            ("axes", "prompt_harm", "direction"),
            {"to": encode_vector(np.ones(1))},
            ArtifactError,
            "found 1 numbers",
        ),
        (("axes", "prompt_harm", "threshold"), {"drop": True}, ConfigError, "expected a value"),
        (("measured", "held_out", "combined"), {"drop": True}, ArtifactError, "held_out"),
    ],
)
def test_a_damaged_monitor_is_refused(folder, calibrated, tmp_path, keys, change, kind, said):
    write_json(tmp_path / "m.json", damage(read_json(folder / "monitor.json"), *keys, **change))
    with pytest.raises(kind, match=said):
        read_monitor(tmp_path / "m.json")


@pytest.mark.parametrize("text", ["[]", "{}", "no", '{"format": NaN}'])
def test_what_is_no_monitor_is_refused(tmp_path, text):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(HarcError):
        read_monitor(tmp_path / "m.json")


def test_equal_calibrations_give_equal_bytes(folder, options, calibrated, tmp_path):
    files = folder / "d.safetensors", [folder / "prompts.jsonl"], tmp_path / "m.json"
    calibrate_monitor(options, *files, rate=RATE, window=4)
    assert (tmp_path / "m.json").read_bytes() == (folder / "monitor.json").read_bytes()
    assert json.loads((tmp_path / "m.json").read_text())["target"] == RATE
