"""What a sound file can still give: logits that are NaN, another split of the text, a nested configuration."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fixtures.hostile_models import change_tensors, configure, pickle_weights
from tiny_chat import TEMPLATE, save_tiny_chat
from tiny_models import SHAPE, load_tokenizer

from harc.core.errors import ConfigError, ModelError
from harc.model.activations import Reading, stream_residuals
from harc.model.backbones import load_backbone
from harc.model.endpoints.local import LocalEndpoint
from harc.model.generation import context_length, generate_greedy
from harc.model.tensors import check_logits, find_non_finite
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.suites.lm_eval_model import bound_rows, make_lm
from harc.suites.target import Target

USER = [{"role": "user", "content": "how do i make a red box ?"}]


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory) -> Path:
    """A model with finite weights whose states are beyond float16's range; in float32 it is sound."""
    folder = save_tiny_chat(tmp_path_factory.mktemp("chat") / "model")

    def widen(tensors):
        for name in tensors:
            if "mlp" in name:
                tensors[name] *= 3000

    change_tensors(folder, widen)
    return folder


def test_an_answer_from_logits_that_are_no_numbers_names_its_prompt(overflowing):
    target = Target(load_backbone(overflowing, dtype="float16"), EvaluationSettings(max_new_tokens=4))
    with pytest.raises(
        ModelError, match=r"^abuse.csv:7: expected finite logits; found NaN or infinity in the output"
    ):
        target.answer([USER], ["abuse.csv:7"])
    sound = Target(load_backbone(overflowing), EvaluationSettings(max_new_tokens=4))
    assert sound.answer([USER], ["abuse.csv:7"])[0].response_tokens is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (configure("generation_config.json", eos_token_id="x"), "expected eos_token_id, a token's .*; found 'x'"),
        (configure("generation_config.json", eos_token_id=[1, "2"]), "found '2'; mend generation_config.json"),
        (configure("generation_config.json", eos_token_id=[[1]]), r"found \[1\]"),
        (configure("generation_config.json", eos_token_id=1.5), "found 1.5"),
        (configure(rms_norm_eps=-1.0), "a.csv:1: expected finite logits; found NaN or inf"),
    ],
)  # fmt: skip
def test_settings_that_no_library_checks_are_one_line(change, message, tmp_path):
    folder = save_tiny_chat(tmp_path / "model")
    change(folder)
    with pytest.raises(ModelError, match=message):
        Target(load_backbone(folder), EvaluationSettings(max_new_tokens=2)).answer([USER], ["a.csv:1"])


def test_states_that_are_no_numbers_are_refused_wherever_they_are_read(overflowing):
    backbone = load_backbone(overflowing, dtype="float16")
    ids = tuple(backbone.chat.encode_prompts([USER])[0])
    with pytest.raises(ModelError, match="activations: expected finite activations"):
        list(stream_residuals(backbone, [Reading(ids, 3, len(ids) - 1)]))


def test_a_local_judge_or_attacker_with_such_logits_is_refused(overflowing):
    settings = EndpointSettings(kind="local", model=str(overflowing))
    endpoint = LocalEndpoint(load_backbone(overflowing, dtype="float16"), settings, "judge")
    with pytest.raises(ModelError, match="conversation 0: expected finite logits"):
        endpoint.complete([USER], max_new_tokens=2)


def test_options_are_not_ranked_by_log_likelihoods_that_are_no_numbers(overflowing):
    def ask(dtype):
        lm = make_lm(Target(load_backbone(overflowing, dtype=dtype), EvaluationSettings()), 4)
        request = SimpleNamespace(args=("how do i make", " red box"), doc={}, task_name="mmlu", doc_id=3)
        return lm.loglikelihood([request], disable_tqdm=True)

    assert ask("float32")[0][0] < 0
    with pytest.raises(ModelError, match="mmlu: item 3: expected finite log-likelihoods; found nan"):
        ask("float16")


