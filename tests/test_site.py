"""The documentation site builds without a warning; a broken link or anchor ends the build."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXTERNAL = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=["']?(?:https?:)?//""")
PARTS = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LOG.md",
    "SECURITY.md",
    "CITATION.cff",
    "mkdocs.yml",
)


def build(project: Path, out: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(out)],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    return out


def test_every_document_is_a_page_and_no_page_asks_another_host(site: Path):
    pages = {path.relative_to(site).as_posix(): path.read_text("utf-8") for path in site.rglob("*.html")}
    written = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
    }
    assert written and written < pages.keys()
    assert [name for name, text in pages.items() if EXTERNAL.search(text)] == []
    assert EXTERNAL.search('<script async src="https://example.org/a.js">')


def test_what_lies_outside_docs_is_on_the_site(site: Path):
    home = (site / "index.html").read_text("utf-8")
    assert 'href="profiles.html#studies-of-several-sittings"' in home and 'href="configuration.html"' in home
    (picture,) = re.findall(r'src="(files/[^"]+\.png)"', home)
    assert (site / picture).is_file()
    assert (
        'href="docs/' not in home and "<!-- " not in home.partition("<article")[2].partition("</article")[0]
    )


def test_the_references_hold_every_command_option_and_public_name(site: Path):
    from test_documented_commands import LEAVES

    import harc

    commands = (site / "reference/commands.html").read_text("utf-8")
    for words, parameters, _ in LEAVES:
        section = commands.partition(f'id="harc-{"-".join(words)}"')[2].partition("<h2")[0]
        shown = [one for one in parameters if not getattr(one, "hidden", False)]
        assert section and all(one.opts[0].lstrip("-") in section.lower() for one in shown), words
    names = (site / "reference/names.html").read_text("utf-8")
    assert all(f'.{name}"' in names for name in harc.__all__ if name != "__version__")


def test_a_link_that_leads_nowhere_ends_the_build_with_its_name(tmp_path: Path):
    for name in (*PARTS, "scripts/site_pages.py", "config/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in ("harc", "results"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    broken = ("[a](../harc/no_file.py)", "[b](no_page.md)", "[c](evaluation.md#no-such-part)")
    with (tmp_path / "docs/paper.md").open("a") as page:
        page.write("\n\n".join(("", *broken)))
    done = build(tmp_path, tmp_path / "out")
    warned = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert done.returncode == 1 and len(warned) == len(broken)
    for name in ("no_file.py", "no_page.md", "no-such-part"):
        assert any("paper.md" in line and name in line for line in warned)
