"""Rows of the extraction split, and directions written with their layer scores: shared by two steps."""

from pathlib import Path

from harc.core.files import read_jsonl, write_json
from harc.geometry.directions import save_directions
from harc.geometry.extraction import extract_directions
from harc.methods.harc import describe_choice
from harc.model.backbones import Backbone
from harc.settings.directions import DirectionSettings
from harc.training.rows import split_extraction


def read_extraction_rows(data_dir: Path) -> tuple[list[dict], list[dict]]:
    """Prompts (category, prompt) and teacher-forced pairs (kind, prompt, response) of a data folder.

    Raises:
        DataError: naming file and line, for a damaged row.
    """
    return (
        read_jsonl(data_dir / "extraction.jsonl", ("category", "prompt")),
        read_jsonl(data_dir / "extraction_pairs.jsonl", ("kind", "prompt", "response")),
    )


def write_directions(
    backbone: Backbone,
    rows: tuple[list[dict], list[dict]],
    settings: DirectionSettings,
    k: int,
    out_dir: Path,
) -> None:
    """Extract directions from a model and write directions.safetensors and layers.json."""
    directions = extract_directions(backbone, *split_extraction(*rows), settings)
    save_directions(directions, out_dir / "directions.safetensors")
    write_json(out_dir / "layers.json", describe_choice(directions, k, settings.layers))
