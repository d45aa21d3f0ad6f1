"""What a profile will need: work is counted job by job, memory from shapes, and both agree with what was measured."""

import json
import re
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from tiny_models import build_backbone
from torch.utils._python_dispatch import TorchDispatchMode
from typer.testing import CliRunner

import harc.cli
from harc.core.artifacts import Layout
from harc.core.errors import ConfigError
from harc.rehearsal import measured
from harc.rehearsal.estimate import (
    COUNTERS,
    PLAIN,
    count_work,
    estimate_profile,
    list_lines,
    time_job,
)
from harc.rehearsal.estimate_text import (
    export_estimate,
    format_estimate,
    format_peak,
    format_range,
    format_size,
    summarize_estimate,
)
from harc.rehearsal.measured import CPU, GPU, LLAMA8B, PLAIN_SECONDS
from harc.rehearsal.published import PUBLISHED
from harc.rehearsal.shapes import (
    count_adapter,
    count_cached,
    count_kept_bytes,
    count_parameters,
    name_published,
)
from harc.rehearsal.space import list_peaks, measure_reading, measure_training
from harc.rehearsal.work import Subject, bound_work, time_work
from harc.settings.profile import Profile, load_profile
from harc.settings.training import SEVEN_PROJECTIONS, LoraSettings, MethodSettings
from harc.steps.job import Job
from harc.steps.registry import STEPS, list_jobs
from harc.training.adapters import attach_adapter

STUDY = Path("results/reference/smollm2")
ESTIMATED = ("small", "paper", "large", "smol", "smollm2", "smol_attacker")
BUSY = "erode_refusal"  # its four jobs of equal work took 208 to 2,334 s


def load(folder: Path, **values) -> Profile:
    path = folder / f"mine{len(list(folder.iterdir()))}.yaml"
    path.write_text(json.dumps(values))
    return load_profile(str(path))


def sum_hours(profile: Profile, step: str) -> float:
    return next(line.expected for line in list_lines(profile) if line.step == step)


# Shapes
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_parameters_are_those_of_a_model_on_the_meta_device(name):
    known = PUBLISHED[name]
    model = build_on_meta(name)
    assert count_parameters(known) == sum(part.numel() for part in model.parameters())


def build_on_meta(name, **changes):
    known = PUBLISHED[name]
    shape = {
        "vocab_size": known.vocabulary, "hidden_size": known.hidden, "intermediate_size": known.inner,
        "num_hidden_layers": known.layers, "num_attention_heads": known.heads,
        "num_key_value_heads": known.key_value_heads, "tie_word_embeddings": known.tied,
    }  # fmt: skip
    config = getattr(transformers, f"{known.architecture}Config")(**shape | known.quirks | changes)
    with torch.device("meta"):
        model = getattr(transformers, f"{known.architecture}ForCausalLM")(config)
    model.tie_weights()
    return model


def test_an_adapter_has_the_weights_that_peft_makes():
    name, rank = "Qwen/Qwen2.5-7B-Instruct", 4
    model = get_peft_model(
        build_on_meta(name, num_hidden_layers=2), LoraConfig(r=rank, target_modules=list(SEVEN_PROJECTIONS))
    )
    made = sum(part.numel() for part in model.parameters() if part.requires_grad)
    assert count_adapter(PUBLISHED[name], rank, SEVEN_PROJECTIONS, 2) == made
    assert count_adapter(PUBLISHED[name], rank, ("all-linear",), 2) == made


@pytest.mark.parametrize(("dtype", "size"), [(torch.bfloat16, 2), (torch.float32, 4)])
def test_a_block_keeps_as_many_bytes_for_its_backward_pass(dtype, size):
    tokens, found = 64, []
    for layers in (2, 4):
        config = transformers.LlamaConfig(
            vocab_size=64, hidden_size=256, intermediate_size=896, num_hidden_layers=layers, num_attention_heads=4,
            num_key_value_heads=1,
        )  # fmt: skip
        model = transformers.LlamaForCausalLM(config).to(dtype).requires_grad_(False)
        with attach_adapter(replace(build_backbone(), model=model), LoraSettings(rank=1), 0) as adapted:
            weights = {part.untyped_storage().data_ptr() for part in adapted.model.parameters()}
            kept: dict[int, torch.Tensor] = {}

            def keep(tensor, kept=kept, weights=weights):
                if (place := tensor.untyped_storage().data_ptr()) not in weights:
                    kept[place] = tensor
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
                adapted.body(input_ids=torch.ones(1, tokens, dtype=torch.long), use_cache=False)
            found.append(sum(tensor.untyped_storage().nbytes() for tensor in kept.values()) / tokens)
    shape = replace(LLAMA8B, hidden=256, inner=896, heads=4, key_value_heads=1)
    assert count_kept_bytes(shape, size) == pytest.approx((found[1] - found[0]) / 2, rel=0.05)


