"""One process evaluates one model: all suites, helpfulness, projections; resumable suite by suite."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError
from harc.core.files import read_json, read_jsonl, sha256_file, write_json, write_jsonl
from harc.core.finished import describe_work
from harc.core.prompt_store import PromptStore, run_in_parts
from harc.core.terminal import track
from harc.judges.registry import make_judges
from harc.model.identity import hash_weights
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.suites.examiner import ENDPOINTS, name_run
from harc.suites.rows import read_rows

KEY_FILE = "key.json"
PARTIAL = ".partial"  # suffix of a suite's records while it runs


@dataclass(frozen=True)
class EvaluationPaths:
    """Where an evaluation reads and writes.

    Attributes:
        backbone: folder of the model (or hub id).
        adapter: folder of a LoRA adapter or of a steering, or None for the base model.
        data: rows of the split, JSONL.
        world: world.json with the refusal text, needed by the exact judge.
        directions: directions.safetensors of the base model; None leaves projections out.
        generations: folder for one JSONL file per suite.
        projections: folder for projections.safetensors and projections.jsonl.
        checkpoint: folder that keeps finished suites until the end; None keeps them in `generations` only.
        chat: what the model's chat template is told: template_options and date.
    """

    backbone: Path | str
    adapter: Path | None
    data: Path
    world: Path
    directions: Path | None
    generations: Path
    projections: Path | None = None
    checkpoint: Path | None = None
    chat: dict[str, Any] = field(default_factory=dict)


def read_refusal(world: Path, judges: Sequence[str]) -> str:
    """The world's refusal text; empty where no judge needs it.

    Raises:
        DataError: if the exact judge is asked for and the file or its field is missing.
    """
    if "exact" not in judges:
        return ""
    refusal = read_json(world).get("refusal")
    if not isinstance(refusal, str) or not refusal.strip():
        raise DataError(
            str(world),
            expected="a field 'refusal' with the refusal text",
            found=repr(refusal),
            fix="run `harc data build`",
        )
    return refusal


def describe_run(paths: EvaluationPaths, settings: EvaluationSettings, seed: int) -> dict:
    """Everything that a finished suite depends on; suites of another run are not taken over."""
    answering = settings.model_dump(
        mode="json",
        include={
            "split", "max_new_tokens", "judges", "classifier", "attacker", "attacker_replies", "pair", "prefill",
        },
    )  # fmt: skip
    for role in ENDPOINTS:
        endpoint = getattr(settings, role)
        answering[role] = None if endpoint is None else _identify(endpoint)
    return describe_work(
        ["harc.evaluation.run:evaluate_backbone"],
        data=sha256_file(paths.data),
        world=sha256_file(paths.world) if paths.world.is_file() else None,
        backbone=hash_weights(paths.backbone),
        adapter=None if paths.adapter is None else hash_weights(paths.adapter),
        chat=paths.chat,
        settings=answering,
        seed=seed,
    )


def _identify(endpoint: EndpointSettings) -> dict:
    """What an endpoint's answers depend on: of a model that is loaded here, its weights too."""
    weights = {"weights": hash_weights(endpoint.model)} if endpoint.kind == "local" else {}
    return endpoint.describe_answers() | weights


class SuiteStore:
    """Finished suites of one run, each written atomically."""

    def __init__(self, folder: Path, key: dict) -> None:
        """Open `folder`; suites of another run, or of no known one, are removed."""
        self.folder = folder
        marker = folder / KEY_FILE
        if not marker.is_file() or read_json(marker) != key:
            for path in (*folder.glob("*.jsonl"), *folder.glob(f"*{PARTIAL}")):
                path.unlink()
            write_json(marker, key)

    def load(self, suite: str, rows: Sequence[dict]) -> list[dict] | None:
        """Records of a suite if it is finished for exactly these rows, else None."""
        path = self.folder / f"{suite}.jsonl"
        if not path.is_file():
            return None
        try:
            records = read_jsonl(path, ("id", "prompt_sha256", "response", "verdicts"))
        except DataError:
            return None
        return records if [r["id"] for r in records] == [row["id"] for row in rows] else None

    def open_partial(self, suite: str) -> PromptStore:
        """Where the records of a suite are kept while it runs."""
        return PromptStore(self.folder / f"{suite}{PARTIAL}")

    def save(self, suite: str, records: Sequence[dict]) -> None:
        """Keep a finished suite."""
        write_jsonl(self.folder / f"{suite}.jsonl", records)
        self.open_partial(suite).remove()


def load_target(paths: EvaluationPaths, settings: EvaluationSettings, *, dtype: str, device: str) -> Any:
    """The model under test, with its adapter or its steering on; or the client of the server that holds it.

    In float32 the adapter is folded into the weights, which halves the time of a step and changes logits by
    rounding only; in 16 bits it stays apart, since small updates would be rounded away.
    """
    if settings.target_endpoint is not None:
        from harc.evaluation.endpoint_target import EndpointTarget
        from harc.model.endpoints.create import create_endpoint

        return EndpointTarget(create_endpoint(settings.target_endpoint), settings)
    from harc.model.adapted import load_adapted
    from harc.model.merging import fold_adapter
    from harc.suites.target import Target

    backbone = load_adapted(paths.backbone, paths.adapter, dtype=dtype, device=device, **paths.chat)
    return Target(fold_adapter(backbone) if dtype == "float32" else backbone, settings)


