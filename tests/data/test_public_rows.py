"""Rows from public files: right counts, no evaluation prompt in an earlier split, no harmful completion."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest

from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl, write_jsonl
from harc.core.placeholder import PLACEHOLDER
from harc.data.drawing import STRICT, Drawer
from harc.data.public import (
    REFUSALS,
    SUBSET_SUITES,
    build_public_rows,
    choose_refusal,
    write_rows,
)
from harc.data.public_sources import Prompt, read_public_prompts
from harc.evaluation.outcomes import name_template
from harc.judges.base import Answer
from harc.judges.string_rules import StringRulesJudge
from harc.settings.data import PublicRowSettings
from harc.settings.suites import TOP_TECHNIQUES, AttackForms, CodeAttackSettings
from harc.steps.data import ORGANISM_ONLY, ROW_FILES
from harc.suites import codeattack, deepinception, persona
from harc.suites.codeattack import ENCODERS, split_words
from harc.suites.registry import SUITES as DECLARED
from harc.suites.rows import read_rows, wrap_goal

SETTINGS = PublicRowSettings(
    extraction_rows=4, pair_rows=4, development_rows=3, evaluation_rows=5, over_refusal_rows=5, benign_rows=4
)
LIMITS = ("evaluation_rows", "over_refusal_rows")
SUITES = (
    "direct", "pair", "pap", "deepinception", "codeattack", "persona", "prefill", "scary_safe", "refusable_benign",
    "benign", "wrapped_benign", "decoding",
)  # fmt: skip
NUMBERS = [f"{tens}{unit}" for tens in ("bo", "ca", "du") for unit in ("ra", "le", "mi", "no", "pu")]


SAFETY = "Requests with safety concerns"


def name_items(kind: str, count: int = 15) -> list[str]:
    """Invented prompts that share few words."""
    return [
        f"Please {kind} the {number} {kind}{index} of {number}{kind}"
        for index, number in enumerate(NUMBERS[:count])
    ]


def write_csv(path: Path, columns: tuple[str, ...], rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        csv.writer(handle).writerows([columns, *rows])


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A folder laid out as the registry's paths, with invented prompts."""
    folder = tmp_path / "public"
    write_csv(
        folder / "advbench/harmful_behaviors.csv", ("goal", "target"), [(t, "") for t in name_items("blarn")]
    )
    for part, kind in (("test", "glorp"), ("val", "frund")):
        rows = [(text, "standard", "none", "", "", text) for text in name_items(kind)]
        rows += [(f"copy the {kind} song", "copyright", "none", "", "", "x")]
        columns = (
            "Behavior",
            "FunctionalCategory",
            "SemanticCategory",
            "Tags",
            "ContextString",
            "BehaviorID",
        )
        write_csv(folder / f"harmbench/harmbench_behaviors_text_{part}.csv", columns, rows)
    write_csv(
        folder / "jailbreakbench/harmful_behaviors.csv",
        ("", "Goal", "Target", "Behavior", "Category", "Source"),
        [(index, text, "", "", "kind", "") for index, text in enumerate(name_items("vosk", 5))],
    )
    xstest = [(text, "homonyms", "safe") for text in name_items("quib")]
    xstest += [(text, "contrast_homonyms", "unsafe") for text in name_items("drax", 3)]
    rows = [(str(number), *row) for number, row in enumerate(xstest, start=1)]
    write_csv(folder / "xstest/xstest_prompts.csv", ("id", "prompt", "type", "label"), rows)
    # Of the 15 safe prompts all but the first two were complied with, and the last of the three contrasts.
    labels = [
        (f"v2-{row[0]}", "1_full_compliance" if 2 < int(row[0]) < 16 or row[0] == "18" else "2_full_refusal")
        for row in rows
    ]
    write_csv(folder / "xstest/xstest_v2_completions_gpt4_gpteval.csv", ("id", "final_label"), labels)
    contrast = [
        {"prompt": text, "subcategory": f"kind {index % 3}", "category": SAFETY if index % 3 else "Other"}
        for index, text in enumerate(name_items("wimp"))
    ]
    write_jsonl(folder / "coconot/coconot_contrast_eval.jsonl", contrast)
    answered = [
        {"prompt": text, "category": category, "subcategory": sub, "chosen": f"An answer about {text}."}
        for category, sub, kind in (
            (SAFETY, "dangerous or sensitive topics", "sorn"),
            (SAFETY, "privacy violations", "tebb"),
            ("Incomplete requests", "underspecified", "luth"),
        )
        for text in name_items(kind)
    ]
    write_jsonl(folder / "coconot/coconot_pref.jsonl", answered)
    names = [*TOP_TECHNIQUES, *(f"Technique {number}" for number in range(35))]
    taxonomy = [
        {"ss_technique": n, "ss_definition": f"what {n} is", "ss_example": "stop smoking"} for n in names
    ]
    write_jsonl(folder / "pap/persuasion_taxonomy.jsonl", taxonomy)
    (folder / "alpaca").mkdir()
    alpaca = [{"instruction": text, "category": None} for text in name_items("merl")]
    (folder / "alpaca/alpaca_instructions.json").write_text(json.dumps(alpaca))
    return folder


