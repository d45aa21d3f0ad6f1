"""Rows of the extraction split, and directions written with their layer scores: shared by two steps."""

from dataclasses import dataclass
from pathlib import Path

from harc.backbones import Backbone
from harc.config.directions import DirectionSettings
from harc.extraction import ResponsePairs, extract_directions
from harc.directions import save_directions
from harc.files import read_jsonl, write_json
from harc.layers import describe_choice


@dataclass(frozen=True)
class ExtractionRows:
    """Prompts by class, and teacher-forced answers by kind."""

    harmful: list[str]
    harmless: list[str]
    pairs: ResponsePairs


def read_extraction_rows(data_dir: Path) -> ExtractionRows:
    """Read extraction.jsonl and extraction_pairs.jsonl of a data folder.

    Raises:
        DataError: naming file and line, for a damaged row.
    """
    prompts = read_jsonl(data_dir / "extraction.jsonl", ("category", "prompt"))
    pairs = read_jsonl(data_dir / "extraction_pairs.jsonl", ("kind", "prompt", "response"))
    by_kind = {
        kind: [(row["prompt"], row["response"]) for row in pairs if row["kind"] == kind]
        for kind in ("harm", "refuse", "helpful")
    }
    return ExtractionRows(
        [row["prompt"] for row in prompts if row["category"] == "harmful"],
        [row["prompt"] for row in prompts if row["category"] == "harmless"],
        ResponsePairs(**by_kind),
    )


def write_directions(
    backbone: Backbone, rows: ExtractionRows, settings: DirectionSettings, k: int, out_dir: Path
) -> None:
    """Extract directions from a model and write directions.safetensors and layers.json."""
    directions = extract_directions(backbone, rows.harmful, rows.harmless, rows.pairs, settings)
    save_directions(directions, out_dir / "directions.safetensors")
    write_json(out_dir / "layers.json", describe_choice(directions, k, settings.layers))
