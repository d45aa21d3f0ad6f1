"""Chosen settings as a part of a profile: config/tuned/<name>.yaml, with the points that they were chosen from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from harc.core.errors import ArtifactError
from harc.core.files import write_text
from harc.settings.tuning import TuningSettings

TUNED = Path("config/tuned")
HEADER = """# What tuning chose on development prompts, by the criterion below. Made by `snakemake tune`, `harc tuned`;
# do not edit. Every point that was tried is in the CSV beside this file.
"""


def format_tuned(choices: Mapping[str, Mapping[str, Any]], settings: TuningSettings) -> str:
    """YAML of the methods' chosen changes and of the criterion; a choice that breaks an allowance says so."""
    criterion = settings.model_dump(
        mode="json", include={"over_refusal_allowance", "benign_allowance", "seeds"}
    )
    lines = [HEADER, yaml.safe_dump({"tuning": criterion}, default_flow_style=None), "methods:\n"]
    for method, choice in choices.items():
        remark = (
            "" if choice["eligible"] else "  # no point keeps the allowances; this one breaks them least\n"
        )
        changes = yaml.safe_dump(
            {method: dict(choice["changes"])}, sort_keys=True, default_flow_style=None, width=110
        )
        lines += [remark, *(f"  {line}\n" for line in changes.splitlines())]
    return "".join(lines)


def adopt_tuned(tuning_dir: Path, name: str, target: Path = TUNED) -> list[Path]:
    """Take a finished tuning into the configuration.

    Args:
        tuning_dir: folder of tuned.yaml and points.csv.
        name: what the two files are called: <name>.yaml, <name>_points.csv.
        target: folder of tuned settings.

    Raises:
        ArtifactError: if the tuning is not finished.
    """
    places = {"tuned.yaml": target / f"{name}.yaml", "points.csv": target / f"{name}_points.csv"}
    for source in places:
        if not (tuning_dir / source).is_file():
            raise ArtifactError(
                str(tuning_dir / source),
                expected="a finished tuning",
                found="none",
                fix="run `snakemake tune`",
            )
    for source, place in places.items():
        write_text(place, (tuning_dir / source).read_text(encoding="utf-8"))
    return list(places.values())
