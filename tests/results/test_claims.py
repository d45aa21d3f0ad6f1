"""The claims ledger: checked on loading, verdicts computed from evidence, nothing untested passes for tested."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import yaml
from fixtures.results_tree import BACKBONES, make_results_tree

from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import sha256_file
from harc.results.claim_metrics import METRICS, Metric
from harc.results.claims import (
    EQUIVALENT,
    FAILED,
    LEVEL,
    NEVER,
    ONE_SEED,
    OPEN,
    SUPPORTED,
    UNTESTABLE,
    UNTESTED,
    VERDICTS,
    combine_verdicts,
    decide_claim,
    evaluate_claims,
    format_ledger,
)
from harc.results.evidence import Evidence, ResultsView, pool_evidence
from harc.results.ledger import hash_ledger, load_claims
from harc.results.printer import typeset_body, write_table
from harc.results.rates import Difference
from harc.results.tables.claims import build_claims, evidence_bounds
from harc.results.view import Results
from harc.results.vocabulary import ALL_FAMILIES, POOLED
from harc.stats.significance import detectable_effect

LEDGER = Path(__file__).parents[2] / "config" / "claims.yaml"
ENTRY = {
    "id": "one",
    "from": "paper",
    "source": "somewhere",
    "words": "it is so",
    "question": "that",
    "test": {
        "metric": "paired_difference",
        "arguments": {"suite": "mean_asr", "method": "harc", "reference": "base"},
        "comparison": "below",
        "threshold": 0.0,
        "correction": "none",
    },
}


def write_ledger(path: Path, *entries: dict) -> Path:
    path.write_text(yaml.safe_dump({"claims": list(entries)}), encoding="utf-8")
    return path


def change_test(**values) -> dict:
    return {**ENTRY, "test": {**ENTRY["test"], **values}}


def give(monkeypatch, tmp_path, evidence: dict, *tests: dict, **view) -> list:
    """Findings of tests of a quantity whose evidence is given."""
    held = Evidence(**{"n": 10, "unit": "prompts", "seeds": 3, **evidence})
    monkeypatch.setitem(METRICS, "fixed", Metric(lambda view, backbone, **_: held, ("method",)))
    changes = [
        {"metric": "fixed", "arguments": {"method": f"m{n}"}, **test} for n, test in enumerate(tests or ({},))
    ]
    entries = [{**change_test(**change), "id": f"c{number}"} for number, change in enumerate(changes)]
    return evaluate_claims(
        load_claims(write_ledger(tmp_path / "c.yaml", *entries)), ResultsView(tmp_path, ["x"], [0], **view)
    )


def judge(monkeypatch, tmp_path, estimate: float, error: float, **test) -> str:
    return give(monkeypatch, tmp_path, {"estimate": estimate, "standard_error": error}, test)[0].verdict


def test_the_shipped_ledger_is_valid_and_covers_all_sources():
    claims = load_claims(LEDGER)
    assert {claim.origin for claim in claims} == {"paper", "audit", "project", "related"}
    assert len(claims) >= 20


def test_the_primary_contrasts_are_four_outcomes_against_four_references():
    primary = [claim for claim in load_claims(LEDGER) if claim.primary]
    found = {(claim.question, str(claim.test.arguments["reference"])) for claim in primary}
    outcomes = ("attack_success", "over_refusal", "suppression", "suppression_half_way")
    references = ("base", "sft", "no_coupling", "permuted_label")
    assert found == set(itertools.product(outcomes, references)) and len(primary) == 16
    assert {claim.test.margin for claim in primary} == {0.08}
    assert {claim.test.correction for claim in primary} == {"holm"}
    others = [claim for claim in load_claims(LEDGER) if not claim.primary]
    assert not {claim.question for claim in others} & set(outcomes), "a family of the primary contrasts alone"


def test_an_unknown_metric_is_an_error(tmp_path):
    path = write_ledger(tmp_path / "c.yaml", change_test(metric="vibes"))
    with pytest.raises(
        ConfigError, match=r"claim one: expected a metric among .*paired_difference.*; found `vibes`"
    ):
        load_claims(path)


def test_wrong_arguments_are_an_error(tmp_path):
    path = write_ledger(tmp_path / "c.yaml", change_test(arguments={"suite": "pap"}))
    with pytest.raises(
        ConfigError, match="expected the arguments method, reference, suite for paired_difference"
    ):
        load_claims(path)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**ENTRY, "verdict": "true"}, "claim one: expected a valid `verdict`"),
        (change_test(comparison="near"), "claim one: expected a valid `test.comparison`"),
        ({k: v for k, v in ENTRY.items() if k != "source"}, "claim one: expected a valid `source`"),
    ],
)
def test_other_mistakes_are_named(tmp_path, entry, message):
    with pytest.raises(ConfigError, match=message):
        load_claims(write_ledger(tmp_path / "c.yaml", entry))


def test_the_same_id_twice_and_no_list(tmp_path):
    with pytest.raises(ConfigError, match="found the same id twice"):
        load_claims(write_ledger(tmp_path / "c.yaml", ENTRY, ENTRY))
    (tmp_path / "d.yaml").write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="expected YAML with a list `claims`"):
        load_claims(tmp_path / "d.yaml")
    with pytest.raises(ConfigError, match="found FileNotFoundError"):
        load_claims(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("estimate", "error", "expected"),
    [(-0.3, 0.05, SUPPORTED), (0.3, 0.05, FAILED), (-0.02, 0.05, OPEN), (-0.3, 0.0, OPEN)],
)
def test_verdicts_follow_the_evidence(monkeypatch, tmp_path, estimate, error, expected):
    assert judge(monkeypatch, tmp_path, estimate, error) == expected


def test_above_is_below_mirrored(monkeypatch, tmp_path):
    assert judge(monkeypatch, tmp_path, 0.3, 0.05, comparison="above") == SUPPORTED
    assert judge(monkeypatch, tmp_path, -0.3, 0.05, comparison="above") == FAILED


def test_correction_can_turn_a_verdict(monkeypatch, tmp_path):
    evidence = {"estimate": -0.1, "standard_error": 0.05}
    for correction, expected in (("none", SUPPORTED), ("holm", OPEN)):
        found = give(monkeypatch, tmp_path, evidence, *[{"correction": correction}] * 5)
        assert {finding.verdict for finding in found} == {expected}


def test_a_family_is_a_question(monkeypatch, tmp_path):
    """Five tests of one question raise each other's p; of five questions they do not."""
    held = Evidence(estimate=-0.1, standard_error=0.05, n=10, unit="prompts", seeds=3)
    monkeypatch.setitem(METRICS, "fixed", Metric(lambda view, backbone, **_: held, ("method",)))
    for questions, factor in ((["a"] * 5, 5), (list("abcde"), 1)):
        entries = [
            {
                **change_test(metric="fixed", arguments={"method": f"m{n}"}, correction="holm"),
                "id": f"c{n}",
                "question": question,
            }
            for n, question in enumerate(questions)
        ]
        found = evaluate_claims(
            load_claims(write_ledger(tmp_path / "c.yaml", *entries)), ResultsView(tmp_path, ["x"], [0])
        )
        assert found[0].p_adjusted == pytest.approx(factor * found[0].p)
        detectable = detectable_effect(0.05, confidence=1 - LEVEL / factor)
        assert found[0].detectable == pytest.approx(detectable)


