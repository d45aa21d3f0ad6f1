"""Fine-tuning a method's model on more and more harmful answers, and asking it again after each."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harc.core.files import sha256_file
from harc.core.finished import identify_work, load_finished, save_finished
from harc.core.progress import track
from harc.evaluation.finetuning_rows import choose_rows
from harc.evaluation.outcomes import load_outcomes, read_records
from harc.evaluation.run import EvaluationPaths, evaluate_backbone, hash_weights
from harc.settings.evaluation import EvaluationSettings
from harc.settings.training import MethodSettings
from harc.training.modules import list_objective_code

ANSWER_COLUMNS = (
    "examples", "suite", "id", "unit", "goal", "label", "finish_reason", "response_tokens", "response",
)  # fmt: skip
RUN_COLUMNS = ("examples", "steps", "first_loss", "last_loss")


@dataclass(frozen=True)
class Bench:
    """What is fine-tuned and where it is asked.

    Attributes:
        weights: folder of the backbone, or of its snapshot.
        dtype, device: precision and place of the model.
        adapter: folder of the method's adapter; None for the base.
        data: folder of the row files.
        evaluation: the study's evaluation, with the suites to ask.
        seed: of the new adapter and the attackers.
        chat: what the model's chat template is told: template_options and date.
    """

    weights: Path
    dtype: str
    device: str
    adapter: Path | None
    data: Path
    evaluation: EvaluationSettings
    seed: int
    chat: dict[str, Any] = field(default_factory=dict)


def run_finetunings(
    bench: Bench,
    rows: Sequence[Mapping[str, Any]],
    plans: Mapping[int, MethodSettings | None],
    order_seed: int,
    checkpoint: Path,
    label: str,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Fine-tune once for each number of examples, each time from the method's own model, and ask the suites.

    Args:
        bench: what is fine-tuned.
        rows: training.jsonl.
        plans: settings of the training by number of examples; None for 0 examples, where nothing is trained.
        order_seed: seed of the order in which rows are taken.
        checkpoint: folder of finished parts while this runs; removed at the end.
        label: shown with the progress bar.

    Returns:
        Rows of answers.csv (one per prompt and number of examples) and of runs.csv (one per number of examples).

    Raises:
        DataError: if there are fewer rows than examples.
    """
    chosen = {examples: choose_rows(rows, examples, order_seed) for examples in plans}
    answers, runs = [], []
    with TemporaryDirectory() as scratch, track(len(plans), label) as bar:
        for examples, settings in plans.items():
            file = checkpoint / f"examples_{examples:05d}.json"
            key = _identify(bench, settings, chosen[examples])
            done = load_finished(file, key)
            if done is None:
                done = _finetune_once(bench, chosen[examples], settings, Path(scratch) / str(examples))
                save_finished(file, key, done)
            answers += [{"examples": examples, **row} for row in done["answers"]]
            runs.append({"examples": examples, **done["run"]})
            bar.advance(1, examples=examples)
    shutil.rmtree(checkpoint, ignore_errors=True)
    return answers, runs


def _finetune_once(
    bench: Bench, rows: Sequence[Mapping[str, Any]], settings: MethodSettings | None, folder: Path
) -> dict[str, Any]:
    """Train, if there is anything to train on, and ask."""
    adapter, run = bench.adapter, {"steps": 0, "first_loss": None, "last_loss": None}
    if settings is not None:
        adapter = folder / "adapter"
        run = _train(bench, rows, settings, adapter)
    return {"answers": _ask(bench, adapter, folder), "run": run}


def _train(
    bench: Bench, rows: Sequence[Mapping[str, Any]], settings: MethodSettings, out_dir: Path
) -> dict[str, Any]:
    """Cross-entropy on the answers, from the merged model; the folder holds both updates as one adapter."""
    from harc.core.files import read_jsonl
    from harc.model.backbones import load_backbone
    from harc.training.run import train_adapter

    backbone = load_backbone(bench.weights, dtype=bench.dtype, device=bench.device, **bench.chat)
    start = bench.adapter if settings.start_from else None
    train_adapter(
        backbone,
        rows,
        [],
        [],
        None,
        settings,
        bench.seed,
        out_dir,
        None,
        validation_rows=[],
        start_from=start,
    )
    log = read_jsonl(out_dir / "training_log.jsonl", ("step", "ce"))
    return {"steps": settings.steps, "first_loss": log[0]["ce"], "last_loss": log[-1]["ce"]}


def _ask(bench: Bench, adapter: Path | None, folder: Path) -> list[dict[str, Any]]:
    """Outcomes of every suite, with the answers themselves."""
    settings = bench.evaluation
    paths = EvaluationPaths(
        backbone=bench.weights,
        adapter=adapter,
        data=bench.data / f"{settings.split}.jsonl",
        world=bench.data / "world.json",
        directions=None,
        generations=folder / "generations",
        chat=bench.chat,
    )
    evaluate_backbone(paths, settings, seed=bench.seed, dtype=bench.dtype, device=bench.device)
    responses = {
        (suite, record["id"]): record["response"]
        for suite in settings.suites
        for record in read_records(paths.generations / f"{suite}.jsonl", suite, settings.judges)
    }
    kept = ANSWER_COLUMNS[1:-1]
    return [
        {name: row[name] for name in kept} | {"response": responses[row["suite"], row["id"]]}
        for row in load_outcomes(paths.generations, settings)
    ]


def _identify(bench: Bench, settings: MethodSettings | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """Hash of everything that one fine-tuning depends on."""
    return identify_work(
        ["harc.evaluation.finetuning:run_finetunings", *list_objective_code(settings)],
        settings=settings,
        evaluation=bench.evaluation,
        model=[bench.seed, bench.dtype, bench.chat, hash_weights(bench.weights)],
        adapter=None if bench.adapter is None else hash_weights(bench.adapter),
        data=[sha256_file(bench.data / name) for name in (f"{bench.evaluation.split}.jsonl", "world.json")],
        rows=list(rows),
    )
