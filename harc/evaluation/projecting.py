"""Projections of what was asked and answered onto the base model's directions, as files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from harc.core.files import write_bytes, write_jsonl
from harc.evaluation.outcomes import name_deciding_judge
from harc.geometry.directions import load_directions
from harc.geometry.projections import project_conversations
from harc.model.backbones import Backbone


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


def describe_point(record: dict, judges: Sequence[str]) -> dict:
    """What a point of the projections is: its record's names and the label of the judge that decides its suite."""
    names = ("id", "suite", "category", "template", "goal")
    judge = name_deciding_judge(record["suite"], judges)
    return {name: record.get(name) for name in names} | {"label": record["verdicts"][judge]["label"]}
