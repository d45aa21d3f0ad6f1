"""What was asked and answered, and recorded answers token by token, projected onto the base's directions, as files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from harc.core.files import sha256_text, write_bytes, write_jsonl
from harc.evaluation.outcomes import name_deciding_judge
from harc.geometry.directions import load_directions
from harc.geometry.projections import project_conversations
from harc.judges.base import Label
from harc.judges.registry import choose_judge
from harc.model.backbones import Backbone
from harc.settings.robustness import TrajectorySettings
from harc.suites.registry import ATTACK_SUITES, BENIGN_SUITES, DIRECT_SUITES

# class: suites, label by the first judge that can give it
CLASSES: dict[str, tuple[tuple[str, ...], Label]] = {
    "harmful_answered": (DIRECT_SUITES + ATTACK_SUITES, "correct"),
    "harmful_refused": (DIRECT_SUITES + ATTACK_SUITES, "refused"),
    "benign_answered": (BENIGN_SUITES, "correct"),
}
# The base's harmful answers as another method's model reads them: the same texts for both.
BASE_ANSWERS = "harmful_answered_by_base"


def write_projections(
    backbone: Backbone,
    records: Sequence[dict],
    directions_file: Path | str,
    out_dir: Path | str,
    *,
    judges: Sequence[str],
    window: int,
) -> None:
    """Write projections.safetensors (cosines, conversation x slot, by name) and projections.jsonl (rows).

    Args:
        backbone: the model that gave the responses.
        records: generation records; each is read with the messages that the model saw and its own response.
        directions_file: directions of the base model, also under an adapter, so that methods share axes.
        out_dir: folder of the two files.
        judges: of the records; the one that decides a suite gives the labels of its rows.
        window: response tokens averaged.
    """
    from safetensors.numpy import save

    cosines = project_conversations(
        backbone,
        [record["messages"] for record in records],
        [record["response"] for record in records],
        load_directions(directions_file),
        window=window,
    )
    # Half precision: a cosine keeps three decimals, and a study of many models stays small enough to commit.
    tensors = {name: cosines[name].astype(np.float16) for name in sorted(cosines)}
    write_bytes(Path(out_dir) / "projections.safetensors", save(tensors))
    write_jsonl(Path(out_dir) / "projections.jsonl", [describe_point(record, judges) for record in records])


def choose_projected(records: Sequence[dict], most: int | None) -> list[dict]:
    """Records of one suite that are projected, in their order; all of them without a limit."""
    chosen = {record["id"] for record in sorted(records, key=_order)[:most]}
    return [record for record in records if record["id"] in chosen]


def describe_point(record: dict, judges: Sequence[str]) -> dict:
    """What a point of the projections is: its record's names and the label of the judge that decides its suite."""
    names = ("id", "suite", "category", "template", "goal")
    judge = name_deciding_judge(record["suite"], judges)
    return {name: record.get(name) for name in names} | {"label": record["verdicts"][judge]["label"]}


def list_trace_suites(suites: Iterable[str]) -> list[str]:
    """Those of the suites whose answers are traced, in order."""
    wanted = {suite for members, _ in CLASSES.values() for suite in members}
    return [suite for suite in suites if suite in wanted]


def _order(record: Mapping) -> str:
    """A key that puts records in an order without meaning, the same for every method."""
    return sha256_text(f"{record['suite']}/{record['id']}")


def choose_answers(records: Sequence[Mapping], judges: Sequence[str], name: str, count: int) -> list[Mapping]:
    """At most `count` answers of a class."""
    suites, label = CLASSES[name]
    judge = choose_judge(judges, label)
    own = [r for r in records if r["suite"] in suites and r["verdicts"][judge]["label"] == label]
    return sorted(own, key=_order)[:count]


def choose_all(
    own: Sequence[Mapping], base: Sequence[Mapping] | None, judges: Sequence[str], count: int
) -> list[tuple[str, Mapping]]:
    """(class, record) of every answer to read.

    Args:
        own: generation records of the model that reads.
        base: those of the base; None for the base itself.
        judges: of the evaluation.
        count: most answers of a class.
    """
    chosen = [(name, record) for name in CLASSES for record in choose_answers(own, judges, name, count)]
    if base is not None:
        chosen += [
            (BASE_ANSWERS, record) for record in choose_answers(base, judges, "harmful_answered", count)
        ]
    return chosen


def write_trajectories(
    backbone: Backbone,
    chosen: Sequence[tuple[str, Mapping]],
    directions_file: Path | str,
    out_dir: Path,
    settings: TrajectorySettings,
) -> None:
    """Write trajectories.safetensors (answer, token, slot, by name) and trajectories.jsonl (what each answer is).

    Args:
        backbone: the model that reads.
        chosen: (class, generation record).
        directions_file: directions of the base model, so that methods share axes.
        out_dir: folder of the two files.
        settings: how many tokens.
    """
    import numpy as np
    from safetensors.numpy import save

    from harc.geometry.directions import load_directions
    from harc.geometry.projections import project_tokens

    cosines = project_tokens(
        backbone,
        [record["messages"] for _, record in chosen],
        [record["response"] for _, record in chosen],
        load_directions(directions_file),
        tokens=settings.tokens,
    )
    # Half precision, as the other projections.
    tensors = {name: cosines[name].astype(np.float16) for name in sorted(cosines)}
    lengths = (~np.isnan(cosines["token_harm"][:, :, 0])).sum(1).tolist()
    rows = [
        {"id": record["id"], "suite": record["suite"], "class": name, "tokens": length}
        for (name, record), length in zip(chosen, lengths, strict=True)
    ]
    write_bytes(out_dir / "trajectories.safetensors", save(tensors))
    write_jsonl(out_dir / "trajectories.jsonl", rows)