def test_no_verdict_comes_from_one_training_seed(monkeypatch, tmp_path):
    evidence = {"estimate": -0.5, "standard_error": 0.01, "seeds": 1}
    (found,) = give(monkeypatch, tmp_path, evidence)
    assert (found.verdict, found.reason, found.p_adjusted) == (UNTESTABLE, ONE_SEED, None)
    assert found.evidence.estimate == -0.5, "what was measured is shown"
    (several,) = give(monkeypatch, tmp_path, {**evidence, "seeds": 2})
    assert several.verdict == SUPPORTED


def test_a_fetched_model_has_no_seeds_to_be_drawn(monkeypatch, tmp_path):
    evidence, untreated = (
        {"estimate": -0.5, "standard_error": 0.01, "seeds": 1},
        {"arguments": {"method": "base"}},
    )
    (found,) = give(monkeypatch, tmp_path, evidence, untreated, fixed={"x": 0})
    assert found.verdict == SUPPORTED
    (found,) = give(monkeypatch, tmp_path, evidence, untreated)
    assert found.verdict == UNTESTABLE, "an organism is drawn with its seed"
    (found,) = give(monkeypatch, tmp_path, evidence, fixed={"x": 0})
    assert found.verdict == UNTESTABLE, "a method is trained with its seed"


def test_no_verdict_comes_from_events_that_never_occur(monkeypatch, tmp_path):
    (found,) = give(
        monkeypatch, tmp_path, {"estimate": 0.0, "standard_error": 0.001, "never": True}, {"margin": 0.08}
    )
    assert (found.verdict, found.reason, found.p_equivalence) == (UNTESTABLE, NEVER, None)


