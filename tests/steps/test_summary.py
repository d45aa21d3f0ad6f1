"""The last lines of a run: the audit's verdict, and whether it still is of the tree that lies there."""

from pathlib import Path

import pytest

from harc.audit import AuditReport
from harc.audit.report import Finding
from harc.audit.step import write_report
from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError
from harc.core.files import read_json, write_json
from harc.core.tree_files import hash_state
from harc.settings.profile import load_profile
from harc.steps.summary import format_audit, format_summary

FINDING = Finding("results/x.csv", "changed", "sha256 aa", "sha256 bb", "run `harc step score`")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A tree with one artifact of each kind that the tests touch."""
    layout = Layout(tmp_path / "tree")
    for name in ("generations/g.jsonl", "scores/s.csv", "tables.provenance.json", "logs/x.log"):
        (layout.root / name).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / name).write_text(name)
    return layout


def store(layout: Layout, *findings: Finding) -> None:
    counts = {"sidecars": 3, "none": 0}
    report = AuditReport("tree", "f" * 64, counts, findings, state=hash_state(layout.root))
    write_report(report, layout.audit.parent)


def test_a_run_ends_with_the_audit_in_two_lines(layout: Layout):
    store(layout)
    assert format_audit(layout, "ci") == f"  audit: sound (3 sidecars)\n  root hash {'f' * 64}"
    store(layout, FINDING)
    assert format_audit(layout, "ci").startswith("  audit: 1 findings (3 sidecars)")


def change(root: Path) -> None:
    (root / "generations/g.jsonl").write_text("other")


def add(root: Path) -> None:
    (root / "scores/t.csv").write_text("")


def remove(root: Path) -> None:
    (root / "scores/s.csv").unlink()


def link(root: Path) -> None:
    (root / "scores/s.csv").rename(root.parent / "s.csv")
    (root / "scores/s.csv").symlink_to(root.parent / "s.csv")


def swap(root: Path) -> None:
    (root / "scores/s.csv").rename(root / "generations/s.csv")


@pytest.mark.parametrize("tamper", [change, add, remove, link, swap])
def test_a_verdict_on_another_state_of_the_tree_is_stale(layout: Layout, tamper):
    store(layout)
    tamper(layout.root)
    text = format_audit(layout, "ci")
    assert text.startswith(
        "  audit: stale: the tree changed since it was found sound; run `harc audit --profile ci`"
    )
    store(layout)
    assert "stale" not in format_audit(layout, "ci")


def test_records_of_the_running_make_no_verdict_stale(layout: Layout):
    store(layout)
    (layout.root / "logs/x.log").write_text("more")
    (layout.root / "audit/audit.json.provenance.json").write_text("{}")
    assert format_audit(layout, "ci").startswith("  audit: sound")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"ok": true}', '{"ok": true, "ok": false}', "\udcff"])
def test_a_damaged_verdict_is_none(layout: Layout, content: str):
    store(layout)
    layout.audit.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert format_audit(layout, "ci") == "  audit: none that can be read; run `harc audit --profile ci`"


@pytest.mark.parametrize(("ok", "findings"), [("yes", []), (True, [{}]), (False, []), (1, [])])
def test_so_is_one_against_its_own_findings(layout: Layout, ok: object, findings: list):
    store(layout)
    write_json(layout.audit, read_json(layout.audit) | {"ok": ok, "findings": findings})
    assert format_audit(layout, "ci") == "  audit: none that can be read; run `harc audit --profile ci`"


def test_nothing_run_has_no_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    profile = load_profile("ci")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ArtifactError, match="results/ci: expected results of profile ci; found none; run `snakemake"
    ):
        format_summary(profile, started=0, failed=False)
    assert "stopped" in format_summary(profile, started=0, failed=True)
