"""The prose holds no typed result, refers only to what exists, and takes words that depend on numbers from macros."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.results_tree import make_results_tree, view_tree

from harc.core.errors import ArtifactError
from harc.core.files import sha256_file
from harc.results.catalogue import write_tables
from harc.results.figures import figure1
from harc.results.figures.style import save_figure
from harc.results.paper import collect_paper_inputs, make_numbers

PAPER = Path(__file__).parents[2] / "paper"
SECTIONS = sorted(PAPER.glob("sections/*.tex"))
# What may hold digits: arguments of references and lengths, mathematics, and proper names.
ALLOWED = (
    r"\\(?:label|ref|citep?|input|setlength|vspace|generated(?:figure|table|long)|whenmade|bibliography\w*)\*?(?:\[[^\]]*\])?\{[^{}]*\}(?:\{[^{}]*\})?",
    r"\\begin\{(equation|align)\}.*?\\end\{\1\}",
    r"\$[^$]*\$",
    r"%.*",
)


def find_typed_digits(text: str) -> list[str]:
    for pattern in ALLOWED:
        text = re.sub(pattern, " ", text, flags=re.DOTALL if "begin" in pattern else 0)
    return re.findall(r"\S*\d\S*", text)


def read_prose() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in SECTIONS)


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.stem)
def test_no_number_is_typed(path):
    assert find_typed_digits(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("typed", ["falls to .35 here", "by 12\\%", "over 3 seeds", "$p$ was 0.04"])
def test_the_guard_sees_a_typed_number(typed):
    assert find_typed_digits(typed)


def test_mathematics_holds_no_results():
    inline = re.findall(r"\$([^$]*)\$", read_prose())
    assert [text for text in inline if re.search(r"\d*\.\d|\d{2,}", text)] == []


def test_every_reference_has_its_label_and_every_citation_its_entry():
    prose = read_prose()
    labels = set(re.findall(r"\\label\{([^}]*)\}", prose))
    labels |= set(re.findall(r"\\generatedlong\{[\w/]+\}\{([^}]*)\}", prose))
    assert set(re.findall(r"\\ref\{([^}]*)\}", prose)) <= labels
    cited = {key for group in re.findall(r"\\citep?\{([^}]*)\}", prose) for key in group.split(",")}
    entries = set(re.findall(r"@\w+\{([^,]+),", (PAPER / "references.bib").read_text(encoding="utf-8")))
    assert cited == entries


NEEDED_FIELDS = {
    "article": {"title", "author", "journal", "year"},
    "inproceedings": {"title", "author", "booktitle", "year"},
    "misc": {"title", "author", "howpublished", "year"},
}


def find_incomplete(bibliography: str) -> list[str]:
    """Keys of entries that lack a field of their kind, or hold an empty one."""
    found = []
    for kind, key, body in re.findall(r"@(\w+)\{([^,]+),(.*?)\n\}", bibliography, re.DOTALL):
        given = dict(re.findall(r"^\s*(\w+)\s*=\s*\{(.*)\},?$", body, re.MULTILINE))
        if not all(given.get(field, "").strip() for field in NEEDED_FIELDS[kind]):
            found.append(key)
    return found


def test_every_entry_of_the_bibliography_is_complete():
    text = (PAPER / "references.bib").read_text(encoding="utf-8")
    assert text.count("@") == len(re.findall(r"@\w+\{[^,]+,.*?\n\}", text, re.DOTALL)) > 10
    assert find_incomplete(text) == []
    assert find_incomplete(text.replace("journal = {F1000Research}", "journal = {}")) == [
        "molder2021snakemake"
    ]


def test_every_section_is_read_and_every_figure_is_a_generated_one():
    main = (PAPER / "main.tex").read_text(encoding="utf-8")
    assert {path.stem for path in SECTIONS} == set(re.findall(r"\\input\{sections/(\w+)\}", main))
    prose = read_prose()
    assert "\\includegraphics" not in prose  # figures come through \generatedfigure


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    tree = make_results_tree(tmp_path_factory.mktemp("tree"), prompts=6)
    tables, figures = tree / "tables", tree / "figures"
    write_tables(view_tree(tree), tables)
    make_numbers(tables, tables / "numbers.tex")
    outputs = figures / "figure1.pdf", figures / "figure1.png"
    save_figure(figure1.draw(view_tree(tree)), *outputs)
    return tables, figures


def test_inputs_are_copied_with_a_row_of_provenance_each_and_old_ones_go(inputs, tmp_path):
    generated = tmp_path / "generated"
    generated.mkdir()
    (generated / "figure9.pdf").write_bytes(b"old")
    collect_paper_inputs(*inputs, generated)
    names = {path.name for path in generated.iterdir()}
    assert {"numbers.tex", "study.tex", "provenance.tex", "figure1.pdf", "table1.tex"} <= names
    assert "figure9.pdf" not in names
    rows = (generated / "provenance.tex").read_text(encoding="utf-8").splitlines()
    (figure,), (table,) = ([row for row in rows if row.startswith(name)] for name in ("figure1 ", "table1 "))
    assert "{-{}-figure} \\mbox{figure1}" in figure and sha256_file(inputs[1] / "figure1.pdf")[:10] in figure
    assert sha256_file(inputs[0] / "table1.csv")[:10] in table


def test_what_holds_nothing_is_not_said_to_be_made(inputs, tmp_path):
    collect_paper_inputs(*inputs, tmp_path / "generated")
    study = (tmp_path / "generated/study.tex").read_text(encoding="utf-8")
    assert "harc@made@table1" in study and "harc@made@figure1" in study
    assert "harc@made@suppression" not in study  # the tree has no such answers
    assert (tmp_path / "generated/suppression.tex").is_file()


def test_files_that_the_profile_no_longer_has_are_not_taken(inputs, tmp_path):
    collect_paper_inputs(*inputs, tmp_path / "generated", only={"table1.tex", "numbers.tex"})
    names = {path.name for path in (tmp_path / "generated").iterdir()}
    assert names == {"table1.tex", "numbers.tex", "provenance.tex", "study.tex"}


def test_a_study_beside_the_main_one_has_names_of_its_own(inputs, tmp_path):
    generated = tmp_path / "generated"
    collect_paper_inputs(*inputs, generated)
    collect_paper_inputs(*inputs, generated / "real", prefix="real")
    own, beside = (
        [(folder / name).read_text(encoding="utf-8") for name in ("numbers.tex", "provenance.tex")]
        for folder in (generated, generated / "real")
    )
    macros = re.findall(r"\\newcommand\{\\(\w+)\}", own[0])
    assert re.findall(r"\\newcommand\{\\(\w+)\}", beside[0]) == [f"Real{name}" for name in macros]
    assert "\nreal/\\allowbreak{}table1 &" in beside[1] and "\ntable1 &" in own[1]
    study = generated / "study.tex"
    assert "\\organismstrue" in study.read_text(encoding="utf-8")
    real = (generated / "real" / "study.tex").read_text(encoding="utf-8")
    assert "harc@made@real/table1" in real and "organisms" not in real
    collect_paper_inputs(*inputs, generated, has_organisms=False)  # a profile without such a study
    assert not (generated / "real" / "numbers.tex").exists()
    assert "\\organismsfalse" in study.read_text(encoding="utf-8")


def test_no_numbers_is_an_error_with_the_next_step(tmp_path):
    with pytest.raises(
        ArtifactError, match=r"expected the paper's numbers; found no file; run `harc step make_tables`"
    ):
        collect_paper_inputs(tmp_path, tmp_path, tmp_path / "generated")


@pytest.mark.skipif(
    shutil.which("latexmk") is None, reason="needs latexmk; the workflow goes on without a PDF too"
)
@pytest.mark.slow
def test_equal_inputs_give_an_equal_pdf(inputs, tmp_path):
    made = []
    for name in ("a", "b"):
        work = tmp_path / name
        shutil.copytree(PAPER, work, ignore=shutil.ignore_patterns("generated", "build", "*.pdf"))
        collect_paper_inputs(*inputs, work / "generated")
        environment = {
            "PATH": "/usr/bin:/bin",
            "SOURCE_DATE_EPOCH": "0",
            "FORCE_SOURCE_DATE": "1",
            "HOME": str(work),
        }
        subprocess.run(["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "main.tex"],
                       cwd=work, env=environment, check=True, capture_output=True)  # fmt: skip
        made.append((work / "main.pdf").read_bytes())
        log = (work / "main.log").read_text(encoding="utf-8", errors="replace")
        assert not [word for word in ("undefined", "Overfull \\hbox", "Float too large") if word in log]
    assert made[0] == made[1]