@pytest.mark.parametrize(
    ("estimate", "error", "expected"),
    [
        (0.0, 0.02, EQUIVALENT),
        (0.0, 0.06, OPEN),
        (-0.05, 0.01, SUPPORTED),
        (0.05, 0.01, FAILED),
        (0.07, 0.05, OPEN),
    ],
)
def test_nothing_within_the_margin_is_a_finding(monkeypatch, tmp_path, estimate, error, expected):
    assert judge(monkeypatch, tmp_path, estimate, error, margin=0.08) == expected
    assert judge(monkeypatch, tmp_path, estimate, error) == (OPEN if expected == EQUIVALENT else expected)


def test_equivalence_is_adjusted_like_differences(monkeypatch, tmp_path):
    tests = [{"margin": 0.08, "correction": "holm"}] * 4
    evidence = {"estimate": 0.0, "standard_error": 0.04}
    assert {f.verdict for f in give(monkeypatch, tmp_path, evidence, tests[0])} == {EQUIVALENT}
    assert {f.verdict for f in give(monkeypatch, tmp_path, evidence, *tests)} == {OPEN}


def test_one_quantity_is_in_one_family(tmp_path):
    other = {**ENTRY, "id": "two", "question": "another"}
    with pytest.raises(
        ConfigError, match="claim two: expected question that and correction none, as claim one has"
    ):
        load_claims(write_ledger(tmp_path / "c.yaml", ENTRY, other))
    claims = load_claims(write_ledger(tmp_path / "c.yaml", ENTRY, {**other, "question": "that"}))
    assert len(claims) == 2


def test_a_margin_is_around_nothing(tmp_path):
    with pytest.raises(ConfigError, match="claim one: expected a margin around a threshold of 0; found 0.05"):
        load_claims(write_ledger(tmp_path / "c.yaml", change_test(threshold=0.05, margin=0.08)))


def test_absent_results_are_untested_never_supported(tmp_path):
    findings = evaluate_claims(load_claims(LEDGER), ResultsView(tmp_path, list(BACKBONES), [0]))
    assert {finding.verdict for finding in findings} == {UNTESTED}


def test_verdicts_over_backbones():
    assert combine_verdicts([SUPPORTED, SUPPORTED, UNTESTED]) == SUPPORTED
    assert combine_verdicts([SUPPORTED, OPEN]) == OPEN
    assert combine_verdicts([SUPPORTED, FAILED]) == FAILED
    assert combine_verdicts([UNTESTED]) == combine_verdicts([]) == UNTESTED
    assert combine_verdicts([UNTESTABLE, UNTESTED]) == UNTESTABLE
    assert combine_verdicts([EQUIVALENT, EQUIVALENT, UNTESTABLE]) == EQUIVALENT
    assert combine_verdicts([EQUIVALENT, SUPPORTED]) == OPEN


def test_seeds_that_disagree_raise_the_error():
    alone = pool_evidence([0.5], [0.1], 10, "prompts")
    apart = pool_evidence([0.1, 0.5, 0.9], [0.1] * 3, 10, "prompts")
    assert alone.standard_error == pytest.approx(0.1) and apart.standard_error > 0.2
    assert apart.degrees == 2 and pool_evidence([], [], 0, "x") is None


SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Claims of a fake tree of three seeds."""
    tree = make_results_tree(tmp_path_factory.mktemp("claims") / "tree", seeds=SEEDS, prompts=40)
    write_suppressed(tree)
    return build_claims(Results(tree, list(BACKBONES), list(SEEDS), claims=LEDGER))


def write_suppressed(tree: Path) -> None:
    """Under removal of the model's own direction HARC refuses half of the direct requests, the others hardly any."""
    for backbone, seed, method in itertools.product(BACKBONES, SEEDS, ("base", "sft", "no_coupling", "harc")):
        generator = np.random.default_rng([seed, len(method), len(backbone)])
        folder = Layout(tree).suppression(backbone, method, seed)
        folder.mkdir(parents=True)
        lines = ["condition,suite,id,goal,label,likelihood"]
        for condition, rate in (("none", 0.95), ("own", 0.5 if method == "harc" else 0.05)):
            labels = np.where(generator.random(40) < rate, "refused", "correct")
            lines += [f"{condition},direct,p{n},g{n},{label}," for n, label in enumerate(labels)]
        (folder / "outcomes.csv").write_text("\n".join(lines) + "\n")


