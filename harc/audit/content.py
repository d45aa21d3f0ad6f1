"""What artifacts must satisfy whatever their hashes say, by the files that a folder holds.

`CHECKS` and `COMPANIONS` are the tables: a new kind of artifact is a line in each.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harc.audit.records import (
    check_fetched_source,
    check_finetuning,
    check_json,
    check_log,
    check_records,
    check_row_report,
    check_selected,
    check_suppression,
    read_renderer,
    read_rows_by_suite,
)
from harc.audit.report import Finding
from harc.audit.sidecars import Sidecar
from harc.audit.tensors import (
    Problem,
    check_adapter,
    check_directions,
    check_layers,
    check_projections,
    check_trajectories,
    compare_choice,
    find_non_finite,
    read_tensors,
)
from harc.core.csv_files import read_csv_rows
from harc.core.errors import HarcError
from harc.core.files import read_json, read_jsonl


@dataclass
class Subject:
    """One file under check, with the sidecar that names it and the tree's other sidecars.

    Attributes:
        path: the file; its hash is right.
        sidecar: whose output it is.
        counts: numbers of things checked, which checks add to.
        sound: files with the hash that their sidecar gives; a check reads no others, so that damage shows once.
        shared: what checks keep between files, by sidecar.
    """

    path: Path
    sidecar: Sidecar
    counts: Counter
    sound: Set[Path]
    shared: dict[Path, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the step was run with."""
        return self.sidecar.record["settings"]

    def beside(self, name: str) -> Path | None:
        """Another file of the same folder; None if it is missing or damaged, which is a finding of its own."""
        path = self.path.with_name(name)
        return path if path in self.sound else None

    def inputs(self) -> list[Path]:
        """The step's inputs that are as they should be."""
        return [path for path in self.sidecar.inputs.values() if path in self.sound]


Check = Callable[[Subject], Iterable[Problem]]


def _directions(subject: Subject) -> Iterator[Problem]:
    yield from check_directions(read_tensors(subject.path))


def _layers(subject: Subject) -> Iterator[Problem]:
    layers = read_json(subject.path)
    problems = list(check_layers(layers))
    yield from problems
    directions, settings = subject.beside("directions.safetensors"), subject.settings.get("directions")
    if problems or settings is None or directions is None:
        return
    from harc.geometry.directions import load_directions
    from harc.methods.harc import describe_choice
    from harc.settings.directions import DirectionSettings

    chosen = DirectionSettings.model_validate(settings).layers
    yield from compare_choice(
        layers, describe_choice(load_directions(directions), subject.settings["k"], chosen)
    )
    subject.counts["layer choices recomputed"] += 1


def _adapter(subject: Subject) -> Iterator[Problem]:
    method = subject.settings.get("method") or {}
    lora = None if method.get("start_from") else method.get("lora")  # a composed adapter holds two of them
    config = subject.beside("adapter_config.json")
    yield from check_adapter(read_tensors(subject.path), read_json(config) if config else None, lora)


def _weights(subject: Subject) -> Iterator[Problem]:
    yield from find_non_finite(read_tensors(subject.path))


def _projections(subject: Subject) -> Iterator[Problem]:
    rows = subject.beside("projections.jsonl")
    if rows is not None:
        yield from check_projections(read_tensors(subject.path), len(read_jsonl(rows, ("id",))))


def _trajectories(subject: Subject) -> Iterator[Problem]:
    rows = subject.beside("trajectories.jsonl")
    if rows is not None:
        lengths = [row["tokens"] for row in read_jsonl(rows, ("id", "tokens"))]
        yield from check_trajectories(read_tensors(subject.path), lengths)


def _finetuning(subject: Subject) -> Iterator[Problem]:
    rows = read_rows_by_suite(subject.inputs())
    yield from check_finetuning(subject.path, rows, subject.settings.get("trainings", {}))


def _suppression(subject: Subject) -> Iterator[Problem]:
    outcomes, texts = subject.beside("outcomes.csv"), subject.beside("texts.jsonl")
    if outcomes is not None:
        rows, told = read_csv_rows(outcomes)[1], None
        subject.counts["answers under suppression"] += len(rows)
        if texts is not None:
            told = read_jsonl(texts, ("condition", "suite", "id", "response"))
        yield from check_suppression(rows, told, subject.path, read_rows_by_suite(subject.inputs()))


def _selected(subject: Subject) -> Iterator[Problem]:
    choices = [path for path in subject.sidecar.outputs.values() if path.name == "layers.json"]
    band = tuple(read_json(choices[0])["eligible"]) if choices and choices[0] in subject.sound else None
    yield from check_selected(subject.path, band)


def _generations(subject: Subject) -> Iterator[Problem]:
    key = subject.sidecar.path
    if key not in subject.shared:
        inputs = subject.inputs()
        subject.shared[key] = (read_rows_by_suite(inputs), read_renderer(inputs))
    problems, records, hashes = check_records(subject.path, *subject.shared[key])
    subject.counts["generation records"] += records
    subject.counts["prompt hashes"] += hashes
    yield from problems


