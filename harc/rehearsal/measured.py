"""What estimates rest on, each with its source: rates of machines, lengths of texts, sizes of public sets.

What no measurement stands behind says so (`derived`, or "assumed" beside it), and `list_unmeasured` tells of it.
"""

from dataclasses import dataclass

from harc.rehearsal.published import PUBLISHED
from harc.rehearsal.shapes import count_body, count_head


@dataclass(frozen=True)
class Rates:
    """How fast one device works.

    Attributes:
        name: the device.
        read, train, decode: operations a second (FLOP/s) in each kind of work.
        moved: bytes a second at which weights and cached states are read while decoding.
        launch: seconds to start one kernel.
        low, high: what a time is multiplied by for the ends of its range.
        derived: kinds of work that were not measured on it, whose range is `DERIVED` times as wide at both ends.
    """

    name: str
    read: float
    train: float
    decode: float
    moved: float
    launch: float
    low: float
    high: float
    derived: tuple[str, ...] = ()


# benchmarks/measured/speed_llama8b_gpu.md, benchmarks/speed_fixtures.py, docs/speed.md
EXTRACT_TOKENS, EXTRACT_SECONDS = 11_943, 0.54  # prompts that several answers share are read once
STEP_TOKENS, STEP_BENIGN_TOKENS, STEP_BENIGN_ANSWERS, STEP_REFUSALS = 1_875, 1_159, 876, 434
STEP_BUSY_SECONDS = 0.27  # the card alone, of a step of 0.34 s
STEP_SECONDS, STEP_KERNELS, STEP_LAUNCH_SECONDS = 0.34, 9_800, 0.32
EXTRACT_PEAK_GB, STEP_PEAK_GB = 16.7, 37.2
LLAMA8B = PUBLISHED["meta-llama/Llama-3.1-8B-Instruct"]

READ_KERNELS, DECODE_KERNELS = 34, 36
"""Operations but views of one block of transformers' Llama and Qwen2, reading and decoding (counted, 5.23)."""
TRAIN_KERNELS = STEP_KERNELS / LLAMA8B.layers  # the teacher's pass among them


def count_step(body: float, head: float, tokens: int, benign: int, answers: int, refusals: int) -> float:
    """Operations of one micro-batch of HARC: student forward and backward, the teacher on benign rows, two losses.

    Args:
        body, head: weights.
        tokens, benign: of all rows, of benign rows.
        answers, refusals: response tokens of benign rows (KL), of harmful rows (cross-entropy).
    """
    return body * (4 * tokens + 2 * benign) + head * (6 * answers + 4 * refusals)


_STEP = count_step(
    count_body(LLAMA8B), count_head(LLAMA8B), STEP_TOKENS, STEP_BENIGN_TOKENS, STEP_BENIGN_ANSWERS, STEP_REFUSALS
)  # fmt: skip
LOW, HIGH, SHARED_HIGH = 0.8, 1.9, 2.7
"""Least and greatest ratio of measured to estimated time over the kinds of steps of results/reference/smollm2, by the
median job (tests/rehearsal/test_estimate.py holds them there). The greatest on a machine with other work is that of
erode_refusal, whose four jobs of equal work took 208 to 2,334 s; HIGH is the greatest of the other kinds."""
DERIVED = 1.5  # of a factor that no measurement stands behind; own choice

GPU = Rates(
    "one NVIDIA H200",
    read=2 * count_body(LLAMA8B) * EXTRACT_TOKENS / EXTRACT_SECONDS,
    train=_STEP / STEP_BUSY_SECONDS,
    decode=_STEP / STEP_BUSY_SECONDS,
    moved=4.8e12,  # NVIDIA's data sheet, not measured
    launch=STEP_LAUNCH_SECONDS / STEP_KERNELS,
    low=LOW,
    high=HIGH,
    derived=("decode", "wait"),
)
# One thread of the processor of the committed study (AVX-512), float32: worked out by hand from the quicker of its
# adapters (sft 222 to 226 s, harc 329 to 360 s: 8.7e10 to 9.0e10), and left there; its other steps test it. A thread of
# the processor of benchmarks/measured/speed_smollm2_cpu.md: 2.4e10 training, 3.8e10 reading.
CPU_RATE = 8.8e10
CPU = Rates(
    "one thread of a CPU with AVX-512",
    read=CPU_RATE,
    train=CPU_RATE,
    decode=CPU_RATE,
    moved=12.5 * 4 * 134.5e6,  # one prompt at a time: 12.5 tokens/s, float32 (generation_smollm2_cpu.md)
    launch=0.0,
    low=LOW,
    high=SHARED_HIGH,
)
START_SECONDS = 7.0  # of a job that loads a model: merge_warm_start of the committed study does little else
LOADED = 1e9  # bytes of weights a second from a disk; assumed
WRITTEN_SECONDS = 36.0  # of a prompt written behind llama.cpp: 26 to 46 (docs/profiles.md)
PLAIN_SECONDS = {
    "pull_data": 3.2, "check_contamination": 6.8, "train_judge": 19.4, "score": 1.8, "make_tables": 23.4,
    "make_figure": 2.5, "tabulate_compute": 2.0, "seal_results": 0.8, "build_report": 0.5, "audit": 9.2,
}  # fmt: skip
"""Mean seconds of steps without a model, in the committed study; downloads come on top."""