def test_the_fake_tree_decides_what_it_was_made_to_decide(table):
    overall = {row["claim"]: row["overall"] for row in table.records}
    assert overall["lowers-attack-success"] == overall["harder-to-suppress-than-no-coupling"] == SUPPORTED
    assert overall["qwen-near-orthogonal"] == FAILED
    assert overall["beats-circuit-breakers"] == overall["holds-at-scale"] == UNTESTED
    assert overall["harder-to-suppress-than-permuted-labels"] == UNTESTED
    assert set(overall) == {claim.id for claim in load_claims(LEDGER)}
    assert all(row["ledger_sha256"] == hash_ledger(LEDGER) for row in table.records)


def test_refusal_that_is_kept_is_read_under_its_condition(table):
    row = next(row for row in table.records if row["claim"] == "harder-to-suppress-than-untreated")
    assert row["estimate"] == pytest.approx(0.45, abs=0.15) and row["n"] == 40
    assert row["p_flip"] == 0.25 and row["detectable"] is not None


def list_printed(table) -> dict[str, list[str]]:
    """Backbones of the printed findings by claim."""
    found: dict[str, list[str]] = {}
    for row in table.printed:
        found.setdefault(row["claim"], []).append(row["backbone"])
    return found


def test_every_claim_that_is_tested_is_printed_with_the_findings_that_decide_it(table):
    tested = {row["claim"] for row in table.records if row["overall"] != UNTESTED}
    printed = list_printed(table)
    assert set(printed) == tested
    assert printed["lowers-attack-success"] == list(BACKBONES)
    left = len(load_claims(LEDGER)) - len(tested)
    assert left and f"({left} of {len(load_claims(LEDGER))})" in " ".join(table.notes)


def test_where_backbones_are_drawn_the_finding_over_all_is_printed(tmp_path):
    tree = make_results_tree(tmp_path / "tree", seeds=(0, 1), prompts=20)
    table = build_claims(Results(tree, list(BACKBONES), [0, 1], claims=LEDGER, draw="backbone"))
    printed = list_printed(table)
    assert set(printed) == {row["claim"] for row in table.records if row["overall"] != UNTESTED}
    assert printed.pop("qwen-near-orthogonal") == ["organism-qwen2"], "of one family alone"
    assert {name for names in printed.values() for name in names} <= {POOLED, ALL_FAMILIES}


def test_one_seed_of_the_same_tree_decides_nothing(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=30)
    records = build_claims(Results(tree, list(BACKBONES), [0], claims=LEDGER)).records
    assert {row["overall"] for row in records} == {UNTESTABLE, UNTESTED}
    assert {row["reason"] for row in records} <= {"", ONE_SEED}
    assert any(row["estimate"] for row in records)


def test_a_failed_claim_is_as_loud_as_a_supported_one(table):
    body = "\n".join(typeset_body(table))
    assert "\\textbf{not supported}" in body and "\\textbf{supported}" in body


def test_scale_is_read_from_the_name():
    measure = METRICS["paired_difference_at_scale"].measure
    view = ResultsView(Path("nowhere"), ["Llama-3.1-70B-Instruct", "organism-llama"], [0])
    arguments = {"suite": "mean_asr", "method": "harc", "reference": "base", "billions": 70}
    assert measure(view, "organism-llama", **arguments) is None


def test_the_pooled_finding_stands_beside_the_verdict_where_seeds_are_shared(table):
    rows = [row for row in table.records if row["claim"] == "lowers-attack-success"]
    assert [row["backbone"] for row in rows] == [*BACKBONES, POOLED]
    assert rows[-1]["seeds"] == 3, "a seed with both backbones is one draw"
    assert rows[0]["overall"] == combine_verdicts([row["verdict"] for row in rows[:-1]])


def test_where_backbones_are_drawn_the_pooled_finding_decides(tmp_path):
    tree = make_results_tree(tmp_path / "tree", seeds=(0, 1), prompts=20)
    view = Results(tree, list(BACKBONES), [0, 1], claims=LEDGER, draw="backbone")
    chosen = [claim for claim in load_claims(LEDGER) if claim.id == "lowers-attack-success"]
    findings = evaluate_claims(chosen, view)
    assert [f.backbone for f in findings] == [*BACKBONES, POOLED]
    assert findings[-1].evidence.seeds == 4 and findings[-1].evidence.degrees > 2
    assert decide_claim(findings, "backbone") == findings[-1].verdict == SUPPORTED
    assert decide_claim(findings) == combine_verdicts([f.verdict for f in findings[:-1]])


