"""Two results trees side by side: values with intervals, what agrees, what differs, and the exit code."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fixtures.audited_tree import ROOT, build_tree
from safetensors.numpy import save_file
from typer.testing import CliRunner

from harc.audit.comparison import compare_trees, list_artifacts, print_comparison
from harc.audit.comparison_values import Value, agree, overlap, read_values
from harc.cli import app
from harc.core.errors import ArtifactError

TABLE = "suite,metric,n,rate,ci_low,ci_high\ndirect,asr,12,0.5,0.3,0.7\npair,asr,12,0.9,0.8,1\n"


def write_tree(root: Path, table: str = TABLE, macro: str = "0.50") -> Path:
    """A tree of a score, a macro, a record and a figure."""
    for name, text in {
        "scores/b/m/seed0/scores.csv": table,
        "tables/numbers.tex": f"\\newcommand{{\\Rate}}{{{macro}}}\n",
        "adapters/b/m/seed0/base_model.json": json.dumps(
            {"base": f"results/{root.name}/backbones/b", "n": 1}
        ),
        "figures/figure1.pdf": "%PDF",
        "tables.provenance.json": f'{{"started": "{root}"}}',
        "logs/score.log": str(root),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def run_compare(*arguments: object):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_the_same_results_in_two_places_differ_in_nothing(tmp_path: Path):
    a, b = write_tree(tmp_path / "a"), write_tree(tmp_path / "b")
    found = compare_trees(a, b)
    assert found.ok()
    assert len(found.same) == 3
    assert [(file.name, file.agrees) for file in found.different] == [
        ("adapters/b/m/seed0/base_model.json", True)
    ]
    assert run_compare(a, b).exit_code == 0


@pytest.mark.parametrize(
    ("row", "shown", "covered"),
    [
        (
            "pair,asr,12,0.85,0.75,0.95",
            "pair asr: rate: 0.9 [0.8, 1] | 0.85 [0.75, 0.95]; intervals overlap",
            True,
        ),
        ("pair,asr,12,0.2,0.1,0.3", "pair asr: rate: 0.9 [0.8, 1] | 0.2 [0.1, 0.3]; intervals apart", False),
        ("pair,asr,13,0.9,0.8,1", "pair asr: n: 12 | 13", True),
    ],
)
def test_a_number_that_differs_is_named_with_its_intervals(
    tmp_path: Path, row: str, shown: str, covered: bool
):
    a = write_tree(tmp_path / "a")
    b = write_tree(tmp_path / "b", TABLE.replace("pair,asr,12,0.9,0.8,1", row))
    run = run_compare(a, b, "--out", tmp_path / "out.json")
    assert run.exit_code == 1
    assert "scores/b/m/seed0/scores.csv: 1 of 4 values differ" in run.stdout
    assert shown in run.stdout
    assert run_compare(a, b, "--intervals").exit_code == (0 if covered else 1)
    files = json.loads((tmp_path / "out.json").read_text())["different"]
    assert sum(len(file["differences"]) for file in files) == 1


def test_a_tolerance_lets_small_differences_pass(tmp_path: Path):
    a, b = write_tree(tmp_path / "a"), write_tree(tmp_path / "b", macro="0.501")
    assert run_compare(a, b).exit_code == 1
    assert run_compare(a, b, "--tolerance", "0.01").exit_code == 0
    assert run_compare(a, b, "--tolerance", "0.0001").exit_code == 1


def test_files_of_one_tree_count_unless_only_common_ones_are_asked_for(tmp_path: Path):
    a, b = write_tree(tmp_path / "a"), write_tree(tmp_path / "b")
    (b / "tables/numbers.tex").unlink()
    assert compare_trees(a, b).only_a == ("tables/numbers.tex",)
    assert run_compare(a, b).exit_code == 1
    assert run_compare(a, b, "--common").exit_code == 0


def test_a_figure_of_other_bytes_differs(tmp_path: Path):
    a, b = write_tree(tmp_path / "a"), write_tree(tmp_path / "b")
    (b / "figures/figure1.pdf").write_text("%PDF other")
    assert run_compare(a, b).exit_code == 1
    assert "figures/figure1.pdf: other bytes\n" in run_compare(a, b).stdout


def test_every_kind_of_artifact_is_compared_by_its_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    build_tree()
    shutil.copytree(ROOT, "other")
    for path in list_artifacts(Path("other")).values():
        assert path.suffix in (".png", ".pdf", ".html", ".jinja") or read_values(path), path
    assert compare_trees(ROOT, Path("other")).ok()


def test_tensors_are_compared_entry_by_entry(tmp_path: Path):
    save_file({"v": np.zeros((2, 2), np.float32)}, tmp_path / "a.safetensors")
    values = read_values(tmp_path / "a.safetensors")
    assert values["v shape"] == Value("float32 (2, 2)")
    assert values["v[3]"] == Value(0.0)
    (tmp_path / "b.safetensors").write_text("cut")
    assert read_values(tmp_path / "b.safetensors") is None


def test_rows_of_equal_names_are_kept_apart(tmp_path: Path):
    (tmp_path / "t.csv").write_text("suite,n\na,1\na,2\n")
    assert list(read_values(tmp_path / "t.csv")) == ["a: n", "a #2: n"]


def test_no_number_is_the_same_as_no_number_and_text_is_no_number():
    nan = Value(float("nan"))
    assert agree(nan, nan, 0) and not agree(nan, Value(1.0), 1)
    assert not agree(Value("1"), Value(1.0), 1)
    assert overlap(Value(1.0), Value(1.0, 0.0, 2.0)) is None


def test_a_comparison_shows_artifacts_without_obeying_them(tmp_path: Path):
    a, b = write_tree(tmp_path / "a"), write_tree(tmp_path / "b", macro="\x1b[31m[bold]x[/bold]")
    stream = io.StringIO()
    print_comparison(compare_trees(a, b), stream=stream)
    assert "\x1b" not in stream.getvalue()
    assert "\\x1b[31m[bold]x[/bold]" in stream.getvalue()


def test_a_folder_that_is_no_tree_is_an_error(tmp_path: Path):
    with pytest.raises(ArtifactError, match="expected a results tree; found nothing; check the path"):
        compare_trees(tmp_path / "a", tmp_path / "b")


def test_a_table_that_cannot_be_read_is_a_difference_whatever_decides(tmp_path: Path):
    a, b = write_tree(tmp_path / "a"), write_tree(tmp_path / "b")
    (b / "scores/b/m/seed0/scores.csv").write_bytes(b"\xff\xfe")
    found = compare_trees(a, b)
    assert [file.name for file in found.different if file.unreadable] == ["scores/b/m/seed0/scores.csv"]
    assert not found.ok() and not found.ok(common=True, intervals=True)
    stream = io.StringIO()
    print_comparison(found, stream=stream)
    assert "scores.csv: values that cannot be read" in stream.getvalue()


def test_a_link_in_a_tree_is_refused(tmp_path: Path):
    a, b = write_tree(tmp_path / "a"), write_tree(tmp_path / "b")
    (b / "scores/b/n").symlink_to("m")
    with pytest.raises(ArtifactError, match="found a symbolic link to m"):
        compare_trees(a, b)
