"""Methods tried apart from the main comparison: trained on a backbone, asked some suites, finished parts kept."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from harc.core.files import sha256_file
from harc.core.finished import identify_work, load_finished, save_finished
from harc.core.terminal import track
from harc.settings.directions import DirectionSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.methods import list_objective_code
from harc.settings.training import MethodSettings

if TYPE_CHECKING:
    from harc.model.backbones import Backbone


@dataclass(frozen=True)
class Bench:
    """What is trained and where it is asked.

    Attributes:
        weights: folder of the backbone, or of its snapshot.
        dtype, device: precision and place of the model.
        data: folder of the row files.
        evaluation: split, suites and judges.
        seed: of adapter and attackers.
        chat: what the model's chat template is told: template_options and date.
        method: folder of the adapter that training starts from; None for the base.
        directions: directions.safetensors of the base model; None where nothing reads them.
        reading: how directions are read; None for the defaults.
    """

    weights: Path
    dtype: str
    device: str
    data: Path
    evaluation: EvaluationSettings
    seed: int
    chat: dict[str, Any] = field(default_factory=dict)
    method: Path | None = None
    directions: Path | None = None
    reading: DirectionSettings | None = None

    def open(self) -> "Backbone":
        """The backbone, as it was before any method."""
        from harc.model.backbones import load_backbone

        return load_backbone(self.weights, dtype=self.dtype, device=self.device, **self.chat)

    def ask(self, method: Path | None, generations: Path) -> None:
        """Ask the suites of the backbone with a method's folder on (None: as it is), and write the generations."""
        from harc.evaluation.run import EvaluationPaths, evaluate_backbone

        paths = EvaluationPaths(
            backbone=self.weights,
            adapter=method,
            data=self.data / f"{self.evaluation.split}.jsonl",
            world=self.data / "world.json",
            directions=None,
            generations=generations,
            chat=self.chat,
        )
        evaluate_backbone(paths, self.evaluation, seed=self.seed, dtype=self.dtype, device=self.device)

    def identify(
        self, code: str, *settings: MethodSettings | None, files: tuple[str, ...], **parts: Any
    ) -> str:
        """Hash of everything that a part depends on.

        Args:
            code: where the code that does it begins.
            settings: of the trainings.
            files: rows that are read, by name.
            parts: whatever else it depends on.
        """
        from harc.model.identity import hash_weights

        return identify_work(
            [code, *list_objective_code(*settings)],
            settings=[None if part is None else part.model_dump(mode="json") for part in settings],
            reading=self.reading,
            evaluation=self.evaluation,
            data=[sha256_file(self.data / name) for name in files],
            model=[self.seed, self.dtype, self.chat, hash_weights(self.weights)],
            method=None if self.method is None else hash_weights(self.method),
            **parts,
        )


def run_parts(
    parts: Mapping[str, tuple[str, Callable[[Path], Any]]],
    checkpoint: Path,
    label: str,
    describe: Callable[[Any], Mapping[str, Any]],
) -> list[Any]:
    """The value of every part, those finished before a kill taken as they are.

    Args:
        parts: by file name, the part's key of `Bench.identify`, and what makes its value (JSON values) in a scratch
            folder that lasts to the end.
        checkpoint: folder of finished parts while this runs; removed at the end.
        label: shown with the progress bar.
        describe: what the bar shows of a value.
    """
    values = []
    with TemporaryDirectory() as scratch, track(len(parts), label) as bar:
        for name, (key, make) in parts.items():
            file = checkpoint / f"{name}.json"
            value = load_finished(file, key)
            if value is None:
                value = make(Path(scratch))
                save_finished(file, key, value)
            values.append(value)
            bar.advance(1, **describe(value))
    shutil.rmtree(checkpoint, ignore_errors=True)
    return values