@dataclass(frozen=True)
class Suite:
    """Mean lengths of one suite, by the tokenizer of SmolLM2, its template's 30 tokens among them.

    Attributes:
        prompt: tokens.
        read: share of them that is read where common beginnings are read once (on a CPU, batches of 64).
        answer: tokens of answers that end before the limit of 40.
        cut: share of answers that reach it.
    """

    prompt: float
    read: float
    answer: float
    cut: float


# Prompts: rows of profile smollm2. Answers: results/reference/smollm2/outcomes.parquet, 16 models.
SUITES = {
    "direct": Suite(45.9, 0.52, 23.9, 0.03),
    "deepinception": Suite(130.1, 0.48, 21.8, 0.24),
    "codeattack": Suite(179.9, 0.73, 27.1, 0.97),
    "persona": Suite(85.7, 0.42, 21.6, 0.04),
    "prefill": Suite(45.9, 0.52, 13.8, 0.19),
    "scary_safe": Suite(40.4, 0.43, 24.9, 0.51),
    "refusable_benign": Suite(42.5, 0.46, 25.0, 0.51),
    "unsafe_contrasts": Suite(40.3, 0.43, 25.4, 0.49),
    "benign": Suite(41.8, 0.47, 23.8, 0.38),
    "wrapped_benign": Suite(127.9, 0.57, 21.3, 0.51),
    "decoding": Suite(93.4, 0.51, 20.4, 0.19),
}
WRITTEN = Suite(120.0, 1.0, 25.0, 0.5)  # pair, pap: what a model writes; assumed
ROWS = {"goals": 252, "scary_safe": 250, "refusable_benign": 379, "unsafe_contrasts": 200}
"""Rows of the evaluation split where nothing limits them: HarmBench's 159 standard behaviours and JailbreakBench's 100
less near repeats, XSTest, CoCoNot's contrast set (docs/profiles.md)."""
POOLS = {"harmful": 520, "harmless": 412, "pseudo_harmful": 479}
"""Prompts to learn from: AdvBench, and CoCoNot's preference part without and with safety concerns."""
PREFERENCES = 25_000  # harmful rows with a safe and an unsafe answer in PKU-SafeRLHF; assumed
TECHNIQUES = 40


@dataclass(frozen=True)
class Answers:
    """Mean tokens of the answers that are learnt from: wanted and rejected, by category, before any limit."""

    wanted: dict[str, float]
    rejected: dict[str, float]


PROMPT = 43.0  # a row that is learnt from: 41.6 to 43.2 by category
OWN = Answers(
    {"harmful": 23.0, "harmless": 30.4, "pseudo_harmful": 34.4},
    {"harmful": 41.5, "harmless": 11.6, "pseudo_harmful": 12.4},
)
"""Written by the model itself (step write_answers of profile smollm2)."""
GIVEN = Answers(
    {"harmful": 23.5, "harmless": 75.5, "pseudo_harmful": 446.0},
    {"harmful": 72.0, "harmless": 23.2, "pseudo_harmful": 23.5},
)
"""Of the public files; rejected answers to harmful rows (PKU-SafeRLHF) as in benchmarks/speed_fixtures.py, assumed."""
REFUSED_SHARE, PREFILLED_SHARE, ASKED_TOKENS = 0.86, 0.07, 36.0
"""Of benign rows: asked again behind a refusal's opening, behind a helpful one; tokens of an answer of one's own."""
FRAMED = 30.0  # further tokens of a warm start's row in a frame (harc/data/warm_rows.py)


@dataclass(frozen=True)
class Benchmark:
    """A public benchmark: items, tokens of a prompt without examples, of an example, examples, of an answer."""

    items: int
    prompt: float
    example: float
    examples: int
    answer: float


BENCHMARKS = {
    "mmlu": Benchmark(14_042, 130, 130, 5, 0),  # 57 subjects; lengths assumed
    "gsm8k": Benchmark(1_319, 130, 143, 8, 100),  # lm_eval 0.4.13's eight examples, counted
    "humaneval": Benchmark(164, 200, 0, 0, 250),  # lengths assumed
    "ifeval": Benchmark(541, 70, 0, 0, 400),  # lengths assumed
    "mt_bench": Benchmark(160, 250, 0, 0, 400),  # 80 questions of two turns; lengths assumed
}
SUBJECTS = 57
LONGEST_CHOICE = 3_000  # tokens of MMLU's longest prompt with five examples; assumed
