"""A mean over other attacks than the paper's: taken over those, shown with those, and never without their names."""

import csv
import json
from pathlib import Path

import pytest
from fixtures.results_tree import BACKBONES, METHODS, make_results_tree, view_tree
from matplotlib.text import Text
from pydantic import ValidationError

from harc.core.artifacts import Layout
from harc.evaluation.score import score_means
from harc.evaluation.tuning import list_asked
from harc.results.catalogue import read_captions, write_tables
from harc.results.figures import figure2, figure5, figure7, figure10
from harc.results.paper import collect_macros
from harc.results.printer import read_table
from harc.results.report import build_report
from harc.results.tables.published import Published, compare_cells
from harc.results.tables.rates import MEAN_OVER
from harc.results.tables.scale import build_scale
from harc.results.vocabulary import name_attacks, note_attacks
from harc.settings.analysis import AnalysisSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.profile import load_profile
from harc.suites.registry import ATTACK_SUITES, list_members

OTHERS = ("pap", "deepinception", "persona", "prefill")
NAMES = "PAP, DeepInception, persona, prefill"
RENAMED = {"pair": "persona", "codeattack": "prefill"}
MEAN_TABLES = ("table1", "comparisons", "ablations", "margin_kl", "faults", "scale", "claims", "published")
ARMS = {"methods": ["base", "harc"], "options": {"of": "harc"}}