def run_missing(
    target: Any, rows: dict[str, list[dict]], examiner: Any, store: SuiteStore
) -> dict[str, float]:
    """Run and keep every suite of `rows`; seconds spent on each."""
    from harc.suites import HARNESS_SUITES, run_suite

    seconds = {}
    size = target.settings.prompts_in_flight
    with track(sum(map(len, rows.values())), "evaluate") as bar:
        for suite, members in rows.items():
            if suite in HARNESS_SUITES:
                continue
            start = time.monotonic()
            run = partial(run_suite, suite, target, examiner=examiner)
            store.save(suite, run_in_parts(members, run, store.open_partial(suite), size))
            seconds[suite] = time.monotonic() - start
            bar.advance(len(members), suite=suite)
        harness_rows = {suite: members for suite, members in rows.items() if suite in HARNESS_SUITES}
        if harness_rows:
            from harc.suites.tasks import run_harness_suites

            start = time.monotonic()
            for suite, records in run_harness_suites(target, harness_rows, examiner.judges).items():
                store.save(suite, records)
                bar.advance(len(records), suite=suite)
            seconds["lm_eval"] = time.monotonic() - start
    return seconds


def check_target(settings: EvaluationSettings) -> None:
    """Refuse what a model behind a server cannot do, before anything is asked.

    Raises:
        ConfigError: naming the first suite that needs the model's weights.
    """
    if settings.target_endpoint is None:
        return
    from harc.suites import WEIGHT_SUITES

    unable = [suite for suite in settings.suites if suite in WEIGHT_SUITES]
    if unable:
        raise ConfigError(
            "evaluation.target_endpoint",
            expected="suites of text alone",
            found=unable[0],
            fix="take it out of evaluation.suites, or load the model here",
        )


def evaluate_backbone(
    paths: EvaluationPaths,
    settings: EvaluationSettings,
    *,
    seed: int,
    dtype: str = "float32",
    device: str = "cpu",
) -> dict:
    """Evaluate one model on every suite of `settings.suites`.

    Finished suites are kept and not run again if all that they depend on is the same. With a checkpoint
    folder, the generations appear under `paths.generations` once all suites are done.

    Args:
        paths: inputs and outputs.
        settings: suites, decoding, judges, attack.
        seed: of the attackers; equal for all methods of a comparison.
        dtype: precision of the model.
        device: "cpu", "cuda" or "auto".

    Returns:
        Summary: rows per suite, seconds per suite, which suites were taken over, what endpoints did and cost.

    Raises:
        ConfigError: for a suite that the kind of target cannot answer.
        DataError: for damaged rows, or an empty suite.
        ModelError: for a model or adapter that cannot be loaded, or a prompt that does not fit.
    """
    start = time.monotonic()
    check_target(settings)
    rows = read_rows(paths.data, settings.suites)
    judges = make_judges(settings.judges, read_refusal(paths.world, settings.judges), settings)
    key = describe_run(paths, settings, seed) | name_run(settings)
    store = SuiteStore(paths.checkpoint or paths.generations, key)
    done = {suite: store.load(suite, members) for suite, members in rows.items()}
    missing = {suite: rows[suite] for suite, records in done.items() if records is None}
    projecting = settings.project and paths.directions is not None and paths.projections is not None
    projecting = projecting and settings.target_endpoint is None
    seconds: dict[str, float] = {}
    usage: dict[str, dict] = {}
    if missing or projecting:
        from harc.suites.examiner import describe_usage, make_examiner

        loading = time.monotonic()
        target = load_target(paths, settings, dtype=dtype, device=device)
        seconds["load"] = time.monotonic() - loading
        examiner = make_examiner(judges, settings, seed, missing)
        seconds |= run_missing(target, missing, examiner, store)
        usage = describe_usage(target, examiner)
    records = {suite: store.load(suite, members) for suite, members in rows.items()}
    if projecting:
        from harc.evaluation.projecting import write_projections

        projected = time.monotonic()
        write_projections(
            target.backbone,
            [record for suite in records.values() for record in suite],
            paths.directions,
            paths.projections,
            judges=settings.judges,
            window=settings.response_window,
        )
        seconds["projections"] = time.monotonic() - projected
    publish_suites(store, records, paths.generations)
    return {
        "rows": {suite: len(members) for suite, members in rows.items()},
        "taken_over": sorted(set(rows) - set(missing)),
        "seconds": {name: round(value, 2) for name, value in seconds.items()}
        | {"total": round(time.monotonic() - start, 2)},
        "endpoints": usage,
    }


def publish_suites(store: SuiteStore, records: dict[str, list[dict]], generations: Path) -> None:
    """Put all suites where the scores are computed from, and drop the checkpoint."""
    if store.folder == generations:
        return
    for suite, members in records.items():
        write_jsonl(generations / f"{suite}.jsonl", members)
        (store.folder / f"{suite}.jsonl").unlink()
    (store.folder / KEY_FILE).unlink()