def test_a_gguf_backbone_has_the_shape_of_the_model_that_it_was_made_from():
    profile = load_profile("smol")
    assert [name_published(backbone) for backbone in profile.backbones.values()] == [
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
    ]
    assert count_cached(LLAMA8B) * 2 == 131_072  # bytes of a token in bfloat16


# What was measured
def test_memory_of_the_step_and_of_the_extraction_agree_with_the_measured_peaks():
    step = measure_training(LLAMA8B, 2, MethodSettings(), measured.STEP_TOKENS, optimizer=False)
    assert step == pytest.approx(measured.STEP_PEAK_GB, rel=0.1)
    assert measure_reading(LLAMA8B, 2, 4096) == pytest.approx(measured.EXTRACT_PEAK_GB, rel=0.03)


def test_memory_of_processes_agrees_with_the_committed_study():
    steps = {
        "extract_directions": "reading directions", "train_adapter": "training harc", "evaluate": "asking suites",
        "measure_helpfulness": "benchmark gsm8k",
    }  # fmt: skip
    peaks = {peak.work: peak for peak in list_peaks(load_profile("smollm2"))}
    for step, work in steps.items():
        largest = max(record["peak_memory_mb"] for record in read_records(step)) / 1000
        assert 0.7 * largest < peaks[work].most < 1.3 * largest


def read_records(step: str) -> list[dict]:
    contents = pq.read_table(STUDY / "sidecars.parquet").to_pydict()["content"]
    return [record for record in map(json.loads, contents) if record["command"].split()[2] == step]


def test_time_of_the_step_is_bound_by_its_launches_as_measured():
    subject = Subject(LLAMA8B, 2, on_cpu=False)
    tokens, benign = measured.STEP_TOKENS, measured.STEP_BENIGN_TOKENS
    head = 6 * measured.STEP_BENIGN_ANSWERS + 4 * measured.STEP_REFUSALS
    step = subject.train(4 * tokens + 2 * benign, head, passes=1)
    assert step.kernels == measured.STEP_KERNELS
    assert time_work(step, GPU) == pytest.approx(measured.STEP_SECONDS, rel=0.1)
    assert step.flops / GPU.train == pytest.approx(measured.STEP_BUSY_SECONDS)


def test_token_counts_are_those_of_the_benchmark(monkeypatch):
    monkeypatch.syspath_prepend("benchmarks")
    from speed_fixtures import PROMPT_TOKENS, RESPONSE_TOKENS, ROOT, build_pairs

    from harc.model.chat import ChatFormat

    assert sum(PROMPT_TOKENS) + sum(RESPONSE_TOKENS) == measured.STEP_TOKENS
    assert sum(PROMPT_TOKENS[6:]) + sum(RESPONSE_TOKENS[6:]) == measured.STEP_BENIGN_TOKENS
    assert sum(RESPONSE_TOKENS[6:]) == measured.STEP_BENIGN_ANSWERS
    assert sum(RESPONSE_TOKENS[:6]) == measured.STEP_REFUSALS
    tokenizer = transformers.AutoTokenizer.from_pretrained(ROOT / "tests/golden/data/llama/model")
    chat, count = ChatFormat(tokenizer), 0
    for kind, rows in build_pairs(tokenizer, 48).items():
        prompts = chat.encode_prompts([prompt for prompt, _ in rows], 256)
        answers = chat.encode_responses([answer for _, answer in rows], 256)
        count += sum(min(32, len(answer)) for answer in answers)
        count += sum(map(len, prompts)) if kind != "refuse" else 0  # the prompts of `harm`, read once
    assert count == measured.EXTRACT_TOKENS


class Operations(TorchDispatchMode):
    """Counts operations but views."""

    VIEWS = ("view", "_unsafe_view", "t", "transpose", "expand", "slice", "select", "permute", "unsqueeze", "squeeze",
             "detach", "alias", "split", "as_strided", "reshape", "_reshape_alias", "lift_fresh", "unbind")  # fmt: skip

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func._schema.name.removeprefix("aten::") not in self.VIEWS
        return func(*args, **kwargs or {})


def test_operations_of_a_block_are_as_many_as_it_starts():
    found = []
    for layers in (2, 4):
        config = transformers.LlamaConfig(
            vocab_size=64,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=layers,
            num_attention_heads=4,
        )
        model, ids = transformers.LlamaForCausalLM(config).eval(), torch.ones(2, 8, dtype=torch.long)
        with torch.no_grad():
            past = model(ids, use_cache=True).past_key_values
            with Operations() as read:
                model(ids, use_cache=False)
            with Operations() as decoded:
                model(ids[:, :1], past_key_values=past, use_cache=True)
        found.append((read.count, decoded.count))
    per_block = [(more - fewer) / 2 for fewer, more in zip(*found, strict=True)]
    assert per_block == pytest.approx([measured.READ_KERNELS, measured.DECODE_KERNELS], rel=0.15)


