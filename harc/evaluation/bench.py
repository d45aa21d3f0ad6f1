"""Methods tried apart from the main comparison: trained on a backbone, asked some suites, finished parts kept."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from harc.core.artifacts import ANSWER_FILES
from harc.core.files import sha256_file
from harc.core.finished import KEPT, KeyedStore, identify_work
from harc.core.terminal import track
from harc.model.handle import ModelHandle
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
        model: the backbone, with the adapter that training starts from, if it starts from one.
        data: folder of the row files.
        evaluation: split, suites and judges.
        seed: of adapter and attackers.
        directions: directions.safetensors of the base model; None where nothing reads them.
        reading: how directions are read; None for the defaults.
        answers: folder of the row files with answers, where these are the model's own; None for `data`.
        parameters: of the trained judge, where it is named.
    """

    model: ModelHandle
    data: Path
    evaluation: EvaluationSettings
    seed: int
    directions: Path | None = None
    reading: DirectionSettings | None = None
    answers: Path | None = None
    parameters: Path | None = None

    def find_rows(self, name: str) -> Path:
        """A row file by name."""
        return (self.answers if self.answers and name in ANSWER_FILES else self.data) / name

    def open(self, *, training: bool) -> "Backbone":
        """The backbone, as it was before any method, in the precision in which it is trained, or asked."""
        model = replace(self.model, method=None)
        return (model.for_training() if training else model).open()

    def ask(self, method: Path | str | None, generations: Path) -> None:
        """Ask the suites of the backbone with a method's folder on (None: as it is), and write the generations."""
        from harc.evaluation.run import EvaluationPaths, evaluate_backbone

        paths = EvaluationPaths(
            model=replace(self.model, method=method),
            data=self.data / f"{self.evaluation.split}.jsonl",
            world=self.data / "world.json",
            directions=None,
            generations=generations,
            parameters=self.parameters,
        )
        evaluate_backbone(paths, self.evaluation, seed=self.seed)

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
        return identify_work(
            [code, *list_objective_code(*settings)],
            settings=[None if part is None else part.model_dump(mode="json") for part in settings],
            reading=self.reading,
            evaluation=self.evaluation,
            data=[sha256_file(self.find_rows(name)) for name in files],
            parameters=None if self.parameters is None else sha256_file(self.parameters),
            model=self.model.identify(),
            training_dtype=self.model.for_training().dtype,
            seed=self.seed,
            **parts,
        )


def run_parts(
    parts: Mapping[str, tuple[str, Callable[[Path], Any]]],
    checkpoint: Path,
    label: str,
    describe: Callable[[Any], Mapping[str, Any]],
    *,
    keep: bool = False,
) -> list[Any]:
    """The value of every part, those finished before a kill taken as they are.

    Args:
        parts: by name, the part's key of `Bench.identify`, and what makes its value (JSON values) in a scratch
            folder that lasts to the end.
        checkpoint: folder that keeps finished parts while this runs.
        label: shown with the progress bar.
        describe: what the bar shows of a value.
        keep: leave the checkpoint there at the end, for a call with more parts.
    """
    values, store = [], KeyedStore(checkpoint / KEPT, {})
    with TemporaryDirectory() as scratch, track(len(parts), label) as bar:
        for name, (key, make) in parts.items():
            value = store.load(f"{name} {key}")
            if value is None:
                value = make(Path(scratch))
                store.save(f"{name} {key}", value)
            values.append(value)
            bar.advance(1, **describe(value))
    if not keep:
        shutil.rmtree(checkpoint, ignore_errors=True)
    return values
