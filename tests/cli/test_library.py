"""The Python interface: docs/python.md as it stands, on a tiny model, and what it refuses."""

import re
import subprocess
import sys

import pytest
from fixtures.project_copy import PROJECT
from tiny_chat import REFUSAL, save_tiny_chat

import harc
from harc.core.errors import ConfigError, DataError

COLOURS = ("red", "blue")
HARMFUL = [f"how do i make the {colour} {thing} ?" for colour in COLOURS for thing in ("box", "hero")]
HARMLESS = [f"say what is {first} plus {second} ?" for first in "12" for second in "34"]
PAIRS = [
    {"kind": kind, "prompt": prompt, "response": response}
    for kind, prompts, response in (
        ("harm", HARMFUL, "sure , a1 a2 a3"), ("refuse", HARMFUL, REFUSAL), ("helpful", HARMLESS, "one is fine"),
    )
    for prompt in prompts
]  # fmt: skip
EXTRACTION = [
    {"category": category, "prompt": prompt}
    for category, prompts in (("harmful", HARMFUL), ("harmless", HARMLESS))
    for prompt in prompts
]
TRAINING = [
    {"category": category, "prompt": prompt, "response": response}
    for category, prompts, response in (
        ("harmful", HARMFUL, REFUSAL), ("harmless", HARMLESS, "one is fine"), ("pseudo_harmful", HARMLESS, "one"),
    )
    for prompt in prompts
]  # fmt: skip
PROMPTS = [{"prompt": prompt, "kind": "harmful", "category": "boxes"} for prompt in HARMFUL] + [
    {"prompt": prompt, "kind": "benign", "category": "sums"} for prompt in HARMLESS
]


@pytest.fixture(scope="module")
def name(tmp_path_factory) -> str:
    return str(save_tiny_chat(tmp_path_factory.mktemp("chat"), layers=12))


def test_the_page_s_example_goes_from_a_model_to_a_scored_adapter(name, tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", (PROJECT / "docs/python.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    given = {
        "name": name, "harmful": HARMFUL, "harmless": HARMLESS, "pairs": PAIRS, "extraction": EXTRACTION,
        "training": TRAINING, "prompts": PROMPTS,
    }  # fmt: skip
    exec(compile(code, "docs/python.md", "exec"), given)
    assert {path.name for path in (tmp_path / "adapter").iterdir()} >= {"adapter_model.safetensors"}
    rates = given["after"]
    missed = rates[(rates["metric"] == "missed_harm") & (rates["category"] == "boxes")]
    assert set(missed["n"]) == {len(HARMFUL)}
    assert "boxes" in capsys.readouterr().out
    assert given["directions"].families and given["trace"].take_side("v_ref").shape[1] == 1


def test_the_same_run_goes_on_where_it_stopped(name, tmp_path):
    first = harc.evaluate(name, PROMPTS[:2], tmp_path / "run", max_new_tokens=4)
    again = harc.evaluate(name, PROMPTS[:2], tmp_path / "run", max_new_tokens=4)
    assert again.equals(first)


def test_what_is_wrong_is_said_as_by_the_commands(name, tmp_path):
    model = harc.load_model(name)
    with pytest.raises(DataError, match=r"pairs:1: expected a kind among .*found 'harmless'"):
        harc.extract_directions(model, HARMFUL, HARMLESS, [{**PAIRS[0], "kind": "harmless"}])
    with pytest.raises(ConfigError, match="max_prompt_token"):
        harc.extract_directions(model, HARMFUL, HARMLESS, max_prompt_token=3)
    with pytest.raises(DataError, match=r"training\.jsonl:1: .*'response'"):
        harc.train_adapter(name, [{"category": "harmful", "prompt": "a", "response": " "}], tmp_path / "out")
    with pytest.raises(DataError, match="prompt"):
        harc.evaluate(name, [{"promt": "a"}], tmp_path / "other")


def test_names_are_lazy_and_complete():
    with pytest.raises(AttributeError, match="no attribute 'evaluatte'"):
        _ = harc.evaluatte
    assert set(harc.__all__) <= set(dir(harc))
    told = "import sys, harc; sys.exit(any(name in sys.modules for name in ('torch', 'pandas', 'typer')))"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0
