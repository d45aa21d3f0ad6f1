"""The claims ledger: checked on loading, verdicts computed from evidence, nothing untested passes for tested."""

from pathlib import Path

import pytest
import yaml
from fixtures.results_tree import BACKBONES, make_results_tree

from harc.core.errors import ArtifactError, ConfigError
from harc.core.files import sha256_file
from harc.results.claim_metrics import METRICS, Metric
from harc.results.claims import (
    FAILED,
    OPEN,
    SUPPORTED,
    UNTESTED,
    VERDICTS,
    combine_verdicts,
    evaluate_claims,
    format_ledger,
    hash_ledger,
    load_claims,
)
from harc.results.evidence import Evidence, ResultsView, pool_evidence
from harc.results.printer import typeset_body, write_table
from harc.results.tables.claims import build_claims
from harc.results.view import Results
from harc.results.vocabulary import POOLED

LEDGER = Path(__file__).parents[2] / "config" / "claims.yaml"
ENTRY = {
    "id": "one",
    "from": "paper",
    "source": "somewhere",
    "words": "it is so",
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


def judge(monkeypatch, tmp_path, estimate: float, error: float, **test) -> str:
    evidence = Evidence(estimate=estimate, standard_error=error, n=10, unit="prompts", seeds=1)
    monkeypatch.setitem(METRICS, "fixed", Metric(lambda view, backbone: evidence, ()))
    path = write_ledger(tmp_path / "c.yaml", change_test(metric="fixed", arguments={}, **test))
    (finding,) = evaluate_claims(load_claims(path), ResultsView(tmp_path, ["x"], [0]))
    return finding.verdict


def test_the_shipped_ledger_is_valid_and_covers_all_sources():
    claims = load_claims(LEDGER)
    assert {claim.origin for claim in claims} == {"paper", "audit", "project"}
    assert len(claims) >= 20


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
    evidence = Evidence(estimate=-0.1, standard_error=0.05, n=10, unit="prompts", seeds=1)
    monkeypatch.setitem(METRICS, "fixed", Metric(lambda view, backbone: evidence, ()))
    for correction, expected in (("none", SUPPORTED), ("holm", OPEN)):
        test = change_test(metric="fixed", arguments={}, correction=correction)
        path = write_ledger(tmp_path / "c.yaml", *({**test, "id": f"c{i}"} for i in range(5)))
        findings = evaluate_claims(load_claims(path), ResultsView(tmp_path, ["x"], [0]))
        assert {finding.verdict for finding in findings} == {expected}


def test_absent_results_are_untested_never_supported(tmp_path):
    findings = evaluate_claims(load_claims(LEDGER), ResultsView(tmp_path, list(BACKBONES), [0]))
    assert {finding.verdict for finding in findings} == {UNTESTED}


def test_verdicts_over_backbones():
    assert combine_verdicts([SUPPORTED, SUPPORTED, UNTESTED]) == SUPPORTED
    assert combine_verdicts([SUPPORTED, OPEN]) == OPEN
    assert combine_verdicts([SUPPORTED, FAILED]) == FAILED
    assert combine_verdicts([UNTESTED]) == combine_verdicts([]) == UNTESTED


def test_seeds_that_disagree_raise_the_error():
    alone = pool_evidence([0.5], [0.1], 10, "prompts")
    apart = pool_evidence([0.1, 0.5, 0.9], [0.1] * 3, 10, "prompts")
    assert alone.standard_error == pytest.approx(0.1) and apart.standard_error > 0.2
    assert apart.degrees == 2 and pool_evidence([], [], 0, "x") is None


def test_the_fake_tree_decides_what_it_was_made_to_decide(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=30)
    table = build_claims(Results(tree, list(BACKBONES), [0], claims=LEDGER))
    overall = {row["claim"]: row["overall"] for row in table.records}
    assert overall["lowers-attack-success"] == SUPPORTED
    assert overall["released-over-refusal-rises"] == SUPPORTED
    assert overall["qwen-near-orthogonal"] == FAILED
    assert overall["beats-circuit-breakers"] == overall["holds-at-scale"] == UNTESTED
    assert set(overall) == {claim.id for claim in load_claims(LEDGER)}
    assert all(row["ledger_sha256"] == hash_ledger(LEDGER) for row in table.records)


def test_a_failed_claim_is_as_loud_as_a_supported_one(tmp_path):
    tree = make_results_tree(tmp_path / "tree", prompts=30)
    body = "\n".join(typeset_body(build_claims(Results(tree, list(BACKBONES), [0], claims=LEDGER))))
    assert "\\textbf{not supported}" in body and "\\textbf{supported}" in body


def test_scale_is_read_from_the_name():
    measure = METRICS["paired_difference_at_scale"].measure
    view = ResultsView(Path("nowhere"), ["Llama-3.1-70B-Instruct", "organism-llama"], [0])
    arguments = {"suite": "mean_asr", "method": "harc", "reference": "base", "billions": 70}
    assert measure(view, "organism-llama", **arguments) is None


def test_the_finding_over_all_runs_stands_beside_the_verdict(tmp_path):
    tree = make_results_tree(tmp_path / "tree", seeds=(0, 1), prompts=20)
    table = build_claims(Results(tree, list(BACKBONES), [0, 1], claims=LEDGER))
    rows = [row for row in table.records if row["claim"] == "lowers-attack-success"]
    assert [row["backbone"] for row in rows] == [*BACKBONES, POOLED]
    assert rows[-1]["seeds"] == 4 and rows[-1]["verdict"] == SUPPORTED
    assert rows[0]["overall"] == combine_verdicts([row["verdict"] for row in rows[:-1]])
    single = build_claims(Results(tree, list(BACKBONES), [0], claims=LEDGER))
    assert POOLED not in {row["backbone"] for row in single.records}


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
    assert measure(view, BACKBONES[0], examples=160, reference_examples=160, **given).estimate == -0.5
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
