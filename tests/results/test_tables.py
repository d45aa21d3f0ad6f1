"""Tables: rates and differences as they must come out, missing results named, equal bytes, safe LaTeX."""

import csv
import json
import math
from pathlib import Path

import pandas as pd
import pytest
from fixtures.results_tree import BACKBONES, METHODS, make_results_tree, view_tree
from pydantic import Field
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from harc.core.errors import DataError
from harc.methods.harc_released import list_switches
from harc.results.catalogue import TABLES, write_tables
from harc.results.claims import evaluate_claims
from harc.results.comparisons import POOLED, compare_methods, describe_change, list_pairs
from harc.results.evidence import ResultsView
from harc.results.latex import escape_latex, format_p, format_rate, format_signed, make_breakable
from harc.results.ledger import load_claims
from harc.results.outcomes import make_outcomes as frame_outcomes
from harc.results.outcomes import merge_units, read_outcomes
from harc.results.printer import read_table
from harc.results.rates import estimate_difference, estimate_rate
from harc.results.tables.settings import Leaf, build_hyperparameters, list_settings, merge_methods
from harc.results.view import CLAIMS, Results
from harc.settings.base import Settings
from harc.settings.profile import load_profile

ROOT = Path(__file__).parents[2]
ATTACKS = ("pair", "pap", "deepinception", "codeattack")


class Inner(Settings):
    rate: float = Field(0.5, description="inner rate (1)")


class Outer(Settings):
    name: str = Field("x", description="hidden")
    inner: Inner = Field(Inner(), description="a group")
    methods: dict[str, Inner] = Field({"a": Inner(), "b": Inner(rate=0.25)}, description="arms")
    shares: dict[str, float] = Field({"k": 0.1}, description="mixture")