def _log(subject: Subject) -> Iterator[Problem]:
    yield from check_log(subject.path)


def _json(subject: Subject) -> Iterator[Problem]:
    yield from check_json(subject.path)


def _rows(subject: Subject) -> Iterator[Problem]:
    yield from check_row_report(read_json(subject.path), subject.sidecar)


def _fetched(subject: Subject) -> Iterator[Problem]:
    yield from check_fetched_source(read_json(subject.path), subject.settings.get("backbone") or {})


# What a file must satisfy, by its name; `*` stands for every other file with the suffix.
CHECKS: dict[str, Check] = {
    "directions.safetensors": _directions,
    "layers.json": _layers,
    "projections.safetensors": _projections,
    "trajectories.safetensors": _trajectories,
    "answers.csv": _finetuning,
    "rates.csv": _suppression,
    "adapter_model.safetensors": _adapter,
    "selected_layers.jsonl": _selected,
    "training_log.jsonl": _log,
    "verified.json": _rows,
    "source.json": _fetched,
    "*.safetensors": _weights,
    "*.json": _json,
}
# The same for every file of a kind of artifact, by the folder of the tree that holds it.
FOLDER_CHECKS: dict[str, Check] = {"generations": _generations}

# What must lie beside a file, by the file that tells which kind of folder it is, or by that and the kind of artifact:
# benchmarks of helpfulness have scores of another kind.
COMPANIONS: dict[str, tuple[str, ...]] = {
    "adapter_model.safetensors": ("adapter_config.json", "base_model.json", "training_log.jsonl"),
    "steering.safetensors": ("steering.json", "base_model.json", "training_log.jsonl"),
    "directions.safetensors": ("layers.json",),
    "projections.safetensors": ("projections.jsonl",),
    "trajectories.safetensors": ("trajectories.jsonl",),
    "scores/scores.csv": ("outcomes.csv",),
    "answers.csv": ("runs.csv",),
    "rates.csv": ("outcomes.csv", "rounds.csv", "choice.json", "card.json"),
}


def choose_check(path: Path, root: Path) -> Check | None:
    """The check of a file by the tables above; None for a file of which nothing is asked but its hash."""
    if path.is_relative_to(root):
        kind = path.relative_to(root).parts[0]
        if kind in FOLDER_CHECKS:
            return FOLDER_CHECKS[kind]
    return CHECKS.get(path.name) or CHECKS.get(f"*{path.suffix}")


def find_missing_companions(sidecar: Sidecar) -> list[Finding]:
    """Files that a sidecar should name as outputs, since it names what goes with them."""
    kinds = {
        path: name.removeprefix("results://").partition("/")[0] for name, path in sidecar.outputs.items()
    }
    places = {(path.parent, path.name) for path in kinds}
    return [
        Finding(
            str(folder / other),
            "content",
            f"an output beside {name}",
            "a sidecar that does not name it",
            sidecar.repair,
        )
        for path in sorted(kinds)
        for folder, name in [(path.parent, path.name)]
        for other in COMPANIONS.get(name) or COMPANIONS.get(f"{kinds[path]}/{name}", ())
        if (folder, other) not in places
    ]


def check_content(
    sound: list[Path], sidecars: list[Sidecar], root: Path
) -> tuple[list[Finding], dict[str, int]]:
    """Check the content of every file whose hash is right, so that damage is reported once.

    Args:
        sound: files with the hash that their sidecar gives.
        sidecars: all readable ones.
        root: the results tree.

    Returns:
        The findings, and how many files, records and hashes were checked.
    """
    from safetensors import SafetensorError

    makers = {path: sidecar for sidecar in sidecars for path in sidecar.outputs.values()}
    counts = Counter(
        {
            "files checked by content": 0,
            "layer choices recomputed": 0,
            "generation records": 0,
            "prompt hashes": 0,
        }
    )
    shared: dict[Path, Any] = {}
    whole = frozenset(sound)
    findings = [finding for sidecar in sidecars for finding in find_missing_companions(sidecar)]
    for path in sound:
        check = choose_check(path, root)
        if check is None:
            continue
        counts["files checked by content"] += 1
        maker = makers[path]
        try:
            problems = list(check(Subject(path, maker, counts, whole, shared)))
        except (SafetensorError, HarcError, OSError) as problem:
            problems = [("a readable file", str(problem))]
        except ModuleNotFoundError as problem:  # of the core alone: the machine's lack, no fault of the file
            problems = []
            counts[f"checks left out for want of {problem.name}"] += 1
        except Exception as problem:  # a form that no step writes: what broke the check is the finding
            problems = [("a file of the form that its step writes", f"{type(problem).__name__}: {problem}")]
        repair = maker.repair
        findings += [Finding(str(path), "content", expected, found, repair) for expected, found in problems]
    return findings, dict(counts)
