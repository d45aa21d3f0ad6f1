"""Settings files that are not what they seem: one line each, with the file's line; and what null means."""

import ast
from pathlib import Path

import pytest

from harc.core.errors import ConfigError
from harc.core.yaml_text import parse_yaml, read_yaml
from harc.settings.loading import TrainingFile, parse_settings
from harc.settings.methods import list_presets
from harc.settings.profile import load_profile

PACKAGE = Path(__file__).parents[2] / "harc"
*FIRST, LAST = map(repr, list_presets())
PRESETS = f"{', '.join(FIRST)} or {LAST}"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("FALSE", False), ("~", None), ("", None),
        ("010", 10), ("0o17", 15), ("0x1F", 31), ("-3", -3), ("+5", 5), ("1_000", "1_000"), ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"), ("1.0e-4", 1e-4), (".5", 0.5), ("7e52415", "7e52415"), ("'true'", "true"),
        ("<<", "<<"), ("9223372036854775807", 2**63 - 1),
    ],
)  # fmt: skip
def test_plain_words_are_what_they_look_like(text: str, value: object):
    found = parse_yaml(f"a: {text}")["a"]
    assert (type(found), found) == (type(value), value)


def test_aliases_and_merged_mappings_are_read():
    text = "a: &a {x: 1, y: [2]}\nb: {<<: *a, x: 3}\nc: *a\n"
    assert parse_yaml(text) == {"a": {"x": 1, "y": [2]}, "b": {"x": 3, "y": [2]}, "c": {"x": 1, "y": [2]}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3: expected each key once; found the key 'a' again, first in line 1"),
        ("m:\n  a: 1\n  'a': 2\n", ":3: expected each key once; found the key 'a' again, first in line 2"),
        ("m: {a: 1, b: 2, a: 1}\n", ":1: expected each key once"),
        (BOMB, ":5: expected at most 100000 values; found more, with aliases written out"),
        ("a: &x [*x]\n", ":1: expected at most 50 levels"),
        ("a: " + "[" * 5000 + "]" * 5000, ": expected YAML; found values nested too deep"),
        ("a: " + "[" * 80 + "]" * 80, ":1: expected at most 50 levels"),
        ("b: 1\na: " + "9" * 5000, ":2: expected a whole number of at most 9223372036854775807; found 9999"),
        ("a: 9223372036854775808", ":1: expected a whole number of at most"),
        ("a: !!int x", ":1: expected a whole number"),
        ("a: !!bool maybe", ":1: expected true or false; found maybe"),
        ("a: !!timestamp 2001-01-01", ":1: expected YAML; found could not determine a constructor"),
        (
            "a: !!python/object/apply:os.getcwd []",
            ":1: expected YAML; found could not determine a constructor",
        ),
        ("a: !!map [1]", ":1: expected YAML"),
        ('a: "\\ud800"', ":1: expected Unicode; found a lone surrogate"),
        ("1: a\n", ":1: expected names as keys (put a number in quotes)"),
        ("true: a\n", ":1: expected names as keys"),
        ("~: a\n", ":1: expected names as keys"),
        ("[a]: 1\n", ":1: expected names as keys"),
        ("a: 1\n---\nb: 2\n", ":2: expected YAML; found another document"),
        ("a: \x07", ": expected YAML; found special characters are not allowed"),
        ("a: *nope", ":1: expected YAML; found undefined alias 'nope'"),
        ("\ta: 1", ":1: expected YAML"),
        ("- 1\n", ": expected a mapping of settings; found a list"),
        ("", ": expected a mapping of settings; found nothing"),
        ("# nothing\n", ": expected a mapping of settings; found nothing"),
    ],
)
def test_faulty_files_are_one_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert f"{path}{message}" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400 + len(str(path))