def list_prompts(folder: Path, *splits: str) -> set[str]:
    return {row["prompt"] for split in splits for row in read_jsonl(folder / f"{split}.jsonl")}


def test_every_row_file_and_suite_is_there(public: Path, tmp_path: Path):
    build_public_rows(public, tmp_path / "rows", SETTINGS)
    assert {path.name for path in (tmp_path / "rows").iterdir()} == set(ROW_FILES) - set(ORGANISM_ONLY)
    suites = {"evaluation": (*SUITES, "unsafe_contrasts"), "development": SUITES}
    for split, counts in (
        ("evaluation", (5, 5, 25, 5, 5, 5, 5, 5, 5, 4, 4, 4, 3)),
        ("development", (3, 3, 15, *(3,) * 9)),
    ):
        rows = read_rows(tmp_path / f"rows/{split}.jsonl", suites[split])
        assert tuple(len(members) for members in rows.values()) == counts
    manifest = read_json(tmp_path / "rows/manifest.json")
    assert manifest["rows"]["extraction"] == {"harmful": 4, "harmless": 4}
    assert manifest["rows"]["extraction_pairs"] == {"harm": 4, "helpful": 4, "refuse": 4}
    assert manifest["rows"]["training"] == {"harmful": 11, "harmless": 11, "pseudo_harmful": 24}


def test_goals_and_over_refusal_rows_have_limits_of_their_own(public: Path, tmp_path: Path):
    limits = {"evaluation_rows": 2, "over_refusal_rows": None}
    build_public_rows(public, tmp_path / "rows", SETTINGS.model_copy(update=limits))
    counts = read_json(tmp_path / "rows/manifest.json")["rows"]["evaluation"]
    assert {counts[suite] for suite in ("direct", "persona", "prefill")} == {2}
    assert (counts["scary_safe"], counts["refusable_benign"], counts["unsafe_contrasts"]) == (15, 15, 3)


def test_single_attacks_may_have_fewer_goals_the_first_of_the_others(public: Path, tmp_path: Path):
    settings = SETTINGS.model_copy(update={"attack_goals": {"pap": 2, "persona": 9}})
    build_public_rows(public, tmp_path / "rows", settings)
    for split, goals in (("evaluation", 5), ("development", 3)):
        rows = read_rows(tmp_path / f"rows/{split}.jsonl", ("direct", "pap", "persona"))
        asked = {suite: list(dict.fromkeys(row["goal"] for row in rows[suite])) for suite in rows}
        assert len(asked["direct"]) == goals
        assert asked["pap"] == asked["direct"][:2] and asked["persona"] == asked["direct"]
    with pytest.raises(
        ValueError, match="unknown attack 'pop'; known: pair, pap, deepinception, codeattack, persona"
    ):
        PublicRowSettings(attack_goals={"pop": 1})
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        PublicRowSettings(attack_goals={"pap": 0})


def test_prompts_that_no_dataset_answers_are_a_share_of_the_harmless_rows(public: Path, tmp_path: Path):
    changes = {"unanswered": 0.75, "training_rows": 4, "benign_rows": 2, "development_rows": 1}
    settings = SETTINGS.model_copy(update={**changes, "extraction_rows": 2})
    build_public_rows(public, tmp_path / "rows", settings)
    for split, field, group in (
        ("training", "category", "harmless"),
        ("extraction_pairs", "kind", "helpful"),
    ):
        rows = [row for row in read_jsonl(tmp_path / f"rows/{split}.jsonl") if row[field] == group]
        assert [row["source"] for row in rows] == ["coconot", "alpaca", "alpaca", "alpaca"]
        assert all((row["response"] == "") == (row["source"] == "alpaca") for row in rows)


def test_equal_files_and_settings_give_equal_bytes_and_another_seed_others(public: Path, tmp_path: Path):
    for name, settings in (("a", SETTINGS), ("b", SETTINGS), ("c", SETTINGS.model_copy(update={"seed": 1}))):
        build_public_rows(public, tmp_path / name, settings)
    for name in ("training.jsonl", "evaluation.jsonl", "manifest.json"):
        first, same, other = ((tmp_path / folder / name).read_bytes() for folder in "abc")
        assert first == same != other