def test_a_prompt_with_an_option_that_does_not_fit_is_not_cut(tmp_path):
    lm = make_lm(Target(load_backbone(save_tiny_chat(tmp_path)), EvaluationSettings()), 4)
    request = SimpleNamespace(args=("how " * 95, "red box"), doc={}, task_name="mmlu", doc_id=0)
    with pytest.raises(
        ModelError, match="mmlu: item 0: expected at most 96 tokens, the model's context; found 97"
    ):
        lm.loglikelihood([request], disable_tqdm=True)


def test_as_many_prompts_are_read_at_once_as_their_logits_leave_room_for(tmp_path, monkeypatch):
    lm = make_lm(Target(load_backbone(save_tiny_chat(tmp_path)), EvaluationSettings(batch_size=8)), 4)
    words = ("box", "red box", "how do i", "how do i make a box")
    requests = [
        SimpleNamespace(args=(f"{words[n % 4]} {'how ' * n}", " red box"), doc={}, task_name="mmlu", doc_id=n)
        for n in range(8)
    ]
    sizes = []
    call = lm._model_call
    monkeypatch.setattr(lm, "_model_call", lambda ids, *a, **k: sizes.append(len(ids)) or call(ids, *a, **k))
    together = lm.loglikelihood(requests, disable_tqdm=True)
    assert max(sizes) == 8
    vocabulary, longest = lm.model.get_output_embeddings().weight.shape[0], 30
    monkeypatch.setattr("harc.suites.lm_eval_model.LOGITS", 2 * longest * vocabulary)
    sizes.clear()
    apart = lm.loglikelihood(requests, disable_tqdm=True)
    assert 1 <= max(sizes) <= 4 and lm.batch_size == 8, "the batch is what it was"
    assert [greedy for _, greedy in apart] == [greedy for _, greedy in together]
    assert [value for value, _ in apart] == pytest.approx([value for value, _ in together], abs=1e-4)


@pytest.mark.parametrize(
    ("batch", "longest", "vocabulary", "rows"),
    [(32, 3000, 128256, 1), (32, 100, 49152, 32), (32, 700, 152064, 5), (8, 10**6, 10**6, 1)],
)
def test_a_bound_on_logits_is_a_bound_on_prompts(batch, longest, vocabulary, rows):
    assert bound_rows(batch, longest, vocabulary) == rows


def test_masked_tokens_are_no_fault():
    """Some families set the logits of tokens that must not be chosen to minus infinity."""
    logits = torch.tensor([[0.0, -torch.inf], [1.0, 2.0]])
    check_logits(logits, ["a", "b"], "")
    for broken in (torch.nan, torch.inf):
        logits[1, 0] = broken
        with pytest.raises(ModelError, match="^b: expected finite logits"):
            check_logits(logits, ["a", "b"], "")
    with pytest.raises(ModelError, match="^a: .* and of 1 more prompts of its batch"):
        check_logits(torch.full((2, 2), -torch.inf), ["a", "b"], "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_one_value_that_is_not_finite_is_found(dtype):
    tensors = {name: torch.ones(3, 5).to(dtype) for name in "abc"} | {
        "d": torch.arange(3),
        "e": torch.ones(0),
    }
    assert find_non_finite(tensors.items()) == []
    for value in (torch.nan,) if dtype == torch.float8_e4m3fn else (torch.nan, torch.inf, -torch.inf):
        broken = torch.ones(3, 5)
        broken[2, 4] = value
        assert find_non_finite((tensors | {"b": broken.to(dtype)}).items()) == ["b"]


def save_with_class(folder: Path, name: str, family: str = "llama") -> Path:
    """A model whose tokenizer.json splits at spaces alone, beside the name of a class that splits otherwise."""
    save_tiny_chat(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer_class": name}))
    return folder


@pytest.mark.parametrize(
    "name", ["GPT2Tokenizer", "Qwen2Tokenizer", "LlamaTokenizer", "GPT2TokenizerFast", "Nope"]
)
def test_text_is_split_as_tokenizer_json_says(name, tmp_path):
    from tokenizers import Tokenizer

    folder = save_with_class(tmp_path, name)
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    found = load_backbone(folder).tokenizer
    for text in ("how do i make", "<start>user<sep>sorry , i will not help .<end>", "  red   box"):
        assert (
            found(text, add_special_tokens=False).input_ids == raw.encode(text, add_special_tokens=False).ids
        )
    assert found.eos_token == "<end>" and found.chat_template == TEMPLATE


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path):
    save_tiny_chat(tmp_path)
    load_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match="expected token ids below 57, which the model has embeddings for; found"
    ):
        load_backbone(tmp_path)


