"""What an audit says without finding fault: other versions of libraries, code that has moved on."""

import ast
import sys
from pathlib import Path

import pytest

from harc.audit.drift import Drift, compare_versions, describe_drift
from harc.audit.sidecars import Sidecar
from harc.core.fingerprint import ROOT
from harc.core.provenance import PACKAGES, read_versions

HERE = {"python": "3.11.7", "torch": "2.13.0", "trl": "1.16.0"}
# Third-party modules that cannot change a number, a text or a figure: they read, send, print or run things.
PLUMBING = {
    "dvc",
    "httpcore2",
    "httpx2",
    "huggingface_hub",
    "jaxtyping",
    "inspect_ai",
    "openai",
    "packaging",
    "pooch",
    "psutil",
    "pyarrow",
    "regex",  # patterns of a user's own policy layer
    "pydantic",
    "pydantic_core",
    "requests",
    "rich",
    "typer",
    "urllib3",
    "yaml",
}


def make_sidecar(**versions: str) -> Sidecar:
    return Sidecar(Path("x.provenance.json"), {"versions": versions, "git_commit": None}, {}, {})


def test_the_same_versions_are_not_worth_a_word():
    assert compare_versions([make_sidecar(**HERE)], HERE) == []
    assert compare_versions([make_sidecar(**read_versions())]) == []


@pytest.mark.parametrize("package", ["torch", "trl", "python"])
def test_another_version_is_named_with_how_many_artifacts_it_made(package: str):
    sidecars = [make_sidecar(**HERE), *(make_sidecar(**{**HERE, package: "9"}) for _ in range(3))]
    assert compare_versions(sidecars, HERE) == [
        f"3 artifacts were made with {package} 9; here is {HERE[package]}: last digits may differ"
    ]


def test_a_package_that_is_not_here_is_named_too():
    assert "with nltk 3; here is none" in compare_versions([make_sidecar(nltk="3")], HERE)[0]


def test_every_library_that_can_change_a_number_is_recorded():
    """Whatever harc imports from others is recorded, or is known to be plumbing."""
    imported = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                imported.add(node.module.split(".")[0])
    foreign = imported - set(sys.stdlib_module_names) - {"harc"} - PLUMBING
    assert foreign <= set(PACKAGES), foreign - set(PACKAGES)
    assert {"torch", "transformers", "peft", "trl", "tokenizers", "numpy", "safetensors"} <= set(PACKAGES)


def test_nothing_moved_is_nothing_to_say():
    assert describe_drift(Drift(), {}) == []


def test_each_kind_of_difference_is_one_line():
    one = make_sidecar()
    files = {f"project://config/{number}" for number in range(7)}
    drift = Drift({"results://backbones/w"}, files, [one], [one], [one], unrepeated=2)
    lines = describe_drift(drift, {})
    assert len(lines) == 6
    assert (
        "1 files (weights, tokenizers, rows, planes that nothing draws, the report) are left out" in lines[0]
    )
    assert "made at an unknown commit (1)" in lines[1]
    assert lines[4].endswith("project://config/4 and 2 more")
