"""Which files make a model another one, and an adapter's base at every precision."""

import shutil
from pathlib import Path

import pytest
import torch
from fixtures.hostile_models import WEIGHTS, change_tensors, pickle_weights, put, shard
from tiny_chat import save_tiny_chat

from harc.core.errors import ModelError
from harc.core.files import write_json
from harc.model.backbones import load_backbone
from harc.model.endpoints.local import LocalEndpoint
from harc.model.handle import BASE_RECORD, describe_base, hash_weights
from harc.settings.endpoints import EndpointSettings

FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "chat_template.jinja", "additional_chat_templates/tool.jinja", "vocab.txt", "merges.txt",
    "tokenizer.model", "vocab.tiktoken", "spiece.model", "pytorch_model.bin", "pytorch_model-00001-of-00002.bin",
    "model.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json",
    "pytorch_model.bin.index.json", "model.gguf", "adapter_config.json", "adapter_model.safetensors",
    "adapter_model.bin", "steering.json", "steering.safetensors", "base_model.json", "consolidated.pt",
)  # fmt: skip


@pytest.fixture(scope="module")
def chat(tmp_path_factory) -> Path:
    return save_tiny_chat(tmp_path_factory.mktemp("chat") / "model")


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_can_change_an_answer_counts(name, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    found = [hash_weights(tmp_path)]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    for content in ("one", "two"):
        path.write_text(content)
        found.append(hash_weights(tmp_path))
    assert len(set(found)) == 3


def test_descriptions_and_logs_do_not_count(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    before = hash_weights(tmp_path)
    for name in ("README.md", "training_log.jsonl", ".gitattributes", "curve.png"):
        (tmp_path / name).write_text("x")
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "model.safetensors").write_text("x")
    assert hash_weights(tmp_path) == before


def test_links_are_followed_and_what_leads_nowhere_is_refused(tmp_path):
    """The hub's cache is links into a store."""
    (tmp_path / "blob").write_text("one")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / WEIGHTS).symlink_to(tmp_path / "blob")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    before = hash_weights(tmp_path / "model")
    assert hash_weights(tmp_path / "link") == before
    (tmp_path / "blob").write_text("two")
    assert hash_weights(tmp_path / "model") != before
    (tmp_path / "blob").unlink()
    with pytest.raises(
        ModelError, match="model.safetensors: expected a file; found a link that leads nowhere"
    ):
        hash_weights(tmp_path / "model")


def test_pickled_weights_and_shards_count(chat, tmp_path):
    for make in (pickle_weights, shard):
        folder = Path(shutil.copytree(chat, tmp_path / make.__name__))
        make(folder)
        before = hash_weights(folder)
        name = "pytorch_model.bin" if make is pickle_weights else "model-00002-of-00002.safetensors"
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        (folder / name).write_bytes(data)
        assert hash_weights(folder) != before


def test_a_local_endpoint_is_another_with_another_template_or_one_other_number(chat, tmp_path):
    """Its name is part of every cached answer's key; a sample of the weights would not tell these apart."""
    folder = Path(shutil.copytree(chat, tmp_path / "model"))
    settings = EndpointSettings(kind="local", model=str(folder))
    names = [LocalEndpoint.load(settings).name]
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<sep>", "<sep> "))
    names.append(LocalEndpoint.load(settings).name)
    put("model.layers.1.mlp.down_proj.weight", 0.5)(folder)
    names.append(LocalEndpoint.load(settings).name)
    assert len(set(names)) == 3
    assert LocalEndpoint.load(settings).name == names[-1]


def shrink(tensors):
    """Numbers below what float16 holds, and between its steps: every rounding differs."""
    torch.manual_seed(0)
    for name, value in tensors.items():
        tensors[name] = torch.randn_like(value) * torch.logspace(-9, 0, value.numel()).view_as(value)


@pytest.mark.parametrize("stored", ["float32", "bfloat16", "float16"])
def test_a_base_is_known_in_every_precision(stored, chat, tmp_path):
    folder = Path(shutil.copytree(chat, tmp_path / "model"))
    change_tensors(folder, shrink)
    change_tensors(
        folder, lambda tensors: tensors.update({n: v.to(getattr(torch, stored)) for n, v in tensors.items()})
    )
    found = [
        describe_base(load_backbone(folder, dtype=dtype).model)
        for dtype in ("float32", "bfloat16", "float16")
    ]
    assert found[0] == found[1] == found[2]


def test_rounding_the_loaded_numbers_would_not_do(chat, tmp_path):
    """The twin: without going back to the checkpoint, float16 gives another digest."""
    folder = Path(shutil.copytree(chat, tmp_path / "model"))
    change_tensors(folder, shrink)
    half = load_backbone(folder, dtype="float16").model
    del half.harc_reload
    assert describe_base(half) != describe_base(load_backbone(folder).model)


def test_an_adapter_trained_in_float32_loads_in_float16_on_its_own_base_alone(chat, tmp_path):
    from peft import LoraConfig, get_peft_model

    base = load_backbone(chat)
    record = describe_base(base.model)
    config = LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(base.model, config).save_pretrained(tmp_path / "adapter")
    write_json(tmp_path / "adapter" / BASE_RECORD, record)
    for dtype in ("float32", "bfloat16", "float16"):
        load_backbone(chat, adapter=tmp_path / "adapter", dtype=dtype)
    other = save_tiny_chat(tmp_path / "other", seed=1)
    with pytest.raises(ModelError, match="found one that differs in sampled_weights_sha256"):
        load_backbone(other, adapter=tmp_path / "adapter", dtype="float16")