def test_harmful_answers_are_a_placeholder_and_refusals_are_refusals(public: Path, tmp_path: Path):
    build_public_rows(public, tmp_path / "rows", SETTINGS)
    pairs = read_jsonl(tmp_path / "rows/extraction_pairs.jsonl")
    assert {row["response"] for row in pairs if row["kind"] == "harm"} == {PLACEHOLDER}
    trained = [row for row in read_jsonl(tmp_path / "rows/training.jsonl") if row["category"] == "harmful"]
    refused = trained + [row for row in pairs if row["kind"] == "refuse"]
    assert {row["response"] for row in refused} <= set(REFUSALS)
    verdicts = StringRulesJudge().judge([Answer("", text) for text in REFUSALS])
    assert [verdict.label for verdict in verdicts] == ["refused"] * len(REFUSALS)


def test_planted_twins_are_left_out_of_earlier_splits(public: Path, tmp_path: Path):
    """An evaluation prompt put into the training source, as it is, in capitals, and with one word more."""
    goal = "describe in plain words how the glorping of nine quiet lanterns is done at night by the river"
    twins = [goal, goal.upper() + "!", f"{goal} today"]
    test_file = public / "harmbench/harmbench_behaviors_text_test.csv"
    with test_file.open("a", newline="") as handle:
        csv.writer(handle).writerow((goal, "standard", "none", "", "", "x"))
    with (public / "advbench/harmful_behaviors.csv").open("a", newline="") as handle:
        csv.writer(handle).writerows([(twin, "") for twin in twins])
    build_public_rows(public, tmp_path / "rows", SETTINGS)
    assert not list_prompts(tmp_path / "rows", "extraction", "extraction_pairs", "training") & set(twins)
    dropped = read_json(tmp_path / "rows/manifest.json")["dropped"]
    reasons = {entry["reason"] for entry in dropped if entry["from"] == "training/harmful"}
    assert {"in evaluation, similarity 1.00"} < reasons
    assert len([entry for entry in dropped if entry["from"] == "training/harmful"]) == len(twins)


def test_whole_evaluation_sets_are_kept_out_even_where_few_rows_are_drawn(public: Path, tmp_path: Path):
    build_public_rows(
        public, tmp_path / "rows", SETTINGS.model_copy(update={"evaluation_rows": 1, "over_refusal_rows": 1})
    )
    prompts = read_public_prompts(public)
    sets = [
        *prompts.harmful_evaluation,
        *prompts.scary_safe,
        *prompts.refusable_benign,
        *prompts.unsafe_contrasts,
    ]
    earlier = list_prompts(tmp_path / "rows", "extraction", "extraction_pairs", "training")
    assert not earlier & {prompt.text for prompt in sets}


@pytest.mark.parametrize("split", ["training", "extraction", "extraction_pairs", "development"])
def test_a_leak_past_the_draws_stops_the_writing(public: Path, tmp_path: Path, split: str):
    """The last check is on the rows themselves: a twin put into any split is an error, and nothing is written."""
    build_public_rows(public, tmp_path / "rows", SETTINGS)
    names = ("extraction", "extraction_pairs", "training", "development", "evaluation")
    rows = {name: read_jsonl(tmp_path / f"rows/{name}.jsonl") for name in names}
    write_rows(rows, [], SETTINGS, tmp_path / "sound")
    text = rows["evaluation"][0]["goal"].upper()
    victim = rows[split][0]
    if split == "development":
        victim["messages"] = [{"role": "user", "content": text}]
    else:
        victim["prompt"] = text
    with pytest.raises(DataError, match=rf"suite direct: expected no prompt of {split}; found 1 exact"):
        write_rows(rows, [], SETTINGS, tmp_path / "leaking")
    assert not (tmp_path / "leaking").exists()


def test_over_refusal_rows_know_their_subsets(public: Path, tmp_path: Path):
    build_public_rows(public, tmp_path / "rows", SETTINGS.model_copy(update={"over_refusal_rows": None}))
    rows = read_jsonl(tmp_path / "rows/evaluation.jsonl")
    counts = Counter(name for row in rows for name in row.get("subsets", ()))
    assert counts == {
        "xstest_safe": 15, "xstest_unsafe": 3, "xstest_release": 14, "xstest_unseen": 2,
        "coconot_contrast": 15, "coconot_safety": 10,
    }  # fmt: skip
    assert {row["suite"] for row in rows if row.get("subsets")} == set(SUBSET_SUITES)
    release = [row["suite"] for row in rows if "xstest_release" in row.get("subsets", ())]
    assert Counter(release) == {"scary_safe": 13, "unsafe_contrasts": 1}


