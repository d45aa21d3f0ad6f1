"""Trying one point: train the method with the point's settings, and measure it on development prompts."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harc.evaluation.tuning_columns import ENDS, RATES
from harc.settings.directions import DirectionSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.training import MethodSettings
from harc.suites import ATTACK_SUITES, BENIGN_SUITES, OVER_REFUSAL_SUITES

SUITES = (*ATTACK_SUITES, *OVER_REFUSAL_SUITES, *BENIGN_SUITES)


@dataclass(frozen=True)
class Workbench:
    """Where points are tried.

    Attributes:
        weights: folder of the backbone, or of its snapshot.
        dtype, device: precision and place of the model.
        data: folder of the row files.
        directions: directions.safetensors of the base model.
        evaluation: the study's evaluation; points are tried on its development split, suites of safety alone.
        reading: how directions are read.
        seed: of adapter and attackers.
        chat: what the model's chat template is told: template_options and date.
    """

    weights: Path
    dtype: str
    device: str
    data: Path
    directions: Path
    evaluation: EvaluationSettings
    reading: DirectionSettings
    seed: int
    chat: dict[str, Any] = field(default_factory=dict)

    @property
    def development(self) -> EvaluationSettings:
        """The evaluation that points get."""
        return self.evaluation.model_copy(update={"split": "development", "suites": SUITES, "project": False})


def train_point(
    bench: Workbench, settings: MethodSettings, out_dir: Path, *, start_from: Path | None = None
) -> dict[str, Any]:
    """Train or fit a method and write its folder; what the training returns."""
    from harc.core.files import read_jsonl
    from harc.geometry.directions import load_directions
    from harc.model.backbones import load_backbone

    backbone = load_backbone(bench.weights, dtype=bench.dtype, device=bench.device, **bench.chat)
    rows = read_jsonl(bench.data / "training.jsonl", ("category", "prompt", "response"))
    if settings.objective == "cast":
        from harc.methods.cast import fit_steering

        return fit_steering(backbone, rows, settings, bench.seed, out_dir)
    from harc.training.run import train_adapter

    return train_adapter(
        backbone,
        rows,
        read_jsonl(bench.data / "extraction.jsonl", ("category", "prompt")),
        read_jsonl(bench.data / "extraction_pairs.jsonl", ("kind", "prompt", "response")),
        load_directions(bench.directions),
        settings,
        bench.seed,
        out_dir,
        None,
        direction_settings=bench.reading,
        start_from=start_from,
    )


def measure_point(bench: Workbench, folder: Path | None, work_dir: Path) -> dict[str, Any]:
    """Development rates of a method's folder (None: the base), with intervals and numbers of prompts.

    Args:
        bench: where.
        folder: adapter or steering.
        work_dir: for generations and scores; both stay there.
    """
    from harc.evaluation.run import EvaluationPaths, evaluate_backbone
    from harc.evaluation.score import read_csv, score_generations

    paths = EvaluationPaths(
        backbone=bench.weights,
        adapter=folder,
        data=bench.data / "development.jsonl",
        world=bench.data / "world.json",
        directions=None,
        generations=work_dir / "generations",
        chat=bench.chat,
    )
    evaluate_backbone(paths, bench.development, seed=bench.seed, dtype=bench.dtype, device=bench.device)
    score_generations(paths.generations, work_dir / "scores", bench.development)
    scores = {(row["suite"], row["metric"]): row for row in read_csv(work_dir / "scores/scores.csv")}
    return {
        f"{name}{end}": scores[key][column] for name, key in RATES.items() for end, column in ENDS.items()
    }