def test_files_that_hold_no_text(tmp_path: Path):
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    (tmp_path / "marked.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    (tmp_path / "large.yaml").write_bytes(b"#" * (5 * 2**20))
    assert read_yaml(tmp_path / "marked.yaml") == {"a": 1}
    for name, message in (
        ("latin.yaml", "latin.yaml:2: expected UTF-8; found byte 0xe9"),
        ("large.yaml", "large.yaml: expected a settings file of at most 4 MiB"),
        (".", "expected a settings file; found is a directory"),
        ("absent.yaml", "absent.yaml: expected a settings file; found none"),
        ("latin.yaml/x.yaml", "expected a settings file; found not a directory"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_yaml(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: no", "method: expected a valid dictionary or instance of MethodSettings; found 'no'"),
        ("method: [harc]", "method: expected a valid dictionary"),
        ("method: {preset: no}", f"method.preset: expected {PRESETS}; found 'no'; change the value$"),
        (
            "method: {preset: [sft]}",
            rf"method.preset: expected {PRESETS}; found \['sft'\]; change the value$",
        ),
        ("method: {steps: yes}", "method.steps: expected a valid integer"),
        ("method: {steps: true}", "method.steps: expected a valid integer.*; found true"),
        ("method: {learning_rate: .nan}", "method.learning_rate: expected a finite number; found nan"),
        ("method: {learning_rate: 1e999}", "method.learning_rate: expected a finite number"),
        ("method: {loss: {kl: .inf}}", "method.loss.kl: expected a finite number; found inf"),
        ("method: null", "method: expected a valid dictionary"),
        ("seed: 2026-01-01", "seed: expected a valid integer"),
        ("training: 2026", "training: expected a valid string; found 2026"),
        ("metod: {}", "metod: expected a known setting; found an unknown key; did you mean 'method'?"),
    ],
)
def test_surprising_values_of_a_file_by_hand(text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        parse_settings(TrainingFile, {"training": "rows.jsonl", **parse_yaml(text)}, "run.yaml")


def test_a_word_that_yaml_once_took_for_false():
    given = parse_yaml("training: rows.jsonl\nmethod: {precision: no, shard: off}")
    method = parse_settings(TrainingFile, given, "run.yaml").method
    assert (method.precision, method.shard) == ("no", False)


def write_chain(folder: Path, parent: str, child: str) -> str:
    (folder / "parent.yaml").write_text(f"extends: ci\n{parent}\n")
    (folder / "child.yaml").write_text(f"extends: {folder / 'parent.yaml'}\n{child}\n")
    return str(folder / "child.yaml")


def test_null_is_the_value_where_null_is_one(tmp_path: Path):
    endpoint = "{kind: openai, model: m, base_url: 'http://127.0.0.1:1/v1', cache: there}"
    parent = f"training: {{repbend: {{push_limit: 0.5}}}}\nevaluation: {{judge_endpoint: {endpoint}}}"
    child = "training: {repbend: {push_limit: null}}\nevaluation: {judge_endpoint: {cache: null}}"
    found = load_profile(write_chain(tmp_path, parent, child))
    assert found.methods["harc"].repbend.push_limit is None
    assert found.evaluation.judge_endpoint.cache is None
    alone = load_profile(write_chain(tmp_path, "", "methods: {harc: {repbend: {push_limit: null}}}"))
    assert alone.methods["harc"].repbend.push_limit is None


def test_null_takes_any_other_setting_back_to_its_default(tmp_path: Path):
    found = load_profile(
        write_chain(tmp_path, "seeds: [3]\ntraining: {steps: 5}", "seeds: null\nfinetuning: null")
    )
    assert (found.seeds, found.finetuning.methods, found.methods["harc"].steps) == ((0,), (), 5)
    again = load_profile(
        write_chain(tmp_path, "", "training: {lora: null}\nmethods: {no_coupling: {loss: null}}")
    )
    assert (again.methods["harc"].lora.rank, again.methods["no_coupling"].loss.couple) == (32, 0.0)


def test_null_removes_an_entry_that_is_there_and_no_other(tmp_path: Path):
    assert "cast" not in load_profile(write_chain(tmp_path, "", "methods: {cast: null}")).methods
    for child, place in (
        ("methods: {cb: null}", "methods.cb"),
        ("backbones: {organism-lama: null}", "backbones.organism-lama"),
        ("methods:\n  joint:", "methods.joint"),
    ):
        with pytest.raises(
            ConfigError, match=rf"child.yaml: {place}: expected an inherited entry, which null removes"
        ):
            load_profile(write_chain(tmp_path, "", child))


@pytest.mark.parametrize(
    ("child", "message"),
    [
        (
            "name: other",
            "child.yaml: name: expected none, or child: a profile is named like its file; found 'other'",
        ),
        ("source: other", "child.yaml: source: expected none"),
        ("training: [1]", "child.yaml: training: expected a valid dictionary"),
        ("methods: [harc]", "child.yaml: methods: expected a valid dictionary"),
        ("training: {preset: sft}", "child.yaml: training: expected values without `preset`"),
    ],
)
def test_profiles_that_would_be_read_otherwise_than_meant(tmp_path: Path, child: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_profile(write_chain(tmp_path, "", child))
    (tmp_path / "list.yaml").write_text("extends: [ci]\n")
    with pytest.raises(ConfigError, match="list.yaml: extends: expected the name of one profile"):
        load_profile(str(tmp_path / "list.yaml"))


def find_other_readers(package: Path) -> list[str]:
    """Files that call a reader of YAML other than this one."""
    found = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = (
                node.attr
                if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "yaml"
                else ""
            )
            if name.endswith(("load", "load_all", "compose", "parse")):
                found.append(path.relative_to(package).as_posix())
    return found


def test_yaml_is_read_in_one_place(tmp_path: Path):
    # lm_eval's task files have tags of their own and come from the installed package.
    assert set(find_other_readers(PACKAGE)) <= {"suites/benchmarks.py"}
    (tmp_path / "bad.py").write_text("import yaml\nyaml.safe_load('a: 1')\n")
    assert find_other_readers(tmp_path) == ["bad.py"]
