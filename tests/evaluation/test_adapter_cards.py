"""`harc adapter card`: everything in it comes from the adapter's files and a run of it, and nothing in it acts."""

import json
import shutil
from pathlib import Path

import pytest
from fixtures.hostile_models import configure
from fixtures.tiny_adapters import save_adapter, save_base, write_run

import harc.cli
from harc.cli.running import run_command
from harc.core.errors import ConfigError, DataError
from harc.core.files import write_json, write_jsonl
from harc.evaluation.adapters.card import write_card
from harc.evaluation.adapters.licences import parse_front_matter
from harc.evaluation.adapters.text import escape_text
from harc.model.handle import hash_weights

EVIL = "<img src=x onerror=1>|[a](javascript:b)`c`\x1b[2J\u202e @owner $x$"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return save_adapter(tmp_path_factory.mktemp("sound") / "adapter", base_model_name_or_path=None)


@pytest.fixture
def adapter(sound: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(sound, tmp_path / "adapter"))
    configure("adapter_config.json", base_model_name_or_path="owner/base")(folder)
    (folder / "README.md").unlink()
    return folder


def test_a_card_says_what_files_and_run_say(adapter, base, tmp_path, capsys):
    write_jsonl(adapter / "training_log.jsonl", [{"step": 1, "ce": 3.5}, {"step": 9, "ce": 0.125}])
    run = write_run(tmp_path / "run", adapter)
    words = [
        "adapter",
        "card",
        str(adapter),
        "--run",
        str(run),
        "--base",
        str(base),
        "--data",
        "Rows of ours.",
    ]
    assert run_command(harc.cli.app, words) == 0
    card = (adapter / "README.md").read_text()
    assert parse_front_matter(card) == {
        "base_model": "owner/base", "license": "apache-2.0", "library_name": "peft", "pipeline_tag": "text-generation",
        "tags": ["lora", "safety", "harc-reproduction"],
    }  # fmt: skip
    for said in (
        "| abuse | \\(all\\) | harmful | missed\\_harm | one | 12/40 = 0.30 \\[0.18, 0.45\\] \\(\\!\\) |",
        "| two | 14/40", "| fraud |", "25.0%", "garbled fraud", "Rows of ours.", "| ce | 3.5 | 0.125 |",
        "Apache License 2.0", hash_weights(adapter), "| rank | 4 |", "max\\_new\\_tokens 8",
    ):  # fmt: skip
        assert said in card, said
    assert [line for line in card.splitlines() if line.startswith("## ")] == [
        f"## {name}" for name in ("Data", "Method", "Scores", "Limits", "Licence", "How it was made")
    ]
    assert "/home/me" not in card and str(tmp_path) not in card
    assert run_command(harc.cli.app, words) == 0, "its own card may be made again"
    assert run_command(harc.cli.app, ["adapter", "check", str(adapter), "--base", str(base)]) == 0
    assert "pass  model card" in capsys.readouterr().out


def test_what_is_unknown_is_said(adapter, tmp_path):
    (run := write_run(tmp_path / "run", adapter)).joinpath("scores.csv").unlink()
    card = write_card(adapter, run, tmp_path / "card.md").read_text()
    assert "what it learnt from" in card and "no training log" in card and "the run holds no scores" in card
    assert "| licence of the base | unknown |" in card and "license" not in parse_front_matter(card)


def test_texts_of_others_do_nothing(adapter, tmp_path):
    configure("adapter_config.json", base_model_name_or_path=EVIL)(adapter)
    card = write_card(
        adapter, write_run(tmp_path / "run", adapter, EVIL), tmp_path / "card.md", data=EVIL
    ).read_text()
    assert "<img" not in card and "](javascript" not in card and "\x1b" not in card and "\u202e" not in card
    assert "base_model" not in parse_front_matter(card)
    body = card.split("\n---\n", 1)[1]
    assert all(
        line.count("|") == 7
        for line in body.splitlines()
        if line.startswith("| abuse | ") and "harmful | m" in line
    )


@pytest.mark.parametrize("char", list("\\`*_{}[]()#+-!|<>~&$:@"))
def test_no_character_of_markup_stays_bare(char):
    assert escape_text(f"a{char}b") in (f"a\\{char}b", f"a&#{ord(char)};b")


def test_a_run_of_something_else_is_refused(adapter, tmp_path):
    run = write_run(tmp_path / "run", adapter)
    configure("adapter_config.json", lora_alpha=9)(adapter)
    with pytest.raises(ConfigError, match="expected a run of the adapter in .*with other bytes"):
        write_card(adapter, run)
    write_json(run / "run.json", {"adapter": None})
    with pytest.raises(ConfigError, match="found one without an adapter's folder"):
        write_card(adapter, run)
    with pytest.raises(DataError, match=r"run.json: expected a file; found none"):
        write_card(adapter, tmp_path / "nowhere")
    assert not (adapter / "README.md").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("0.3,", "many,"), "row 2: expected a number in every column of numbers; found 'many' in rate"),
        (("0.18,0.45", ","), "found None in ci_low"),
        (("suite,level", "sweet,level"), "expected rows with the columns"),
    ],
)
def test_scores_that_no_run_wrote_are_refused(adapter, tmp_path, change, message):
    run = write_run(tmp_path / "run", adapter)
    path = run / "scores.csv"
    path.write_text(path.read_text().replace(*change, 1))
    with pytest.raises(DataError, match=message):
        write_card(adapter, run)


def test_somebody_elses_card_stays(adapter, tmp_path):
    run = write_run(tmp_path / "run", adapter)
    (adapter / "README.md").write_text("# Mine\n")
    with pytest.raises(ConfigError, match="found another card; name another file with --out"):
        write_card(adapter, run)
    assert (adapter / "README.md").read_text() == "# Mine\n"
    (adapter / "README.md").write_text("# Model Card for Model ID\n")
    assert write_card(adapter, run) == adapter / "README.md"


def test_a_log_with_odd_numbers_is_left_out(adapter, tmp_path):
    (adapter / "training_log.jsonl").write_text(json.dumps({"step": 10**399, "ce": "x", "more": True}) + "\n")
    assert (
        "1 lines"
        in write_card(adapter, write_run(tmp_path / "run", adapter), tmp_path / "card.md").read_text()
    )