@pytest.fixture(scope="module")
def nested(tmp_path_factory) -> Path:
    """A model for images and text, its context in `text_config`, its vision part as deep as its language part."""
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    vision = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": SHAPE["num_hidden_layers"],
        "num_attention_heads": 2, "image_size": 16, "patch_size": 8,
    }  # fmt: skip
    config = Gemma3Config(
        text_config={**SHAPE, "sliding_window": 16, "max_position_embeddings": 64},
        vision_config=vision, mm_tokens_per_image=4,
        boi_token_index=10, eoi_token_index=11, image_token_index=12,
    )  # fmt: skip
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("nested")
    Gemma3ForConditionalGeneration(config).save_pretrained(folder)
    load_tokenizer().save_pretrained(folder)
    return folder


def test_a_nested_configuration_is_read_through(nested):
    backbone = load_backbone(nested)
    assert context_length(backbone.model) == 64
    assert [type(block).__name__ for block in backbone.blocks] == ["Gemma3DecoderLayer"] * 5
    assert backbone.final_norm.weight.shape == (32,)
    ids = torch.arange(20, 30)[None]
    with torch.no_grad():
        final = backbone.body(input_ids=ids, use_cache=False).last_hidden_state[0]
        assert torch.allclose(backbone.apply_head(final), backbone.model(ids).logits[0], atol=1e-5)
    with pytest.raises(ModelError, match=r"p: expected 1 to 60 tokens; found 70 \(context 64"):
        generate_greedy(
            backbone.model,
            backbone.tokenizer,
            [list(range(20, 90))],
            max_new_tokens=4,
            batch_size=1,
            names=["p"],
        )
    assert make_lm(Target(backbone, EvaluationSettings()), 4).max_length == 64


def evaluate(folder: Path, out: Path, **values):
    """`harc evaluate` on two prompts of a file."""
    from harc.evaluation.own.command import evaluate_by_hand
    from harc.evaluation.own.options import Options

    prompts = folder.parent / "abuse.csv"
    prompts.write_text("prompt,kind\nhow do i make a red box ?,harmful\nwhat is 1 plus 2 ?,benign\n")
    return evaluate_by_hand(
        Options(model=str(folder), suites=(str(prompts),), out=out, max_new_tokens=4, **values)
    )


def test_the_command_says_which_prompt_has_no_answer_and_writes_no_score(overflowing, tmp_path):
    with pytest.raises(
        ModelError, match=r"abuse.csv.*: expected finite logits; found NaN or infinity in the"
    ):
        evaluate(overflowing, tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out" / "scores.csv").exists()


def test_the_command_prints_remarks_and_does_not_take_answers_of_other_weights(tmp_path):
    from peft import LoraConfig, get_peft_model

    folder = save_tiny_chat(tmp_path / "model")
    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")  # B starts at zero
    get_peft_model(load_backbone(folder).model, config).save_pretrained(tmp_path / "adapter")
    _, remarks = evaluate(folder, tmp_path / "adapted", adapter=str(tmp_path / "adapter"))
    assert any(
        remark.endswith("this adapter is all zero: every answer is the base model's") for remark in remarks
    )
    pickle_weights(folder)
    _, remarks = evaluate(folder, tmp_path / "out")
    assert remarks == []
    weights = torch.load(folder / "pytorch_model.bin")
    weights["lm_head.weight"] *= -1
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(
        ConfigError, match="expected a new folder, or the run that it holds; found .* differs in model"
    ):
        evaluate(folder, tmp_path / "out")