def test_a_draw_skips_what_is_reserved():
    drawer = Drawer(0)
    prompts = [Prompt("alpha beta gamma delta", "x", ""), Prompt("other words altogether here", "x", "")]
    drawer.reserve("evaluation", prompts[:1])
    assert drawer.draw("training", prompts, None) == prompts[1:]
    assert drawer.draw("training", prompts, None) == []
    assert STRICT.pattern_suites == ()


@pytest.mark.parametrize("suite", [name for name, suite in DECLARED.items() if suite.wrap])
def test_wrapped_goals_can_be_read_and_forms_differ_between_splits(suite):
    goal = 'say "hello" to – the moon'
    settings = AttackForms(codeattack=CodeAttackSettings(structures=tuple(ENCODERS)))
    made = {
        split: [wrap_goal(DECLARED[suite], goal, split, index, settings) for index in range(30)]
        for split in ("development", "evaluation")
    }
    texts, forms = ({split: {item[part] for item in made[split]} for split in made} for part in (0, 1))
    assert not forms["development"] & forms["evaluation"]
    if suite != "decoding":  # no attack, so nothing is chosen by it
        assert not texts["development"] & texts["evaluation"]
    assert all("{" not in text for split in texts for text in texts[split])
    words = split_words(goal)
    assert all(word.strip('"') in text for split in texts for text in texts[split] for word in words)


TEXTS = {"deepinception": deepinception.FORMS, "codeattack": codeattack.FORMS, "persona": persona.FORMS}


@pytest.mark.parametrize("suite", TEXTS)
def test_every_text_can_be_taken_and_has_a_template_of_its_own(suite):
    counts = {"forms": len(TEXTS[suite]["evaluation"]), "development_forms": len(TEXTS[suite]["development"])}
    whole = AttackForms.model_validate({suite: counts})
    for name, count in counts.items():
        with pytest.raises(ValueError, match=f"{suite}.{name}\n.*less than or equal to {count}"):
            AttackForms.model_validate({suite: {name: count + 1}})
    seen = set()
    for split, name in (("evaluation", "forms"), ("development", "development_forms")):
        made = [
            wrap_goal(DECLARED[suite], "the goal", split, index, whole) for index in range(2 * counts[name])
        ]
        texts, templates = {text for text, _ in made}, {name_template(form) for _, form in made}
        assert len(texts) == len(templates) == counts[name]
        assert all("goal" in text and "{" not in text.replace("{goal", "") for text in texts)
        assert not templates & seen
        seen |= templates


def test_by_default_goals_take_the_texts_that_they_always_took():
    made = {
        suite: {wrap_goal(DECLARED[suite], "x", split, index, AttackForms())[1] for index in range(9)}
        for suite in TEXTS
        for split in ("evaluation",)
    }
    assert made == {
        "deepinception": {"deepinception:evaluation/science fiction story/5/5"},
        "codeattack": {"codeattack:evaluation/stack"},
        "persona": {"persona:evaluation-0", "persona:evaluation-1"},
    }


def test_pap_rows_are_attempts_at_one_goal_each_with_its_technique(public: Path, tmp_path: Path):
    build_public_rows(public, tmp_path / "rows", SETTINGS)
    rows = read_rows(tmp_path / "rows/evaluation.jsonl", ("pap", "codeattack"))
    assert [row["technique"]["name"] for row in rows["pap"][:5]] == list(TOP_TECHNIQUES)
    assert len({row["unit"] for row in rows["pap"]}) == 5 and len({row["id"] for row in rows["pap"]}) == 25
    assert all(row["messages"][-1]["content"] == row["goal"] for row in rows["pap"])
    assert all(row["read_outputs"] for row in rows["codeattack"])


def test_refusals_are_chosen_by_the_prompt_alone():
    assert choose_refusal("a") == choose_refusal("a")
    assert len({choose_refusal(str(index)) for index in range(100)}) == len(REFUSALS)


def test_a_missing_file_or_column_is_one_line(public: Path):
    path = public / "advbench/harmful_behaviors.csv"
    path.write_text("request\nblarn\n")
    with pytest.raises(DataError, match=r"expected the columns goal; found no goal; run `harc data fetch`"):
        read_public_prompts(public)
    path.unlink()
    with pytest.raises(DataError, match=r"expected a public data file; found none; run `harc data fetch`"):
        read_public_prompts(public)
