"""Memory and disk that a profile needs, from its models' shapes."""

from typing import Any, NamedTuple

from harc.core.artifacts import BASE
from harc.rehearsal.counts_asking import count_rows, find_suite
from harc.rehearsal.counts_learning import choose_answers, measure_rows
from harc.rehearsal.measured import BENCHMARKS, LONGEST_CHOICE
from harc.rehearsal.published import PublishedModel
from harc.rehearsal.shapes import (
    BYTES,
    count_adapter,
    count_cached,
    count_kept_bytes,
    count_parameters,
    find_shape,
    name_published,
)
from harc.settings.profile import Profile
from harc.settings.training import MethodSettings
from harc.suites.lm_eval_model import bound_rows
from harc.training.objective import count_blocks

GB = 1e9
PROCESS_GB = 0.6  # libraries and data of a process on a CPU; train_judge and loading of the committed study
HEAD_COPIES = 4  # float32 logits of a chunk, their softmax, the teacher's, their gradient
STATE_BYTES = {
    True: 16,
    False: 8,
}  # of a weight of an adapter, float32: with the optimiser's two states, or without
PAIR_BYTES = 12  # float32 copies of the two models' states, and their difference
CLASSIFIER_GB = 26.0  # judge harmbench_classifier: 13 billion weights in bfloat16
FILE_BYTES = 1.0  # of a weight of a GGUF file (Q4_1, Q4_K_M): 0.7 and 1.0
RECORD_BYTES, SLOT_BYTES = 6_000, 12  # of results: of an answer; of an answer at a slot, six half floats


class Peak(NamedTuple):
    """The largest memory of one kind of work on one backbone, GB of one device.

    Attributes:
        backbone, work: what runs where.
        usual: with rows of mean length.
        most: with the longest that the settings let through.
        note: what makes it so large.
    """

    backbone: str
    work: str
    usual: float
    most: float
    note: str


Measured = tuple[str, float, float, str]
"""Work, usual and most GB, note: a peak whose backbone is not named yet."""


class Place(NamedTuple):
    """Disk that one thing takes, GB."""

    what: str
    gb: float


def measure_training(
    model: PublishedModel, size: int, settings: MethodSettings, tokens: float, *, optimizer: bool = True
) -> float:
    """Peak of a training step, GB: weights, adapter, what the largest pass keeps, logits of a chunk.

    Args:
        model: what is trained on.
        size: bytes of a weight.
        settings: of the method.
        tokens: of the largest pass.
        optimizer: whether there is one: a pass by itself has none.
    """
    blocks = count_blocks(settings, model.layers) or model.layers
    lora = count_adapter(model, settings.lora.rank, settings.lora.targets, blocks)
    kept = count_kept_bytes(model, size) * tokens
    if settings.gradient_checkpointing:
        states = kept + blocks * tokens * model.hidden * size
    else:
        states = blocks * kept
    if settings.objective in ("cb", "repbend"):
        states += (blocks + 1) * tokens * model.hidden * (size + PAIR_BYTES)
    logits = settings.head_rows * model.vocabulary * HEAD_COPIES * 4
    return (count_parameters(model) * size + lora * STATE_BYTES[optimizer] + states + logits) / GB


def size_passes(profile: Profile, settings: MethodSettings) -> tuple[float, float, str]:
    """(usual, most) tokens of a method's largest pass, and of what; DPO's pairs are padded and never split."""
    counts, answers = settings.batch.counts, choose_answers(profile)
    rows, lengths = sum(counts.values()), measure_rows(settings, answers.wanted)
    limit = settings.max_prompt_tokens + settings.max_response_tokens + 1
    if settings.objective in ("dpo", "joint"):
        longest = max(tokens for tokens, _ in lengths.values())
        return 2 * rows * longest, 2 * rows * limit, f"{2 * rows} padded answers in one pass"
    usual = sum(counts[name] * lengths[name][0] for name in counts)
    held = settings.pass_tokens or rows * limit
    return min(usual, held), min(rows * limit, held), f"at most {min(rows * limit, held)} tokens in a pass"


def measure_reading(model: PublishedModel, size: int, tokens: float, resamples: int = 0) -> float:
    """Peak of reading directions, GB: weights, a pass that keeps nothing, sums of the resamples in float64."""
    wide = size * (3 * model.inner + 4 * model.hidden) + 4 * 2 * model.hidden
    sums = 6 * resamples * (model.layers + 1) * model.hidden * 8  # four that last, two in the making
    return (count_parameters(model) * size + tokens * wide + sums) / GB


def measure_asking(
    model: PublishedModel, size: int, batch: int, context: float, *, logits: float = 0, copies: int = 1
) -> float:
    """Peak of decoding, GB.

    Args:
        model: what is asked.
        size: bytes of a weight.
        batch: rows at a time.
        context: tokens of each in the cache, which is held twice while passes over the prompts are joined.
        logits: positions whose logits exist at one time, twice.
        copies: of the weights: a CPU's products take another.
    """
    cached = 2 * batch * context * count_cached(model) * size
    made = 2 * (logits or batch) * model.vocabulary * size
    return (copies * count_parameters(model) * size + cached + made) / GB


