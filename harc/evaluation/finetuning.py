"""Fine-tuning a method's model on more and more harmful answers, or benign ones, and asking it again after each."""

import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.core.files import read_jsonl
from harc.evaluation.bench import Bench, run_parts
from harc.evaluation.outcomes import load_outcomes, read_records
from harc.settings.training import MethodSettings

ANSWER_COLUMNS = (
    "examples", "suite", "id", "unit", "goal", "label", "finish_reason", "response_tokens", "response",
)  # fmt: skip
RUN_COLUMNS = ("examples", "steps", "first_loss", "last_loss")
Rows = Sequence[Mapping[str, Any]]


def run_finetunings(
    bench: Bench,
    rows: Rows,
    plans: Mapping[int, MethodSettings | None],
    order_seed: int,
    checkpoint: Path,
    label: str,
    category: str = "harmful",
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Fine-tune once for each number of examples, each time from the method's own model, and ask the suites.

    Args:
        bench: what is fine-tuned.
        rows: training.jsonl.
        plans: settings of the training by number of examples; None for 0 examples, where nothing is trained.
        order_seed: seed of the order in which rows are taken.
        checkpoint: folder that keeps finished parts while this runs; removed at the end.
        label: shown with the progress bar.
        category: of the rows that are learnt from.

    Returns:
        Rows of answers.csv (one per prompt and number of examples) and of runs.csv (one per number of examples).

    Raises:
        DataError: if there are fewer rows than examples.
    """
    parts = {}
    for examples, settings in plans.items():
        chosen = choose_rows(rows, examples, order_seed, category)
        key = bench.identify(
            "harc.evaluation.finetuning:run_finetunings",
            settings,
            files=(f"{bench.evaluation.split}.jsonl", "world.json"),
            rows=chosen,
        )
        parts[f"examples_{examples:05d}"] = (key, partial(_finetune_once, bench, chosen, settings, examples))
    done = run_parts(parts, checkpoint, label, lambda value: {"examples": value["run"]["examples"]})
    return [row for value in done for row in value["answers"]], [value["run"] for value in done]


ANSWER_FIELDS = {"harmful": "rejected", "harmless": "response"}  # what rows of a category learn to answer


def choose_rows(rows: Rows, count: int, seed: int, category: str = "harmful") -> list[dict[str, Any]]:
    """The first `count` rows of a category in a seeded order, so that a smaller set is part of every larger one.

    The answer of a harmful row is its field `rejected`: what a defence is trained away from. Rows are of the training
    split, which shares no request with any evaluation split. All come back as harmful ones: of them alone the
    cross-entropy that `FinetuningSettings.compose_training` asks for is taken, on whatever their response is.

    Args:
        rows: training.jsonl.
        count: rows wanted.
        seed: of the order.
        category: `harmful` or `harmless`.

    Raises:
        DataError: if there are fewer rows with an answer.
    """
    answer = ANSWER_FIELDS[category]
    own = [row for row in rows if row["category"] == category and (row.get(answer) or "").strip()]
    if len(own) < count:
        raise DataError(
            "training.jsonl",
            expected=f"{count} {category} rows with an answer in field '{answer}'",
            found=str(len(own)),
            fix="lower the number of examples, or give more rows",
        )
    order = random.Random(f"{seed}/{category} answers").sample(range(len(own)), len(own))
    return [
        {
            "id": own[index].get("id", f"row {index}"),
            "category": "harmful",
            "prompt": own[index]["prompt"],
            "response": own[index][answer],
        }
        for index in order[:count]
    ]


def _finetune_once(
    bench: Bench, rows: Rows, settings: MethodSettings | None, examples: int, scratch: Path
) -> dict[str, Any]:
    """Train, if there is anything to train on, and ask."""
    folder = scratch / str(examples)
    adapter, run = bench.model.method, {"steps": 0, "first_loss": None, "last_loss": None}
    if settings is not None:
        adapter = folder / "adapter"
        run = _train(bench, rows, settings, adapter)
    answers = [{"examples": examples, **row} for row in _ask(bench, adapter, folder / "generations")]
    return {"answers": answers, "run": {"examples": examples, **run}}


def _train(bench: Bench, rows: Rows, settings: MethodSettings, out_dir: Path) -> dict[str, Any]:
    """Cross-entropy on the answers, from the merged model; the folder holds both updates as one adapter."""
    from harc.training.run import train_adapter

    start = bench.model.method if settings.start_from else None
    train_adapter(
        bench.open(training=True),
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


def _ask(bench: Bench, adapter: Path | str | None, generations: Path) -> list[dict[str, Any]]:
    """Outcomes of every suite, with the answers themselves."""
    settings = bench.evaluation
    bench.ask(adapter, generations)
    responses = {
        (suite, record["id"]): record["response"]
        for suite in settings.suites
        for record in read_records(generations / f"{suite}.jsonl", suite, settings.judges)
    }
    return [
        {name: row[name] for name in ANSWER_COLUMNS[1:-1]} | {"response": responses[row["suite"], row["id"]]}
        for row in load_outcomes(generations, settings)
    ]