def read_measured() -> dict[str, list[float]]:
    """Seconds of every job of the committed study that runs on a model, by step."""
    return {step: [record["wall_seconds"] for record in read_records(step)] for step in COUNTERS}


def read_ratios() -> dict[str, float]:
    """Measured over estimated seconds of every kind of step of the committed study, by the median job."""
    profile, estimated = load_profile("smollm2"), {}
    for job in list_jobs(profile, Layout(profile.results_root)):
        if job.step in COUNTERS:
            estimated.setdefault(job.step, []).append(time_job(job)[0] * 3600)
    seconds = read_measured()
    assert {step: len(times) for step, times in estimated.items()} == {
        step: len(seconds[step]) for step in estimated
    }
    return {
        step: statistics.median(seconds[step]) / statistics.mean(times) for step, times in estimated.items()
    }


def test_every_kind_of_step_takes_what_was_measured_within_a_factor_of_two():
    ratios = read_ratios()
    assert len(ratios) == 10
    assert {step for step, ratio in ratios.items() if not 0.5 < ratio < 2} == {BUSY}
    assert min(read_measured()[BUSY]) / (time_job(find_job("smollm2", BUSY))[0] * 3600) == pytest.approx(
        1, abs=0.2
    )


def find_job(name: str, step: str) -> Job:
    profile = load_profile(name)
    return next(job for job in list_jobs(profile, Layout(profile.results_root)) if job.step == step)


def test_the_ranges_are_those_of_the_ratios():
    ratios = read_ratios()
    others = [ratio for step, ratio in ratios.items() if step != BUSY]
    assert min(ratios.values()) - 0.1 < measured.LOW < min(ratios.values())
    assert max(others) < measured.HIGH < max(others) + 0.1
    assert max(ratios.values()) < measured.SHARED_HIGH < max(ratios.values()) + 0.1
    assert ratios["train_adapter"] == pytest.approx(1, abs=0.15)  # CPU_RATE is from its quicker jobs
    whole = sum(sum(read_measured()[step]) for step in ratios) / 3600
    total = estimate_profile(load_profile("smollm2")).total
    assert total.least < whole < total.most


def test_lengths_of_answers_are_those_of_the_committed_study():
    rows = pq.read_table(
        STUDY / "outcomes.parquet", columns=["suite", "finish_reason", "response_tokens"]
    ).to_pylist()
    for suite, known in measured.SUITES.items():
        own = [row for row in rows if row["suite"] == suite]
        ended = [float(row["response_tokens"]) for row in own if row["finish_reason"] == "stop"]
        assert known.answer == pytest.approx(statistics.mean(ended), abs=0.06)
        assert known.cut == pytest.approx(1 - len(ended) / len(own), abs=0.006)


# Identities
@pytest.mark.parametrize("name", ESTIMATED)
def test_jobs_are_those_of_the_registry(name):
    profile = load_profile(name)
    layout = Layout(profile.results_root)
    jobs = Counter(job.step for job in list_jobs(profile, layout) + list_jobs(profile, layout, "end"))
    lines = {line.step: line.jobs for line in list_lines(profile)}
    assert lines.pop(PLAIN) == sum(count for step, count in jobs.items() if step not in COUNTERS)
    assert lines == {step: count for step, count in jobs.items() if step in COUNTERS}


def test_every_step_that_runs_on_a_model_has_an_estimate():
    assert set(COUNTERS) == {step.name for step in STEPS.values() if step.resources.gpu}


def test_every_step_is_counted_and_the_others_have_a_time_of_their_own(tmp_path):
    profile = load(
        tmp_path,
        extends="smol",
        methods={"cast": {}},
        finetuning={"methods": ["base", "harc"], "examples": [0, 10]},
    )
    layout = Layout(profile.results_root)
    jobs = [job for part in ("run", "tuning", "end") for job in list_jobs(profile, layout, part)]
    seen = set()
    for job in jobs:
        expected, least, most = time_job(job)
        assert 0 <= least <= expected <= most
        if job.step in COUNTERS:
            assert count_work(job) and least > 0
            seen.add(job.step)
        else:
            assert job.step in (
                *PLAIN_SECONDS,
                "fetch_backbone",
                "choose_point",
                "collect_points",
                "build_paper",
            )
    assert seen == set(COUNTERS)