def list_peaks(profile: Profile) -> list[Peak]:
    """The largest memory of each kind of work on each backbone, of one device; several share its blocks evenly."""
    found = []
    for name, backbone in profile.all_backbones.items():
        model = find_shape(f"estimate of {profile.name}", name_published(backbone))
        settings: Any = backbone
        size, taught = BYTES[settings.dtype], BYTES[settings.training_dtype or settings.dtype]
        own = profile.directions
        read = measure_reading(model, size, own.tokens_per_forward, own.bootstrap_resamples)
        peaks = [("reading directions", read, read, f"{own.tokens_per_forward} tokens in a pass")]
        if name in profile.backbones:
            peaks += _list_training(profile, name, model, taught)
            peaks += _list_asking(profile, model, size, copies=1 if settings.gpu else 2)
        gpus, extra = getattr(settings, "gpus", 1), 0.0 if settings.gpu else PROCESS_GB
        found += [
            Peak(name, work, usual / gpus + extra, most / gpus + extra, note)
            for work, usual, most, note in peaks
        ]
    return found


def _list_training(profile: Profile, name: str, model: PublishedModel, size: int) -> list[Measured]:
    """Training of the methods: of those with one objective the largest."""
    largest: dict[str, Measured] = {}
    for method in profile.adapted:
        settings = profile.choose_training(name, method)
        if settings.is_fitted:
            continue
        *tokens, note = size_passes(profile, settings)
        usual, most = (measure_training(model, size, settings, each) for each in tokens)
        if most > largest.get(settings.objective, ("", 0.0, 0.0, ""))[2]:
            largest[settings.objective] = (f"training {settings.objective}", usual, most, note)
    return list(largest.values())


def _list_asking(profile: Profile, model: PublishedModel, size: int, copies: int) -> list[Measured]:
    """Suites with the models beside the target, and the largest benchmark."""
    asked, beside = profile.evaluation, 0.0
    endpoint = asked.attacker_endpoint
    if endpoint is not None and endpoint.kind == "local":
        attacker = find_shape(f"attacker of {profile.name}", endpoint.model)
        beside += count_parameters(attacker) * BYTES[endpoint.dtype] / GB
    if "harmbench_classifier" in asked.judges:
        beside += CLASSIFIER_GB
    longest = max(find_suite(suite).prompt for suite in asked.suites) + asked.max_new_tokens
    suites = measure_asking(model, size, asked.batch_size, longest, copies=copies) + beside
    note = f"{asked.batch_size} answers at a time" + (", other models beside" if beside else "")
    peaks, benchmarks = [("asking suites", suites, suites, note)], []
    helpful = profile.helpfulness
    for name in helpful.benchmarks if helpful else ():
        assert helpful is not None
        batch, known = helpful.batch_size, BENCHMARKS[name]
        context = known.prompt + known.examples * known.example + getattr(helpful, name).max_new_tokens
        logits, note = 0, f"{batch} answers at a time"
        if (
            name == "mmlu"
        ):  # the harness makes logits of every position of its longest prompts, which it reads first
            batch = bound_rows(batch, LONGEST_CHOICE, model.vocabulary)
            context, logits = 0, batch * LONGEST_CHOICE
            note = f"logits of {batch} prompts of {LONGEST_CHOICE} tokens (assumed)"
        gb = measure_asking(model, size, batch, context, logits=logits, copies=copies)
        benchmarks.append((f"benchmark {name}", gb, gb, note))
    return peaks + sorted(benchmarks, key=lambda peak: peak[1])[-1:]


def list_places(profile: Profile) -> list[Place]:
    """Disk: weights as they are fetched and converted, adapters, results."""
    places, adapters, results = [], 0.0, 0.0
    rows = sum(count_rows(profile, suite) for suite in profile.evaluation.suites)
    for name, backbone in profile.all_backbones.items():
        model = find_shape(f"estimate of {profile.name}", name_published(backbone))
        weights = count_parameters(model)
        if backbone.kind == "gguf":
            places.append(Place(f"{name}: file and float32 weights", weights * (FILE_BYTES + 4) / GB))
        else:
            places.append(Place(f"{name}: weights from the hub", weights * 2 / GB))
        if getattr(backbone, "warm_start", None) is not None:
            places.append(Place(f"{name}: weights after its warm start", weights * 4 / GB))
        for _, method, _ in (unit for unit in profile.list_units() if unit[0] == name):
            results += rows * (RECORD_BYTES + (model.layers + 1) * SLOT_BYTES) / GB
            if method != BASE and not (trained := profile.choose_training(name, method)).is_fitted:
                ranks = trained.lora.rank * (1 if trained.start_from is None else 2)
                adapters += 4 * count_adapter(model, ranks, trained.lora.targets) / GB
    places += _list_attacker(profile)
    return [*places, Place("adapters", adapters), Place("answers and projections", results)]


def _list_attacker(profile: Profile) -> list[Place]:
    """Weights of an attacker on the same machine, unless a backbone's are the same."""
    endpoint = profile.evaluation.attacker_endpoint
    if endpoint is None or endpoint.kind == "openai":
        return []
    name = name_gguf_attacker(endpoint) if endpoint.kind == "llama_cpp" else endpoint.model
    if name in {name_published(backbone) for backbone in profile.all_backbones.values()}:
        return []
    held = FILE_BYTES if endpoint.kind == "llama_cpp" else 2.0
    weights = count_parameters(find_shape(f"attacker of {profile.name}", name))
    return [Place(f"attacker {endpoint.model}", weights * held / GB)]


def name_gguf_attacker(endpoint: Any) -> str:
    """The name on the hub of the model behind llama.cpp."""
    return endpoint.gguf.hub.model_id.removesuffix("-GGUF") if endpoint.gguf.hub else endpoint.model
