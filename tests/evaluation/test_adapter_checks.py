"""`harc adapter check`: sound adapters of every supported kind pass; each fault is named by the check it is for."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import huggingface_hub.constants
import pytest
import torch
from fixtures.hostile_models import (
    ADAPTER,
    add,
    change_tensors,
    configure,
    cut,
    drop,
    overwrite,
    pack_header,
    put,
    remove,
)
from fixtures.tiny_adapters import CARD, Q, save_adapter, save_base
from peft import LoHaConfig, LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import MixtralConfig, MixtralForCausalLM

import harc.cli
from harc.cli.running import run_command
from harc.evaluation.adapters import checks, header, layers, numbers
from harc.evaluation.adapters.licences import Licence, describe_terms, list_terms
from harc.evaluation.adapters.report import check_adapter, make_subject
from harc.evaluation.adapters.settings import PLAIN, SPECIAL, AdapterSettings

ROOT = Path(__file__).parents[2]
CONFIG = "adapter_config.json"
NAN = float("nan")


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return save_base(tmp_path_factory.mktemp("base") / "base")


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return save_adapter(tmp_path_factory.mktemp("sound") / "adapter")


@pytest.fixture
def adapter(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "adapter"))


def list_said(report: dict, *statuses: str) -> dict[str, str]:
    return {entry["name"]: entry["reason"] for entry in report["checks"] if entry["status"] in statuses}


KINDS = {
    "LoRA": {},
    "rsLoRA": {"use_rslora": True},
    "DoRA": {"use_dora": True},
    "rsLoRA + DoRA": {"use_rslora": True, "use_dora": True},
    "patterns": {
        "rank_pattern": {"q_proj": 2, r"layers\.[01]\.mlp\.down_proj": 3},
        "alpha_pattern": {"down_proj": 16},
    },
    "all-linear": {"target_modules": "all-linear"},
    "regular expression": {"target_modules": r".*\.layers\.[0-2]\..*(q|v)_proj"},
    "some blocks": {"layers_to_transform": [1, 3]},
    "left out": {"target_modules": "all-linear", "exclude_modules": ["q_proj"]},
    "biases": {"lora_bias": True},
    "embeddings": {"target_modules": ["embed_tokens", "q_proj"]},
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "whole head": {"modules_to_save": ["lm_head"]},
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", KINDS)
def test_adapters_that_peft_writes_pass(name, base, tmp_path):
    report = check_adapter(str(save_adapter(tmp_path / "adapter", **KINDS[name])), str(base))
    assert report["ok"], list_said(report, "fail")
    assert not list_said(report, "skip")
    expected = name if name in ("rsLoRA", "DoRA", "rsLoRA + DoRA") else "LoRA"
    assert report["facts"]["kind"] == expected
    assert report["facts"]["scale"] == (4 if "rs" in expected else 2)
    whole = {"embeddings", "head", "whole head"}
    assert ("further weights" in list_said(report, "warn")) == (name in whole)


def test_another_kind_is_named_and_not_supported(base, tmp_path):
    folder = save_adapter(tmp_path / "adapter", LoHaConfig, r=4, target_modules=["q_proj"])
    report = check_adapter(str(folder), str(base))
    assert "LoHa" in list_said(report, "fail")["kind of adapter"]
    assert {"ranks", "targets"} <= list_said(report, "skip").keys()


def retype(folder: Path) -> None:
    change_tensors(
        folder, lambda t: t.update({f"{Q}.lora_A.weight": t[f"{Q}.lora_A.weight"].to(torch.int8)}), ADAPTER
    )


def zero(folder: Path) -> None:
    change_tensors(folder, lambda t: [t[name].zero_() for name in t if "lora_B" in name] and None, ADAPTER)


def zero_one(folder: Path) -> None:
    change_tensors(folder, lambda t: t[f"{Q}.lora_B.weight"].zero_() is None, ADAPTER)


def widen(folder: Path) -> None:
    change_tensors(folder, lambda t: t.update({f"{Q}.lora_B.weight": torch.ones(33, 4)}), ADAPTER)


def link_out(folder: Path) -> None:
    (folder / ADAPTER).unlink()
    (folder / ADAPTER).symlink_to("/etc/hostname")


def link_folder_out(folder: Path) -> None:
    (folder / "more").symlink_to("/etc")


def put_pipe(folder: Path) -> None:
    (folder / CONFIG).unlink()
    os.mkfifo(folder / CONFIG)


def write_header(entries: dict | str, body: int = 8, **options) -> object:
    return overwrite(ADAPTER, pack_header(entries, bytes(body), **options))


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
TWICE = '{"a":' + json.dumps(ONE) + ',"a":' + json.dumps(ONE) + "}"
A, B = f"{Q}.lora_A.weight", f"{Q}.lora_B.weight"
FAULTS = {
    "a pickle": (overwrite("adapter_model.bin", b"junk"), "safetensors only", "a pickle runs code"),
    "no weights": (remove(ADAPTER), "safetensors only", "no adapter_model.safetensors"),
    "a link out": (link_out, "no links out", "a link out of the folder"),
    "a folder's link out": (link_folder_out, "no links out", "more (a link out of the folder)"),
    "a pipe": (put_pipe, "no links out", "no regular file"),
    "no bytes": (overwrite(ADAPTER, b""), "sizes", "no bytes"),
    "cut off": (cut(ADAPTER, 0.9), "header", "cut off"),
    "a huge header": (write_header({}, length=1 << 62), "header", "more than 16,777,216"),
    "no JSON": (write_header("{"), "header", "no JSON"),
    "deep JSON": (write_header("[" * 100_000), "header", "too deep"),
    "a list": (write_header("[]"), "header", "no object"),
    "nothing": (write_header({}, 0), "header", "without tensors"),
    "a name twice": (write_header(TWICE), "header", "given twice"),
    "overlap": (write_header({"a": ONE, "b": {**ONE, "data_offsets": [2, 6]}}), "header", "a and b overlap"),
    "the same bytes": (write_header({"a": ONE, "b": ONE}, 4), "header", "a and b overlap at bytes 0 to 4"),
    "out of the file": (write_header({"a": {**ONE, "data_offsets": [8, 12]}}), "header", "cut off, or a false header"),
    "hidden bytes": (write_header({"a": ONE}, 9), "header", "bytes 4 to 9 belong to no tensor"),
    "a hole": (write_header({"a": ONE, "b": {**ONE, "data_offsets": [5, 9]}}, 9), "header", "bytes 4 to 5"),
    "a false shape": (write_header({"a": {**ONE, "shape": [2]}}, 4), "header", "a with shape [2] of F32 in 4 bytes"),
    "a shape beyond 64 bits": (write_header({"a": {**ONE, "shape": [1 << 63] * 9}}, 4), "header", "a with shape"),
    "half a byte": (write_header({"a": {**ONE, "data_offsets": [0.5, 4]}}, 4), "header", "no whole numbers"),
    "an unknown dtype": (write_header({"a": {**ONE, "dtype": "F13"}}, 4), "header", "the unknown kind 'F13'"),
    "a long name": (write_header({"a" * 2000: ONE}, 4), "header", "a name of 2000 characters"),
    "integers": (retype, "kind of numbers", "in I8"),
    "config no JSON": (overwrite(CONFIG, b"{"), "settings", "Expecting"),
    "config a list": (overwrite(CONFIG, b"[]"), "settings", "a list"),
    "config missing": (remove(CONFIG), "settings", "no adapter_config.json"),
    "rank a text": (configure(CONFIG, r="four"), "settings", "r: Input should be a valid integer"),
    "rank 0": (configure(CONFIG, r=0), "settings", "r: Input should be greater than or equal to 1"),
    "rank true": (configure(CONFIG, r=True), "settings", "r: Input should be a valid integer"),
    "targets a number": (configure(CONFIG, target_modules=3), "settings", "target_modules"),
    "another task": (configure(CONFIG, task_type="SEQ_CLS"), "kind of adapter", "task_type 'SEQ_CLS'"),
    "no kind": (configure(CONFIG, peft_type="EVIL"), "kind of adapter", "an unknown or unsupported kind"),
    "an import": (configure(CONFIG, auto_mapping={"parent_library": "evil"}), "plain update", "would import"),
    "megatron": (configure(CONFIG, megatron_config={"a": 1}), "plain update", "imports a module"),
    "a random base": (configure(CONFIG, init_lora_weights="pissa_niter_4"), "plain update", "another at every loading"),
    "alpha 0": (configure(CONFIG, lora_alpha=0), "scale", "multiplied by 0"),
    "another rank": (configure(CONFIG, r=8), "ranks", "q_proj of rank 4, not 8"),
    "a pattern's rank": (configure(CONFIG, rank_pattern={"q_proj": 2}), "ranks", "of rank 4, not 2"),
    "one side": (drop(A, ADAPTER), "whole updates", "without lora_A"),
    "two ranks": (
        lambda folder: change_tensors(folder, lambda t: t.update({A: torch.ones(3, 32)}), ADAPTER),
        "whole updates", "of two ranks",
    ),
    "DoRA without": (configure(CONFIG, use_dora=True), "whole updates", "without a magnitude"),
    "biases in words": (configure(CONFIG, bias="all"), "further weights", "bias 'all' in the settings, and 0 biases"),
    "a target without weights": (
        configure(CONFIG, target_modules=["q_proj", "down_proj", "up_proj"]), "targets", "without weights: up_proj",
    ),
    "weights without target": (configure(CONFIG, target_modules=["q_proj"]), "targets", "are no targets"),
    "no regular expression": (configure(CONFIG, target_modules="(q_proj"), "targets", "no regular expression"),
    "an endless pattern": (
        configure(CONFIG, target_modules=r"(.|[a-z_.0-9])*\d+(.|[a-z_.0-9])*(.|[a-z_.])*X"), "targets", "more than 2 s",
    ),
    "other blocks": (configure(CONFIG, layers_to_transform=[0, 1]), "blocks", "which layers_to_transform leaves out"),
    "missing blocks": (configure(CONFIG, layers_to_transform=list(range(7))), "blocks", "no weights for blocks 5, 6"),
    "no saved module": (configure(CONFIG, modules_to_save=["lm_head"]), "further weights", "without weights: lm_head"),
    "a stray tensor": (add("base_model.model.norm.weight", 32, name=ADAPTER), "further weights", "no setting"),
    "NaN": (put(A, NAN, ADAPTER), "finite", f"NaN or infinity in {A}"),
    "infinity": (put(B, -float("inf"), ADAPTER), "finite", B),
    "untrained": (zero, "trained", "untrained"),
    "another width": (widen, "layers' shapes", "[33, 32] in place of [32, 32]"),
    "another base": (
        lambda folder: (folder / "base_model.json").write_text('{"model_type": "qwen2", "n_layers": 5}') and None,
        "base's shape", "trained on another base: model_type 'llama', not 'qwen2'",
    ),
    "a broken record": (overwrite("base_model.json", b"["), "base's shape", "base_model.json"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_by_its_check(name, adapter, base):
    change, check, message = FAULTS[name]
    change(adapter)
    report = check_adapter(str(adapter), str(base))
    assert not report["ok"]
    assert message in list_said(report, "fail").get(check, ""), list_said(report, "fail")


WARNINGS = {
    "one layer zero": (zero_one, "trained", "zero in 1 of 10 layers"),
    "an unknown setting": (configure(CONFIG, shiny=True), "settings", "ignores: shiny"),
    "a high scale": (configure(CONFIG, lora_alpha=4000), "scale", "above 64"),
    "a negative scale": (configure(CONFIG, lora_alpha=-4), "scale", "below 0"),
    "a program": (overwrite("setup.py", b""), "safetensors only", "programs"),
    "a start out of the base": (configure(CONFIG, init_lora_weights="olora"), "plain update", "out of the base"),
    "no targets": (configure(CONFIG, target_modules=None), "targets", "not named"),
    "another name": (configure(CONFIG, base_model_name_or_path="owner/other"), "base", "the settings name owner/other"),
    "a path": (configure(CONFIG, base_model_name_or_path="/home/me/x"), "base", "a place on the machine"),
    "another wheel": (configure(CONFIG, base_model_name_or_path="chat==0.1"), "base", "name chat==0.1; given is"),
    "another tokenizer": (overwrite("tokenizer.json", b"{}"), "tokenizer", "another than the base's"),
    "another template": (overwrite("chat_template.jinja", b"{{ 1 }}"), "chat template", "prompts differ"),
    "no card": (remove("README.md"), "model card", "no README.md"),
    "an empty card": (overwrite("README.md", b"---\nlicense: mit\n---\n"), "model card", "base_model, library_name"),
    "PEFT's card": (overwrite("README.md", b"# Model Card for Model ID\n"), "model card", "not filled in"),
    "a card's broken YAML": (overwrite("README.md", b"---\na: [\n---\n"), "model card", "no YAML"),
    "no licence": (overwrite("README.md", b"---\nbase_model: x\n---\n"), "licence of the adapter", "unknown"),
    "an odd licence": (overwrite("README.md", b"---\nlicense: wtfpl\n---\n"), "licence of the adapter", "wtfpl"),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNINGS)
def test_what_only_needs_a_look_is_a_warning(name, adapter, base):
    change, check, message = WARNINGS[name]
    change(adapter)
    report = check_adapter(str(adapter), str(base))
    assert report["ok"], list_said(report, "fail")
    assert message in list_said(report, "warn").get(check, ""), list_said(report, "warn")


def test_a_base_in_a_wheel_is_known_by_its_pin(adapter, base, tmp_path, monkeypatch):
    configure(CONFIG, base_model_name_or_path="chat==0.1")(adapter)
    monkeypatch.setenv("HARC_CACHE", str(tmp_path / "cache"))
    shutil.copytree(base, tmp_path / "cache/wheels/chat==0.1")
    assert "base" not in list_said(check_adapter(str(adapter), "chat==0.1"), "warn")


def test_a_base_with_fewer_blocks_or_another_width_does_not_fit(sound, tmp_path):
    shallow = save_base(tmp_path / "shallow", num_hidden_layers=3)
    assert (
        "where the base has 3 blocks"
        in list_said(check_adapter(str(sound), str(shallow)), "fail")["layers' shapes"]
    )
    deep = save_base(tmp_path / "deep", num_hidden_layers=6)
    assert (
        "no weights for 2 of 12"
        in list_said(check_adapter(str(sound), str(deep)), "fail")["all targets covered"]
    )
    wide = save_base(tmp_path / "wide", intermediate_size=64)
    assert (
        "5 of 10 layers do not fit"
        in list_said(check_adapter(str(sound), str(wide)), "fail")["layers' shapes"]
    )


def test_weights_of_the_base_are_not_needed_in_a_form_that_can_be_read(sound, base, tmp_path):
    quantised = shutil.copytree(base, tmp_path / "quantised")
    change_tensors(quantised, lambda t: t.update({k: v.to(torch.int8) for k, v in t.items()}))
    report = check_adapter(str(sound), str(quantised))
    assert report["ok"] and "quantised" in list_said(report, "warn")["layers' shapes"]


def test_a_repository_in_the_hubs_cache_is_read_through_its_links(sound, base, tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name, folder, place in (("adapters", sound, "first/"), ("base", base, "")):
        repository = tmp_path / f"cache/models--owner--{name}"
        snapshot = repository / "snapshots" / ("1" * 40)
        for path in folder.iterdir():
            blob = repository / "blobs" / path.name
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, blob)
            link = snapshot / (path.name if path.name == "README.md" else f"{place}{path.name}")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob)
        (repository / "refs").mkdir()
        (repository / "refs/main").write_text("1" * 40)
    report = check_adapter("owner/adapters/first", "owner/base")
    assert report["ok"] and report["revision"] == "1" * 40, list_said(report, "fail")
    assert report["licences"]["adapter"]["licence"].endswith("(apache-2.0)"), "the repository's card"
    assert list_said(report, "pass")["layers' shapes"] == "10 layers fit"
    (snapshot.parents[2] / "models--owner--adapters/snapshots" / snapshot.name / "first/more").symlink_to(
        "/etc"
    )
    assert "no links out" in list_said(check_adapter("owner/adapters/first"), "fail")


def test_of_a_base_on_the_hub_headers_alone_are_asked_for(sound, base, monkeypatch):
    asked = []

    def download(repo, **options):
        asked.append(options["allow_patterns"])
        return str(base)

    def read_headers(self, repo, revision):
        tensors = {
            name: SimpleNamespace(dtype=entry["dtype"], shape=entry["shape"])
            for name, entry in header.list_strict_entries(base / "model.safetensors").items()
        }
        return SimpleNamespace(files_metadata={"model.safetensors": SimpleNamespace(tensors=tensors)})

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "get_safetensors_metadata", read_headers)
    assert check_adapter(str(sound), "llama3.1-8b")["base"] == "meta-llama/Llama-3.1-8B-Instruct"
    assert list_said(check_adapter(str(sound), "owner/base"), "pass")["all targets covered"] == "10 layers"
    assert not any(
        pattern.endswith(("safetensors", "bin")) or pattern == "*" for one in asked for pattern in one
    )


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_mixture_of_experts_is_compared_as_far_as_its_names_go(tmp_path):
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, num_local_experts=4,
    )  # fmt: skip
    model = MixtralForCausalLM(config)
    model.save_pretrained(tmp_path / "base")
    options = {"r": 4, "init_lora_weights": False, "target_modules": "all-linear"}
    get_peft_model(model, LoraConfig(**options)).save_pretrained(tmp_path / "adapter")
    report = check_adapter(str(tmp_path / "adapter"), str(tmp_path / "base"))
    assert report["ok"], list_said(report, "fail")
    assert {"ranks", "layers' shapes"} <= list_said(report, "warn").keys()


@pytest.mark.parametrize("licence", sorted(list_terms()))
def test_licences_of_both_are_compared(licence, adapter, base, tmp_path):
    other = shutil.copytree(base, tmp_path / "other")
    (other / "README.md").write_text(CARD.format(licence=licence))
    terms = list_terms()[licence]
    report = check_adapter(str(adapter), str(other))
    assert report["ok"] == (terms.redistribution and terms.commercial)
    assert report["licences"]["base"]["licence"] == f"{terms.title} ({licence})"
    (other / "README.md").unlink()
    (other / "LICENSE").write_text(f"\n   {terms.marks[0]}\n")
    assert check_adapter(str(adapter), str(other))["licences"]["base"]["licence"].endswith(f"({licence})")


def test_a_given_licence_stands_in_for_none_but_contradicts_no_other(adapter, base, tmp_path, capsys):
    other = save_base(tmp_path / "other", licence=None)
    assert "unknown" in list_said(check_adapter(str(adapter), str(other)), "warn")["licence of the base"]
    report = check_adapter(str(adapter), str(other), "Llama3.1")
    assert "its terms go along" in list_said(report, "warn")["licence of the adapter"]
    for words, said in (
        (["--base", str(base), "--licence", "mit"], "found mit; leave it out"),
        (["--licence", "nope"], "found nope; check the spelling"),
        (["--base", "nope"], "or llama3.1-8b, qwen2.5-7b; found none of these"),
    ):
        assert run_command(harc.cli.app, ["adapter", "check", str(adapter), *words]) == 1
        assert said in capsys.readouterr().err


def test_the_command_prints_a_line_per_check_and_writes_json(adapter, base, tmp_path, capsys):
    out = tmp_path / "checks.json"
    words = ["adapter", "check", str(adapter), "--base", str(base), "--json", str(out)]
    assert run_command(harc.cli.app, words) == 0
    report = json.loads(out.read_text())
    said = capsys.readouterr().out
    assert all(f"{entry['status']}  {entry['name']}" in said for entry in report["checks"])
    assert "base: passing on: yes: pass on the licence" in said
    zero(adapter)
    assert run_command(harc.cli.app, words) == 1
    assert not json.loads(out.read_text())["ok"]
    for wrong in (tmp_path / "nowhere", tmp_path):
        (tmp_path / "empty").mkdir(exist_ok=True)
        assert run_command(harc.cli.app, ["adapter", "check", str(wrong)]) == 1
    assert run_command(harc.cli.app, ["adapter", "check", str(tmp_path / "empty")]) == 1
    assert "found an empty folder" in capsys.readouterr().err


def test_names_of_files_and_tensors_cannot_steer_a_terminal(adapter, capsys):
    (adapter / "a\x1b[2Jb.bin").write_bytes(b"")
    add("\x1b]0;owned\x07\u202e", 2, name=ADAPTER)(adapter)
    run_command(harc.cli.app, ["adapter", "check", str(adapter)])
    said = capsys.readouterr().out
    assert "\\x1b[2Jb.bin" in said and said.replace("\n", "").isprintable()


def test_checking_loads_neither_torch_nor_the_base_and_takes_seconds(adapter, base):
    code = (
        "import resource, sys, time; start = time.perf_counter(); import harc.evaluation.adapters.report as r; "
        f"r.check_adapter({str(adapter)!r}, {str(base)!r}); print('torch' in sys.modules, time.perf_counter() - start)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    torch_loaded, seconds = done.stdout.split()
    assert torch_loaded == "False" and float(seconds) < 3


def test_memory_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "large.safetensors"
    size = 1 << 28
    entry = {"dtype": "BF16", "shape": [size // 2], "data_offsets": [0, size]}
    with path.open("wb") as handle:
        handle.write(pack_header({"a": entry}))
        handle.truncate(handle.tell() + size)
    code = (
        "import resource, pathlib; from harc.evaluation.adapters import header, numbers; "
        f"p = pathlib.Path({str(path)!r}); before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        "found = numbers.scan_numbers(p, header.list_strict_entries(p), header.find_data(p)); "
        "print(found['a'].zero, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    zero_found, grown = done.stdout.split()
    assert zero_found == "True" and int(grown) < 32 * 1024  # KiB, of a file of 256 MiB


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_are_read_as_torch_reads_them(dtype, tmp_path):
    bits = torch.randint(
        -(2**15), 2**15, (4096,), dtype=torch.int16, generator=torch.Generator().manual_seed(0)
    )
    drawn = bits.view(dtype)
    special = torch.tensor(
        [0.0, -0.0, torch.finfo(dtype).max, torch.finfo(dtype).tiny, NAN, float("inf"), -float("inf")]
    )
    values = [
        *drawn.split(64),
        *special.to(dtype).split(1),
        torch.tensor([0.0, -0.0], dtype=dtype),
        drawn[:0],
    ]
    save_file({str(number): value.clone() for number, value in enumerate(values)}, tmp_path / ADAPTER)
    path = tmp_path / ADAPTER
    found = numbers.scan_numbers(path, header.list_strict_entries(path), header.find_data(path))
    for number, value in enumerate(values):
        assert found[str(number)] == numbers.Scan(bool(value.isfinite().all()), not value.count_nonzero())


def test_settings_are_those_of_peft():
    known = {field.name for field in dataclasses.fields(LoraConfig)}
    assert {*AdapterSettings.model_fields, *PLAIN, *SPECIAL} == known
    for name, field in AdapterSettings.model_fields.items():
        if name not in ("peft_type", "rank_pattern", "alpha_pattern"):
            assert field.default == getattr(LoraConfig(), name), name


def test_patterns_match_as_peft_matches():
    from peft.utils.other import get_pattern_key

    names = ["model.layers.0.self_attn.q_proj", "model.layers.11.mlp.down_proj", "lm_head", "my_lm_head"]
    for keys in (
        ["q_proj"],
        ["lm_head"],
        [r"layers\.\d\.self_attn\.q_proj"],
        ["down", "down_proj"],
        ["layers.11.mlp.down_proj"],
    ):
        values = {key: number for number, key in enumerate(keys, start=1)}
        ours = layers.choose_values(0, values, names)
        assert ours == {name: values.get(get_pattern_key(keys, name), 0) for name in names}, keys


def test_the_documented_terms_are_those_of_the_code():
    text = (ROOT / "docs/adapters.md").read_text("utf-8")
    shown = re.search(r"<!-- licences: [^\n]*-->\n(.*)<!-- licences end -->", text, re.DOTALL)[1]
    rows = [describe_terms(Licence(name, "", terms)) for name, terms in list_terms().items()]
    lines = ["| licence | use | passing on |", "|---|---|---|"]
    lines += [f"| {row['licence']} | {row['use']} | {row['redistribution']} |" for row in rows]
    assert shown.splitlines() == lines
    table = text[text.index("| check | fails where |") : text.index("`target_modules`, `rank_pattern`")]
    assert [name for name, _ in checks.list_checks() if name.split("'")[0] not in table] == [
        "licence of the adapter"
    ]


def test_a_new_check_is_one_function(adapter, monkeypatch):
    monkeypatch.setattr(checks, "CHECKS", checks.list_checks())

    @checks.check("of mine")
    def check_of_mine(subject):
        return checks.WARN, subject.adapter.settings.kind

    found = checks.run_checks(make_subject(str(adapter)))
    assert found[-1] == checks.Finding("of mine", "warn", "LoRA")
    assert len({finding.name for finding in found}) == len(found)