def test_twice_the_seeds_take_twice_the_training(tmp_path):
    hours = [
        sum_hours(
            load(tmp_path, extends="smollm2", seeds=seeds, ablation={"seeds": seeds}, erosion=None),
            "train_adapter",
        )
        for seeds in ([0, 1], [0, 1, 2, 3])
    ]
    assert hours[1] == pytest.approx(2 * hours[0])


def test_twice_the_steps_are_twice_the_work_of_the_loop_alone(tmp_path):
    def train(steps: int) -> float:
        profile = load(tmp_path, extends="smollm2", training={"steps": steps, "refresh_every": 0})
        job = next(j for j in list_jobs(profile, Layout(profile.results_root)) if j.step == "train_adapter")
        return sum(work.flops for work in count_work(job) if work.kind == "train")

    assert train(96) == pytest.approx(2 * train(48))


def test_a_larger_model_costs_more():
    lines = {
        name: {line.step: line for line in list_lines(load_profile(name))} for name in ("paper", "large")
    }
    for step in ("train_adapter", "evaluate", "measure_helpfulness", "extract_directions"):
        small, large = (lines[name][step].expected / lines[name][step].jobs for name in ("paper", "large"))
        assert large > small
    peaks = [max(peak.usual for peak in list_peaks(load_profile(name))) for name in ("smollm2", "paper")]
    assert peaks[0] < peaks[1]


def test_what_was_not_measured_has_a_wider_range():
    decode = Subject(LLAMA8B, 2, on_cpu=False).decode(32, answer=100, longest=256, batch=32, context=150)
    read = Subject(LLAMA8B, 2, on_cpu=False).read(4096, passes=1, length=100)
    ratios = [most / least for least, most in (bound_work(decode, GPU), bound_work(read, GPU))]
    assert ratios[0] == pytest.approx(measured.DERIVED**2 * ratios[1])
    least, most = bound_work(read, GPU, derived=True)
    assert most / least == pytest.approx(ratios[0])
    assert time_work(decode, GPU) >= decode.moved / GPU.moved
    assert CPU.derived == ()


# What is printed
def test_the_text_names_steps_shortages_and_what_is_not_measured(tmp_path):
    profile = load_profile("paper")
    assert "that its settings ask for" not in format_estimate(profile, estimate_profile(profile))
    profile = load(tmp_path, extends="paper", methods={"dpo": {"gradient_checkpointing": False}})
    found = estimate_profile(profile)
    text = format_estimate(profile, found)
    for part in (
        "train_adapter        78", "more than the 60 GB that its settings ask for: training dpo", "not measured",
        "decoding on the GPU", "the attacker's server", "hours of one NVIDIA H200",
    ):  # fmt: skip
        assert part in text
    assert "several GPUs" in format_estimate(load_profile("large"), estimate_profile(load_profile("large")))
    assert f"`harc estimate {profile.source}`" in summarize_estimate(profile, found)
    assert json.loads(json.dumps(export_estimate(found)))["total"]["jobs"] == found.total.jobs


@pytest.mark.parametrize("name", ["organism", "ci"])
def test_organisms_are_refused_in_one_line(name):
    with pytest.raises(
        ConfigError, match=f"^estimate of {name}: expected a profile on published models; found one of"
    ):
        estimate_profile(load_profile(name))


def test_a_model_of_unknown_shape_is_named(tmp_path):
    profile = load(tmp_path, extends="small", backbones={"llama3.2-1b": {"model_id": "lab/new"}})
    with pytest.raises(ConfigError, match=r"found lab/new; add its shape to harc/rehearsal/published.py"):
        estimate_profile(profile)


@pytest.mark.parametrize("name", ESTIMATED)
def test_the_document_says_what_the_command_says(name):
    text = Path("docs/rehearsals.md").read_text(encoding="utf-8")
    found = estimate_profile(load_profile(name))
    gb = max(found.peaks, key=lambda peak: peak.usual)
    disk = format_size(sum(place.gb for place in found.places))
    assert f"| `{name}` | {format_range(found.total)} | {format_peak(gb)} ({gb.work}) | {disk} |" in text


def test_the_document_has_the_measured_ratios():
    text = Path("docs/rehearsals.md").read_text(encoding="utf-8")
    for step, ratio in read_ratios().items():
        assert re.search(rf"^\| `{step}` \|.* \| {ratio:.2f} \|$", text, re.MULTILINE), (step, ratio)


def test_the_command_prints_text_and_json():
    run = CliRunner().invoke(harc.cli.app, ["estimate", "smollm2"])
    assert run.exit_code == 0 and "suppress_refusal" in run.output
    run = CliRunner().invoke(harc.cli.app, ["estimate", "smollm2", "--json"])
    values = json.loads(run.output)
    assert values["profile"] == "smollm2" and values["total"]["least"] < values["total"]["most"]
    assert harc.cli.run_words(["estimate", "ci"]) == 1
