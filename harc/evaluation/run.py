"""One process evaluates one model: all suites, helpfulness, projections; resumable suite by suite."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError
from harc.core.files import read_json, sha256_file, write_jsonl
from harc.core.finished import KEPT, KeyedStore, describe_work
from harc.core.terminal import track
from harc.judges.registry import make_judges
from harc.model.endpoints.base import create_endpoint
from harc.model.handle import ModelHandle
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.suites.examiner import ENDPOINTS, name_run
from harc.suites.rows import read_rows


@dataclass(frozen=True)
class EvaluationPaths:
    """Where an evaluation reads and writes.

    Attributes:
        model: the model under test.
        data: rows of the split, JSONL.
        world: world.json with the refusal text, needed by the exact judge.
        directions: directions.safetensors of the base model; None leaves projections out.
        generations: folder for one JSONL file per suite.
        projections: folder for projections.safetensors and projections.jsonl.
        checkpoint: folder that keeps records until the end; None keeps them in `generations`.
        parameters: of the trained judge, where it is named.
    """

    model: ModelHandle
    data: Path
    world: Path
    directions: Path | None
    generations: Path
    projections: Path | None = None
    checkpoint: Path | None = None
    parameters: Path | None = None


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
        parameters=None if paths.parameters is None else sha256_file(paths.parameters),
        model=paths.model.identify(),
        settings=answering,
        seed=seed,
    )


def _identify(endpoint: EndpointSettings) -> dict:
    """What an endpoint's answers depend on: of a model that is loaded here, its weights too."""
    if endpoint.kind != "local":
        return endpoint.describe_answers()
    from harc.model.endpoints.local import name_model

    return endpoint.describe_answers() | {"weights": name_model(endpoint).identify()}


def name_record(suite: str, row: dict) -> str:
    """The name under which the record of a row is kept."""
    return f"{suite}/{row['id']}"


def load_suite(store: KeyedStore, suite: str, rows: Sequence[dict]) -> list[dict] | None:
    """Records of a suite if it is finished, else None."""
    records = [store.load(name_record(suite, row)) for row in rows]
    return None if None in records else records


def run_in_parts(
    rows: Sequence[dict],
    run: Callable[[Sequence[dict]], list[dict]],
    store: KeyedStore,
    size: int | None,
    suite: str = "",
) -> list[dict]:
    """Records of all rows, in order: those that are kept, and the others run `size` at a time.

    Args:
        rows: of one suite.
        run: gives one record per row, which depend on the row alone.
        store: where records are kept, as soon as they are there.
        size: rows at a time; None runs all at once.
        suite: part of the records' names.
    """
    names = [name_record(suite, row) for row in rows]
    kept = [store.load(name) for name in names]
    left = [place for place, record in enumerate(kept) if record is None]
    if left and size is None:
        left = list(range(len(rows)))
    with track(len(left), "prompts") as bar:
        for start in range(0, len(left), size or len(rows)):
            part = left[start : start + (size or len(rows))]
            records = run([rows[place] for place in part])
            store.save_all({names[place]: record for place, record in zip(part, records, strict=True)})
            for place, record in zip(part, records, strict=True):
                kept[place] = record
            bar.advance(len(part))
    return kept


def load_target(model: ModelHandle | EndpointSettings, settings: EvaluationSettings) -> Any:
    """The model under test, with its adapter or its steering on; or the client of the server that holds it."""
    from harc.suites.target import EndpointTarget, Target

    if isinstance(model, EndpointSettings):
        return EndpointTarget(create_endpoint(model), settings)
    return Target(model.open(fold=True), settings)


def run_missing(
    target: Any, rows: dict[str, list[dict]], examiner: Any, store: KeyedStore
) -> dict[str, float]:
    """Run and keep every suite of `rows`; seconds spent on each."""
    from harc.suites.registry import HARNESS_SUITES, run_suite

    seconds = {}
    size = target.settings.prompts_in_flight
    with track(sum(map(len, rows.values())), "evaluate") as bar:
        for suite, members in rows.items():
            if suite in HARNESS_SUITES:
                continue
            start = time.monotonic()
            run = partial(run_suite, suite, target, examiner=examiner)
            run_in_parts(members, run, store, size, suite)
            seconds[suite] = time.monotonic() - start
            bar.advance(len(members), suite=suite)
        harness_rows = {suite: members for suite, members in rows.items() if suite in HARNESS_SUITES}
        if harness_rows:
            from harc.suites.tasks import run_harness_suites

            start = time.monotonic()
            for suite, records in run_harness_suites(target, harness_rows, examiner.judges).items():
                store.save_all({name_record(suite, record): record for record in records})
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
    from harc.suites.registry import WEIGHT_SUITES

    unable = [suite for suite in settings.suites if suite in WEIGHT_SUITES]
    if unable:
        raise ConfigError(
            "evaluation.target_endpoint",
            expected="suites of text alone",
            found=unable[0],
            fix="take it out of evaluation.suites, or load the model here",
        )


def evaluate_backbone(paths: EvaluationPaths, settings: EvaluationSettings, *, seed: int) -> dict:
    """Evaluate one model on every suite of `settings.suites`.

    Records are kept as they come, and taken over by the next run if all that they depend on is the same; the
    generations appear under `paths.generations` once all suites are done.

    Args:
        paths: inputs and outputs.
        settings: suites, decoding, judges, attack.
        seed: of the attackers; equal for all methods of a comparison.

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
    refusal = read_refusal(paths.world, settings.judges)
    judges = make_judges(settings.judges, refusal, settings, paths.parameters)
    key = describe_run(paths, settings, seed) | name_run(settings)
    store = KeyedStore((paths.checkpoint or paths.generations) / KEPT, key)
    missing = {suite: members for suite, members in rows.items() if load_suite(store, suite, members) is None}
    projecting = settings.project and paths.directions is not None and paths.projections is not None
    projecting = projecting and settings.target_endpoint is None
    seconds: dict[str, float] = {}
    usage: dict[str, dict] = {}
    if missing or projecting:
        from harc.suites.examiner import describe_usage, make_examiner

        loading = time.monotonic()
        target = load_target(settings.target_endpoint or paths.model, settings)
        seconds["load"] = time.monotonic() - loading
        examiner = make_examiner(judges, settings, seed, missing)
        seconds |= run_missing(target, missing, examiner, store)
        usage = describe_usage(target, examiner)
    records = {suite: load_suite(store, suite, members) for suite, members in rows.items()}
    if projecting:
        from harc.evaluation.projecting import choose_projected, write_projections

        projected = time.monotonic()
        write_projections(
            target.backbone,
            [
                record
                for suite in records.values()
                for record in choose_projected(suite, settings.projected_prompts)
            ],
            paths.directions,
            paths.projections,
            judges=settings.judges,
            window=settings.response_window,
        )
        seconds["projections"] = time.monotonic() - projected
    for suite, members in records.items():
        write_jsonl(paths.generations / f"{suite}.jsonl", members)
    store.remove()
    return {
        "rows": {suite: len(members) for suite, members in rows.items()},
        "taken_over": sorted(set(rows) - set(missing)),
        "seconds": {name: round(value, 2) for name, value in seconds.items()}
        | {"total": round(time.monotonic() - start, 2)},
        "endpoints": usage,
    }