def write_answers(root: Path, method: str, hits: dict[int, int], prompts: int = 40) -> None:
    folder = root / "finetuning" / BACKBONES[0] / method / "seed0"
    folder.mkdir(parents=True)
    lines = ["examples,suite,id,label"]
    for examples, count in hits.items():
        labels = ["correct"] * count + ["refused"] * (prompts - count)
        lines += [f"{examples},deepinception,p{n},{label}" for n, label in enumerate(labels)]
    (folder / "answers.csv").write_text("\n".join(lines) + "\n")


def test_a_difference_after_fine_tuning_compares_the_named_numbers_of_examples(tmp_path):
    write_answers(tmp_path, "base", {0: 20, 160: 40})
    write_answers(tmp_path, "harc", {0: 2, 160: 20})
    view = ResultsView(tmp_path, [BACKBONES[0]], [0])
    measure = METRICS["finetuned_difference"].measure
    given = {"suite": "deepinception", "method": "harc", "reference": "base"}
    after = measure(view, BACKBONES[0], examples=160, reference_examples=0, **given)
    assert (after.estimate, after.n) == (0.0, 40)
    assert measure(
        view, BACKBONES[0], examples=160, reference_examples=160, **given
    ).estimate == pytest.approx(-0.5)
    assert measure(view, BACKBONES[0], examples=320, reference_examples=0, **given) is None


def test_the_terminal_shows_every_claim_and_the_hash_of_the_ledger(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=5)
    write_table(build_claims(Results(tree, list(BACKBONES), [0], claims=LEDGER)), tmp_path)
    lines = format_ledger(tmp_path / "claims.csv", "run it").splitlines()
    claims = load_claims(LEDGER)
    assert len(lines) == len(claims) + 2
    for line, claim in zip(lines, claims, strict=False):
        assert line.startswith(VERDICTS) and f"{claim.id} ({claim.origin}): {claim.words}" in line
    assert lines[-1] == f"ledger sha256 {sha256_file(LEDGER)}"
    counts = [int(part.split()[0]) for part in lines[-2].split(": ")[1].split(", ")]
    assert sum(counts) == len(claims)


def test_no_verdicts_is_an_error_with_the_next_step(tmp_path):
    with pytest.raises(ArtifactError, match="expected computed verdicts; found none; run the workflow"):
        format_ledger(tmp_path / "claims.csv", "run the workflow")


def test_one_hash_stands_in_paper_and_report(tmp_path):
    """The table prints the whole SHA-256 of the file; a changed test changes it."""
    tree = make_results_tree(tmp_path / "tree", prompts=4)
    changed = tmp_path / "claims.yaml"
    changed.write_text(LEDGER.read_text(encoding="utf-8").replace("threshold: 0.05", "threshold: 0.06", 1))
    for path in (LEDGER, changed):
        table = build_claims(Results(tree, list(BACKBONES), [0], claims=path))
        note = "".join(table.notes).replace("\\allowbreak ", "")
        assert sha256_file(path) in note
        assert {row["ledger_sha256"] for row in table.records} == {sha256_file(path)}
    assert sha256_file(LEDGER) != sha256_file(changed)


def test_bounds_of_a_difference_of_rates_stay_between_minus_one_and_one(monkeypatch, tmp_path):
    """Student's interval knows no limits; the standard error, and so the test, is left as it is."""
    wide = {"estimate": -0.45, "standard_error": 0.3, "degrees": 2.0}
    assert Evidence(**wide, n=10, unit="prompts", seeds=3).interval(0.95).low < -1.5, (
        "the twin: a cosine's gain"
    )
    difference = Difference(-0.45, -1.0, 0.84, 0.27, 0.3, 2.0, 10, 3, 6, 1, 3, 0.25, False)
    monkeypatch.setattr(ResultsView, "compare", lambda *_: difference)
    measured = METRICS["paired_difference"].measure(
        ResultsView(tmp_path, ["x"], [0]), "x", suite="pap", method="harc", reference="base"
    )
    assert evidence_bounds(measured, 0.95) == pytest.approx((-1.0, -0.45 + 4.302653 * 0.3))
    assert evidence_bounds(measured, 0.5)[0] == measured.as_pooled().interval(0.5).low > -1
    assert measured.standard_error == 0.3
