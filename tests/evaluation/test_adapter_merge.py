"""`harc adapter merge`: the written model is base plus adapter, or nothing is written."""

import json
from pathlib import Path

import pytest
import torch
from fixtures.hostile_models import ADAPTER, put
from fixtures.tiny_adapters import Q, save_adapter, save_base
from safetensors.torch import load_file

import harc.cli
from harc.cli.running import run_command
from harc.core.errors import ConfigError, ModelError
from harc.evaluation.adapters import merge
from harc.evaluation.adapters.merge import merge_adapter
from harc.model.handle import ModelHandle
from harc.model.load import load_causal_lm

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
IDS = torch.arange(20, 60)[None]


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(
    "changes",
    [
        {"use_rslora": True}, {"use_dora": True}, {"target_modules": ["lm_head", "q_proj"]},
        {"target_modules": ["embed_tokens"]}, {"modules_to_save": ["lm_head"]}, {"rank_pattern": {"q_proj": 2}},
    ],
    ids=str,
)  # fmt: skip
@torch.no_grad()
def test_the_written_model_gives_the_logits_of_base_and_adapter(changes, tied, tmp_path):
    base = save_base(tmp_path / "base", tie_word_embeddings=tied)
    adapter = save_adapter(tmp_path / "adapter", tied=tied, **changes)
    wanted = ModelHandle(base, adapter).open().model(IDS).logits
    assert "float32, logits within" in merge_adapter(str(adapter), str(base), tmp_path / "merged")
    merged, _ = load_causal_lm(str(tmp_path / "merged"), "float32", "cpu")
    torch.testing.assert_close(merged(IDS).logits, wanted, rtol=1e-3, atol=1e-3)


def test_weights_are_rounded_once_from_float64(tmp_path):
    base = save_base(tmp_path / "base", dtype=torch.bfloat16)
    adapter = save_adapter(tmp_path / "adapter")
    merge_adapter(str(adapter), str(base), tmp_path / "merged")
    update, plain = load_file(adapter / ADAPTER), load_file(base / "model.safetensors")
    product = update[f"{Q}.lora_B.weight"].double() @ update[f"{Q}.lora_A.weight"].double()
    name = Q.removeprefix("base_model.model.") + ".weight"
    wanted = (plain[name].double() + 2 * product).to(torch.bfloat16)
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    assert merged.keys() == plain.keys()
    assert torch.equal(merged[name], wanted)
    untouched = name.replace("q_proj", "v_proj")
    assert torch.equal(merged[untouched], plain[untouched])


def test_an_update_that_rounding_takes_is_told(tmp_path):
    base = save_base(tmp_path / "base", dtype=torch.bfloat16)
    adapter = save_adapter(tmp_path / "adapter", lora_alpha=0.01)
    assert "of the update: --dtype float32 keeps it" in merge_adapter(str(adapter), str(base), tmp_path / "a")
    said = merge_adapter(str(adapter), str(base), tmp_path / "b", dtype="float32")
    assert "note" not in said
    assert {value.dtype for value in load_file(tmp_path / "b/model.safetensors").values()} == {torch.float32}


def test_tokenizer_template_terms_and_card_go_along(tmp_path, capsys):
    base, adapter = save_base(tmp_path / "base"), save_adapter(tmp_path / "adapter")
    (base / "LICENSE").write_text("Apache License")
    words = ["adapter", "merge", str(adapter), "--base", str(base), "--out", str(tmp_path / "merged")]
    assert run_command(harc.cli.app, words) == 0
    assert "wrote " in capsys.readouterr().out
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "LICENSE"):
        assert (tmp_path / "merged" / name).read_bytes() == (base / name).read_bytes()
    card = (tmp_path / "merged/README.md").read_text()
    assert "license: apache-2.0" in card and "merged into its weights" in card and str(tmp_path) not in card
    assert "adapter_config.json" not in {path.name for path in (tmp_path / "merged").iterdir()}
    assert run_command(harc.cli.app, words) == 1
    assert "expected a new folder; found one that is there" in capsys.readouterr().err


def test_a_fault_leaves_nothing(tmp_path, monkeypatch):
    base, adapter = save_base(tmp_path / "base"), save_adapter(tmp_path / "adapter")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="--dtype: expected float32"):
        merge_adapter(str(adapter), str(base), tmp_path / "merged", dtype="int8")
    monkeypatch.setattr(merge, "_measure_rounding", lambda plain, merged, dtype: spoil(merged))
    with pytest.raises(ModelError, match="logits are within 0.001 of base and adapter; found"):
        merge_adapter(str(adapter), str(base), tmp_path / "merged")
    put(f"{Q}.lora_A.weight", float("nan"), ADAPTER)(adapter)
    with pytest.raises(ModelError, match="passes its checks; found finite .NaN or infinity in"):
        merge_adapter(str(adapter), str(base), tmp_path / "merged")
    assert sorted(tmp_path.iterdir()) == before


def spoil(merged) -> float:
    """What a fault in writing would do: other weights on disk than in memory."""
    merged.get_output_embeddings().weight.data[5] += 1
    return 0.0


def test_a_merged_folder_is_no_adapter(tmp_path):
    base, adapter = save_base(tmp_path / "base"), save_adapter(tmp_path / "adapter")
    merge_adapter(str(adapter), str(base), tmp_path / "merged")
    assert json.loads((tmp_path / "merged/config.json").read_text())["model_type"] == "llama"
    with pytest.raises(ModelError, match="passes its checks"):
        merge_adapter(str(tmp_path / "merged"), str(base), tmp_path / "again")
    assert not Path(tmp_path / "again").exists()