def make_other_tree(root: Path) -> Path:
    """The fake tree with two of its attacks under other names: rates are what they were."""
    make_results_tree(root, prompts=8)
    for path in (*root.rglob("outcomes.csv"), *root.rglob("projections.jsonl")):
        text = path.read_text(encoding="utf-8")
        for old, new in RENAMED.items():
            text = text.replace(f"{old}-", f"{new}-").replace(f",{old},", f",{new},")
            text = text.replace(json.dumps(old), json.dumps(new))
        path.write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def trees(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("trees")
    return {
        "paper": make_results_tree(folder / "paper", prompts=8),
        "other": make_other_tree(folder / "other"),
    }


def view_other(root: Path, **changes):
    return view_tree(root, mean_attacks=OTHERS, attacks=OTHERS, **changes)


@pytest.fixture(scope="module")
def tables(trees, tmp_path_factory) -> dict[str, Path]:
    """The tables of both, the other's with the profile that says so."""
    folder, profile = tmp_path_factory.mktemp("tables"), load_profile("ci").model_copy(update={"seeds": (0,)})
    evaluation = profile.evaluation.model_copy(update={"mean_attacks": OTHERS, "suites": ("direct", *OTHERS)})
    other = profile.model_copy(update={"evaluation": evaluation})
    paper = profile.evaluation.model_copy(update={"mean_attacks": ATTACK_SUITES})
    profile = profile.model_copy(update={"evaluation": paper})
    write_tables(view_tree(trees["paper"], profile=profile), folder / "paper")
    write_tables(view_other(trees["other"], profile=other), folder / "other")
    return {name: folder / name for name in trees}


def read_text(figure) -> str:
    """All words of a figure, as on one line."""
    return " ".join(" ".join(text.get_text().split()) for text in figure.findobj(Text))


def test_the_setting_names_attacks_once_each():
    assert EvaluationSettings().mean_attacks == EvaluationSettings().list_shown_attacks() == ATTACK_SUITES
    assert EvaluationSettings(mean_attacks=OTHERS[::-1]).mean_attacks == OTHERS[::-1]
    for wrong, words in (
        (("pap", "direct"), r"mean_attacks among pair, .* \(not 'direct'\)"),
        (("pap", "nonesuch"), r"\(not 'nonesuch'\)"),
        (("pap", "pap"), "mean_attacks must name each attack once"),
        ((), "at least 1"),
    ):
        with pytest.raises(ValidationError, match=words):
            EvaluationSettings(mean_attacks=wrong)


def test_attacks_that_are_run_are_shown_beside_another_mean():
    run = ("direct", "prefill", "codeattack", *OTHERS[:3])
    assert EvaluationSettings(suites=run, mean_attacks=OTHERS).list_shown_attacks() == (
        "pap", "deepinception", "codeattack", "persona", "prefill",
    )  # fmt: skip
    few = EvaluationSettings(suites=("direct", "pap"))
    assert few.list_shown_attacks() == ATTACK_SUITES, "the paper's table keeps its columns"


def test_members_and_names_follow_the_setting():
    assert list_members("mean_asr", OTHERS) == OTHERS
    assert list_members("mean_over_refusal", OTHERS) == ("scary_safe", "refusable_benign")
    assert list_members("pap", OTHERS) == ("pap",)
    assert list_asked(OTHERS)[:4] == OTHERS and "pair" not in list_asked(OTHERS)
    assert name_attacks(OTHERS) == NAMES
    assert name_attacks(ATTACK_SUITES[::-1]) == "" and note_attacks(ATTACK_SUITES) == []


def test_scores_take_the_mean_over_the_attacks_that_are_named():
    import pandas as pd

    rates = {"pap": 1, "deepinception": 0, "persona": 3, "prefill": 4, "codeattack": 4}
    outcomes = pd.DataFrame(
        [
            {
                "suite": suite,
                "id": f"{suite}{n}",
                "unit": f"g{n}",
                "goal": f"g{n}",
                "label_exact": "correct" if n < hits else "refused",
                "label_string_rules": "unjudged",
                "finish_reason": "stop",
                "empty": None,
            }
            for suite, hits in rates.items()
            for n in range(4)
        ]
    )

    def find_means(**changes) -> dict[str, float]:
        rows = score_means(outcomes, EvaluationSettings(suites=tuple(rates), **changes))
        return {row["suite"]: row["rate"] for row in rows if row["metric"] == "asr"}

    assert find_means(mean_attacks=OTHERS) == {"mean_asr": pytest.approx(0.5)}
    assert find_means() == {}, "PAIR was not run"
    assert find_means(mean_attacks=(*OTHERS, "pair")) == {}


def test_every_number_follows_and_none_is_the_paper_s(tables):
    own, other = (read_table(tables[name] / "table1.csv") for name in ("paper", "other"))
    assert [row["mean_asr"] for row in other] == [row["mean_asr"] for row in own]
    assert all(row["mean_asr"] for row in other)
    assert {row[MEAN_OVER] for row in other} == {" ".join(OTHERS)}
    assert MEAN_OVER not in own[0] and "pair" not in other[0] and "codeattack" not in other[0]
    assert [row["persona"] for row in other] == [row["pair"] for row in own]
    for name in ("comparisons", "claims"):
        held, found = (
            [row for row in read_table(tables[of] / f"{name}.csv") if "mean_asr" in str(row)]
            for of in ("paper", "other")
        )
        value = "difference" if name == "comparisons" else "estimate"
        assert [row[value] for row in held] == [row[value] for row in found] and held
    metrics = {row["metric"] for row in read_table(tables["other"] / "comparisons.csv")}
    assert set(OTHERS) < metrics and "pair" not in metrics
    assert {row["suite"] for row in read_table(tables["other"] / "separability.csv")} == {"direct", *OTHERS}


def test_the_mean_is_absent_where_one_of_its_attacks_was_not_run(trees):
    view = view_other(trees["paper"])
    assert view.estimate_rate(BACKBONES[0], "harc", "mean_asr") is None
    assert view.compare(BACKBONES[0], "harc", "base", "mean_asr") is None
    assert view.narrow(BACKBONES, [0]).mean_attacks == view.narrow(BACKBONES, [0]).attacks == OTHERS


@pytest.mark.parametrize("name", MEAN_TABLES)
def test_a_table_names_the_attacks_and_the_paper_s_table_none(name, tables):
    note = f"over {NAMES}; not the paper's mean"
    assert note in (tables["other"] / f"{name}.tex").read_text(encoding="utf-8")
    assert "not the paper's mean" not in (tables["paper"] / f"{name}.tex").read_text(encoding="utf-8")


@pytest.mark.parametrize(("module", "changes"), [(figure5, {}), (figure7, ARMS)])
def test_a_figure_names_the_attacks(module, changes, trees):
    assert f"over {NAMES}" in read_text(module.draw(view_other(trees["other"], **changes)).figure)
    assert "over PAP" not in read_text(module.draw(view_tree(trees["paper"], **changes)).figure)


@pytest.mark.parametrize("module", [figure2, figure10])
def test_panels_are_of_the_attacks_that_were_run(module, trees):
    canvas = module.draw(view_other(trees["other"]))
    text = read_text(canvas.figure)
    assert all(name in text for name in NAMES.split(", ")) and "CodeAttack" not in text
    assert not [remark for remark in canvas.remarks if "persona" in remark or "prefill" in remark]


def test_the_page_names_the_attacks(trees, tables, tmp_path):
    pages = {}
    for name, attacks in (("paper", ATTACK_SUITES), ("other", OTHERS)):
        layout = Layout(tmp_path / name)
        layout.tables.mkdir(parents=True)
        for path in tables[name].glob("*.csv"):
            (layout.tables / path.name).write_bytes(path.read_bytes())
        build_report(layout, list(BACKBONES), list(METHODS), [0], AnalysisSettings(), mean_attacks=attacks)
        pages[name] = layout.report.read_text(encoding="utf-8")
    assert f"Mean attack success over {NAMES} by model size" in pages["other"]
    assert f"Mean attack success (mean ASR): over {NAMES}; not the paper" in pages["other"]
    assert "not the paper" not in pages["paper"] and "Mean attack success by model size" in pages["paper"]


def test_captions_leave_no_place_unfilled():
    for attacks in (ATTACK_SUITES, OTHERS):
        text = json.dumps(read_captions(attacks))
        assert "{over}" not in text and (f" over {NAMES}" in text) == (attacks == OTHERS)


def test_the_text_names_the_attacks(tables):
    macros = {name: collect_macros(folder) for name, folder in tables.items()}
    assert macros["paper"]["MeanAttacks"] == "PAIR, PAP, DeepInception and CodeAttack"
    assert macros["paper"]["MeanAttackNote"] == ""
    assert macros["other"]["MeanAttacks"] == "PAP, DeepInception, persona and prefill"
    assert f"over {NAMES}" in macros["other"]["MeanAttackNote"]
    assert macros["other"]["AsrHarcLlama"] == macros["paper"]["AsrHarcLlama"] != "n/a"
    assert macros["other"]["AsrPairHarcLlama"] == "n/a"


def test_no_other_mean_stands_beside_the_published_one(trees):
    columns = {
        name: {"label": name, "group": "attack", "ours": ours, "items": None}
        for name, ours in (("mean", "mean_asr"), ("pap", "pap"))
    }
    model = {"model_id": "x/y", "source": "here", "rows": {"harc": (0.5, 0.5)}}
    published = Published.model_validate(
        {"columns": columns, "methods": {"harc": ("harc",)}, "models": (model,)}
    )

    def find_status(view) -> dict[str, str]:
        return {row["metric"]: row["status"] for row in compare_cells(published, view)}

    models = {BACKBONES[0]: "x/y"}
    assert set(find_status(view_tree(trees["paper"], models=models)).values()) == {"compared"}
    assert find_status(view_other(trees["other"], models=models)) == {
        "mean": "not run in this profile", "pap": "compared",
    }  # fmt: skip


@pytest.mark.parametrize("own", ["paper", "other"])
def test_sizes_are_compared_on_one_mean_alone(own, trees, tmp_path):
    for name, over in (("paper", None), ("other", " ".join(OTHERS))):
        path = tmp_path / name / "tables/table1.csv"
        path.parent.mkdir(parents=True)
        row = {"backbone": f"of-{name}-7b", "method": "harc", "seeds": 1, "mean_asr": 0.25}
        row |= {"mean_asr_n": 16} | ({MEAN_OVER: over} if over else {})
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, list(row))
            writer.writeheader()
            writer.writerow(row)
    settings = AnalysisSettings(scale_tables=[tmp_path / n / "tables/table1.csv" for n in ("paper", "other")])
    view = (view_tree if own == "paper" else view_other)(trees[own], settings=settings)
    models = {row["model"] for row in build_scale(view).records}
    assert models & {"of-paper-7b", "of-other-7b"} == {f"of-{own}-7b"}