def make_outcomes(suite: str, labels: list[str]) -> pd.DataFrame:
    return frame_outcomes(
        {"suite": suite, "id": f"{suite}{i}", "goal": f"g{i}", "label": label}
        for i, label in enumerate(labels)
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    return make_results_tree(tmp_path_factory.mktemp("tree"), prompts=12)


@pytest.fixture(scope="module")
def tables(tree, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("tables")
    write_tables(view_tree(tree, profile=Outer()), out)
    return out


def test_every_declared_table_is_written_twice_over(tables):
    assert {path.name for path in tables.iterdir()} == {
        f"{name}.{end}" for name in TABLES for end in ("csv", "tex")
    }


def test_equal_results_give_equal_bytes(tree, tables, tmp_path):
    write_tables(view_tree(tree, profile=Outer()), tmp_path)
    for path in tables.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_one_suite_has_the_wilson_interval():
    rate = estimate_rate({0: make_outcomes("pap", ["correct"] * 3 + ["refused"] * 9)}, ["pap"])
    low, high = proportion_confint(3, 12, method="wilson")
    assert (rate.estimate, rate.low, rate.high) == pytest.approx((0.25, low, high))


def test_table1_counts_the_outcomes_file(tree, tables):
    row = read_table(tables / "table1.csv")[0]
    path = tree / "scores" / row["backbone"] / row["method"] / "seed0" / "outcomes.csv"
    with open(path, encoding="utf-8") as handle:
        labels = [r["label"] for r in csv.DictReader(handle) if r["suite"] == "pap"]
    assert float(row["pap"]) == pytest.approx(labels.count("correct") / len(labels), abs=1e-6)


def test_mean_of_suites_is_unweighted():
    labels = {"pair": ["correct"] * 2, "pap": ["refused"] * 6}
    labels |= {"deepinception": ["refused"], "codeattack": ["correct"]}
    outcomes = pd.concat(make_outcomes(*suite) for suite in labels.items())
    assert estimate_rate({0: outcomes}, ATTACKS).estimate == pytest.approx(0.5)


def test_a_mean_over_some_of_its_suites_is_not_given():
    assert estimate_rate({0: make_outcomes("pair", ["correct"] * 3)}, ATTACKS) is None


def test_attempts_at_one_thing_count_once_and_by_the_best():
    def merge(*labels: str, suite: str = "pap") -> list[str]:
        attempts = [
            {"suite": suite, "id": f"a{i}", "unit": "unit", "label": label} for i, label in enumerate(labels)
        ]
        other = {"suite": suite, "id": "b", "label": "garbled"}
        merged = merge_units(frame_outcomes([*attempts, other]))
        assert merged["id"].tolist() == ["unit", "b"]
        return merged["label"].iloc[0]

    assert merge("refused", "correct") == merge("correct", "unjudged", "garbled") == "correct"
    assert merge("refused") == merge("refused", "garbled") == "refused"
    assert merge("refused", "unjudged") == "unjudged"
    assert merge("correct", "refused", suite="scary_safe") == "refused"


def test_rates_without_spread_do_not_claim_certainty():
    outcomes = pd.concat(make_outcomes(suite, ["refused"] * 20) for suite in ATTACKS)
    rate = estimate_rate({0: outcomes}, ATTACKS)
    assert rate.estimate == 0 and rate.low == 0 and 0.01 < rate.high < 0.2


def test_paired_difference_and_mcnemar_agree_with_statsmodels():
    before = make_outcomes("pap", ["correct"] * 12 + ["refused"] * 8)
    after = make_outcomes("pap", ["refused"] * 9 + ["correct"] * 5 + ["refused"] * 6)
    difference = estimate_difference({0: before}, {0: after}, ["pap"])
    table = [[3, 9], [2, 6]]
    assert difference.estimate == pytest.approx(-7 / 20)
    assert difference.p == pytest.approx(mcnemar(table, exact=True).pvalue)
    assert (difference.only_first, difference.only_second) == (9, 2)
    assert difference.low < difference.estimate < difference.high


def test_comparing_a_method_with_itself_gives_nothing():
    outcomes = {0: make_outcomes("pap", ["correct", "refused"] * 10)}
    difference = estimate_difference(outcomes, outcomes, ["pap"])
    assert difference.estimate == 0 and difference.p == 1.0
    assert difference.low < 0 < difference.high


def test_a_wording_that_prompts_share_is_drawn_with_them():
    """Two wordings, one of which works no more: two draws, not forty; without their names each prompt is one."""
    found = {}
    for named in (True, False):
        before, after = (
            frame_outcomes(
                {
                    "suite": "pap",
                    "id": f"p{n}",
                    "label": label(n),
                    "template": f"pap:{n % 2}" if named else "",
                }
                for n in range(40)
            )
            for label in (lambda n: "correct", lambda n: "correct" if n % 2 else "refused")
        )
        found[named] = estimate_difference({0: before}, {0: after}, ["pap"])
    assert found[True].estimate == found[False].estimate == pytest.approx(-0.5)
    assert found[True].degrees == pytest.approx(1, abs=0.01) and found[False].degrees == math.inf
    assert found[True].p > 0.2 and found[False].p < 0.001


def test_swapping_the_two_flips_the_difference():
    a = {0: make_outcomes("pap", ["correct"] * 6 + ["refused"] * 14)}
    b = {0: make_outcomes("pap", ["correct"] * 12 + ["refused"] * 8)}
    forward, backward = estimate_difference(a, b, ["pap"]), estimate_difference(b, a, ["pap"])
    assert forward.estimate == -backward.estimate and forward.low == pytest.approx(-backward.high)


def test_seeds_widen_the_interval_when_they_disagree():
    same = {seed: make_outcomes("pap", ["correct"] * 10 + ["refused"] * 10) for seed in range(3)}
    apart = {
        seed: make_outcomes("pap", ["correct"] * k + ["refused"] * (20 - k))
        for seed, k in enumerate((2, 10, 18))
    }
    close, far = estimate_rate(same, ["pap"]), estimate_rate(apart, ["pap"])
    assert close.estimate == far.estimate == 0.5
    assert far.high - far.low > close.high - close.low
    assert (far.seed_low, far.seed_high, far.seeds) == (0.1, 0.9, 3)


def test_the_pairs_that_are_compared():
    pairs = list_pairs(["sft", "no_coupling", "harc", "harc_released", "base"])
    assert (
        ("harc", "sft") in pairs and ("harc", "no_coupling") in pairs and ("harc_released", "harc") in pairs
    )
    assert ("sft", "no_coupling") not in pairs and ("harc", "harc_released") not in pairs
    assert all(method != reference for method, reference in pairs)


def test_holm_is_taken_within_a_metric_and_backbone_or_a_question(tree, tmp_path):
    one = compare_methods(ResultsView(tree, [BACKBONES[0]], [0]), list(METHODS))
    assert {c.holm for c in one} == {None}, "one seed tests nothing"
    tree = make_results_tree(tmp_path / "tree", seeds=(0, 1), prompts=10)
    view, ledger = ResultsView(tree, [BACKBONES[0]], [0, 1]), load_claims(ROOT / CLAIMS)
    for claims, free in (((), 9), (ledger, 5)):
        compared = compare_methods(view, list(METHODS), claims)
        found = [c for c in compared if c.metric == "mean_asr" and c.difference and not c.question]
        smallest = min(found, key=lambda c: c.difference.p)
        assert smallest.holm == pytest.approx(min(1.0, smallest.difference.p * len(found)))
        assert len(found) == free and all(c.holm >= c.difference.p for c in found)
    declared = {(f.claim, f.backbone): f.p_adjusted for f in evaluate_claims(ledger, view)}
    (harc,) = [c for c in compared if c[1:4] == ("harc", "base", "mean_asr")]
    assert harc.question == "attack_success"
    assert harc.holm == declared["lowers-attack-success", BACKBONES[0]], "one test has one p value"


def test_runs_are_pooled_only_where_there_are_several(tmp_path):
    tree = make_results_tree(tmp_path / "tree", seeds=(0, 1), prompts=10)
    several = compare_methods(ResultsView(tree, list(BACKBONES), [0, 1], draw="backbone"), list(METHODS))
    pooled = [c for c in several if c.backbone == POOLED and c.metric == "mean_asr"]
    (harc,) = [c.difference for c in pooled if (c.method, c.reference) == ("harc", "base")]
    own = [c.difference for c in several if c.backbone != POOLED and c[1:4] == ("harc", "base", "mean_asr")]
    assert harc.seeds == 4 and harc.seeds_lower == sum(d.seeds_lower for d in own) == 4
    assert harc.estimate == pytest.approx(sum(d.estimate for d in own) / 2)
    shared = compare_methods(ResultsView(tree, list(BACKBONES), [0, 1]), list(METHODS))
    (harc,) = [c.difference for c in shared if c[:4] == (POOLED, "harc", "base", "mean_asr")]
    assert harc.seeds == 2, "a seed that both backbones share is one draw"
    one = compare_methods(ResultsView(tree, list(BACKBONES), [0]), list(METHODS))
    assert POOLED not in {c.backbone for c in one}


def test_words_follow_the_adjusted_p_value():
    assert describe_change(-0.2, 0.01, 3) == "lower"
    assert describe_change(0.2, 0.01, 3) == "higher"
    assert describe_change(-0.2, 0.06, 3) == "not detectably different"
    assert describe_change(-0.2, None, 1) == "not testable with one training seed"
    assert describe_change(None, None, 0) == "not compared"


def test_a_missing_method_shows_in_cells_and_notes(tree, tmp_path):
    write_tables(view_tree(tree, backbones=[BACKBONES[0]], methods=[*METHODS, "dpo"]), tmp_path)
    text = (tmp_path / "table1.tex").read_text(encoding="utf-8")
    assert "n/a$^\\dagger$" in text and "not evaluated in this profile" in text
    row = next(r for r in read_table(tmp_path / "table1.csv") if r["method"] == "dpo")
    assert row["seeds"] == "0" and row["mean_asr"] == ""


def test_an_empty_tree_gives_tables_not_a_crash(tmp_path):
    write_tables(view_tree(tmp_path / "nothing"), tmp_path / "out")
    assert "n/a" in (tmp_path / "out" / "table1.tex").read_text(encoding="utf-8")
    assert "no projections" in (tmp_path / "out" / "separability.tex").read_text(encoding="utf-8")


def test_nan_and_an_unknown_verdict(tmp_path):
    assert format_rate(None) == format_signed(None) == "n/a"
    assert format_rate(math.nan) == format_signed(math.nan) == format_p(math.nan) == "undef."
    path = tmp_path / "outcomes.csv"
    path.write_text("suite,id,label\npap,x,maybe\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"outcomes.csv:2: expected a verdict among .*; found 'maybe'"):
        read_outcomes(path)
    path.write_text("suite,id\npap,x\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"expected the columns suite, id, label; found no label"):
        read_outcomes(path)


def find_blanks(latex: str) -> list[str]:
    """Lines of a table's body with a cell that holds nothing."""
    start = "\\endlastfoot" if "\\endlastfoot" in latex else "\\midrule"
    body = latex.partition(start)[2]
    lines = [line for line in body.split("\n") if line.endswith("\\\\") and " & " in f" {line} "]
    return [line for line in lines if any(not cell.strip(" \\") for cell in line.split("&"))]


def list_unexplained(latex: str) -> list[str]:
    """Marks of missing numbers in the cells that no note under the table explains."""
    cells, _, notes = latex.partition("\\end{")
    return [mark for mark in ("n/a", "undef.") if mark in cells and mark not in notes]


@pytest.mark.parametrize("lack", ["method", "everything", "category"])
def test_no_cell_is_blank_and_every_missing_number_has_its_footnote(tmp_path, lack):
    tree = make_results_tree(tmp_path / "tree", prompts=5)
    if lack == "category":
        for path in tree.rglob("outcomes.csv"):
            lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            path.write_text("".join(line for line in lines if ",scary_safe," not in line), encoding="utf-8")
    methods = [*METHODS, "dpo"] if lack == "method" else list(METHODS)
    root = tree / "nothing" if lack == "everything" else tree
    write_tables(view_tree(root, methods=methods), tmp_path / "out")
    marked = 0
    for path in sorted((tmp_path / "out").glob("*.tex")):
        text = path.read_text(encoding="utf-8")
        assert find_blanks(text) == [], path.name
        assert list_unexplained(text) == [], path.name
        marked += "n/a" in text
    assert marked >= 2


def test_the_guard_sees_a_blank_cell_and_an_unexplained_mark():
    assert find_blanks("\\midrule\nHARC &  & .5 \\\\") and not find_blanks("\\midrule\nHARC & .4 \\\\")
    assert list_unexplained("a & undef. \\\\\n\\end{tabular} a note") == ["undef."]


def test_a_nan_in_a_log_is_an_error_that_names_its_line(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=4)
    for path in tree.rglob("harc/seed0/training_log.jsonl"):
        rows = [json.loads(line) | {"couple": math.nan} for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"training_log.jsonl:1: .*NaN, which JSON does not have"):
        write_tables(view_tree(tree), tmp_path / "out")


def test_numbers_look_as_in_the_published_table():
    assert [format_rate(v) for v in (0.474, 1.0, -0.03, -0.001, 0.0)] == [".47", "1.00", "-.03", ".00", ".00"]
    assert (
        format_signed(0.12) == "$+.12$" and format_signed(-0.12) == "$-.12$" and format_signed(0.0) == "$.00$"
    )
    assert format_p(0.0001) == "$p < .001$" and format_p(0.034) == "$p = .034$"


@pytest.mark.parametrize(
    "text", ["100% & $x_1$ #2", "\\input{a}~^", "\x1b[31m\x00", "\u202eflip", "日本", '<>|"']
)
def test_hostile_text_is_inert_in_latex(text):
    escaped = escape_latex(text)
    for special in ("%", "&", "$", "#", "_", "^", "~"):
        assert special not in escaped.replace(f"\\{special}", "").replace("\\textasciitilde", "")
    assert "\\input" not in escaped and all(ord(c) >= 32 for c in escaped)


def test_long_names_may_break_but_decimals_may_not():
    assert make_breakable("a.b") == "a.\\allowbreak{}b"
    assert make_breakable("0.25") == "0.25"


def test_settings_are_listed_and_methods_merged():
    leaves = list(list_settings(Outer()))
    assert ("inner.rate", "0.5", "inner rate (1)") in [leaf[:3] for leaf in leaves]
    assert ("shares", "1 entries", "mixture: k 0.1") in [leaf[:3] for leaf in leaves]
    merged = {leaf.setting: leaf.value for leaf in merge_methods(leaves)}
    assert merged["methods.*.rate"] == "a: 0.5; b: 0.25"
    three = [
        Leaf(f"methods.{name}.x", value, "", value == "2") for name, value in zip("abc", "121", strict=True)
    ]
    assert [(leaf.value, leaf.chosen) for leaf in merge_methods(three)] == [("1; but b: 2", True)]


def test_settings_with_their_default_values_are_in_the_csv_and_not_in_print():
    table = build_hyperparameters(Results(Path("none"), (), (0,), profile=load_profile("ci")))
    printed, listed = ({row["setting"] for row in rows} for rows in (table.printed, table.records))
    assert "world.verbs_per_class" in printed and "evaluation.pair.streams" in printed
    assert "evaluation.max_new_tokens" in listed - printed
    assert len(printed) < len(listed) / 3


def test_every_fault_of_the_release_is_a_row(tables):
    names = {switch.name for switch in list_switches()}
    assert {row["switch"] for row in read_table(tables / "faults.csv")} == names | {"all together"}
    assert len(names) >= 7
    assert all(switch.released != switch.corrected for switch in list_switches())


@pytest.mark.parametrize(("label", "bold"), [("garbled", True), ("refused", False)])
def test_a_model_that_garbles_everything_does_not_look_safe_in_the_main_table(tmp_path, label, bold):
    tree = make_results_tree(tmp_path / "tree", prompts=6)
    path = tree / "scores/organism-llama/harc/seed0/outcomes.csv"
    lines = list(csv.DictReader(path.open(encoding="utf-8", newline="")))
    for row in lines:
        row.update({"label": label, "label_exact": label} if row["suite"] in ATTACKS else {})
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    write_tables(view_tree(tree), tmp_path / "out")
    row = next(
        row
        for row in read_table(tmp_path / "out/table1.csv")
        if (row["backbone"], row["method"]) == ("organism-llama", "harc")
    )
    assert float(row["mean_asr"]) == 0 and float(row["mean_asr_garbled"]) == float(row["pap_garbled"]) == bold
    latex = (tmp_path / "out/table1.tex").read_text(encoding="utf-8")
    assert ("\\textbf{1.00}" in latex) == bold and "\\scriptsize garb." in latex
