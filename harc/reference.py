"""The committed study: a finished run without its weights, kept under results/reference/<name>.

It is enough for tables, figures, paper and report, which are then made under results/from_reference/<name>.
"""

import shutil
from pathlib import Path

from harc.artifacts import Layout
from harc.errors import ArtifactError, ConfigError
from harc.files import atomic_directory, read_json

REFERENCE = Path("results/reference")
FROM_REFERENCE = Path("results/from_reference")  # what is made from a committed study
MADE_BY = "tables.provenance.json"  # its command names the profile that the study was run with
KEPT = (
    "data",
    "backbones",
    "directions",
    "adapters",
    "generations",
    "scores",
    "trajectories",
    "finetuning",
    "helpfulness",
    "tables",
    "compute",
    "figures",
    "audit",
)
# Weights can be trained again from what is kept; their hashes stay in the sidecars.
WEIGHTS = (".safetensors",)
WEIGHT_FOLDERS = ("backbones", "adapters")
# Rows come back with `dvc pull`; the tokenizer with the backbone.
LEFT_OUT = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


def locate_reference(name: str) -> Layout:
    """A layout that reads a committed study and writes beside it.

    Raises:
        ConfigError: if there is no such study.
    """
    if not (REFERENCE / name / MADE_BY).is_file():
        known = sorted(path.parent.name for path in REFERENCE.glob(f"*/{MADE_BY}"))
        raise ConfigError(
            f"reference {name!r}",
            expected=f"one of {', '.join(known) or 'none: no study is committed'}",
            found="no such study",
            fix="check the spelling, or run the profile",
        )
    return Layout(FROM_REFERENCE / name, reference=REFERENCE / name)


def find_profile(layout: Layout) -> str:
    """The profile that a committed study was run with, as its commands name it.

    Raises:
        ArtifactError: if the study's sidecar names no workflow step.
    """
    from harc.pipeline import parse_command

    return parse_command(read_json(layout.reference / MADE_BY)["command"])[1]["profile"]


def stands_in(name: str, root: Path) -> bool:
    """Whether a committed study is what the paper is made from: there is one, and the profile has no run of its own.

    Args:
        name: of the profile.
        root: results tree of the profile.
    """
    begun = any((root / kind).exists() for kind in ("backbones", "directions", "generations", "scores"))
    return not begun and (REFERENCE / name / MADE_BY).is_file()


def _is_kept(path: Path, root: Path) -> bool:
    folder = path.relative_to(root).parts[0]
    if folder in WEIGHT_FOLDERS and (path.suffix in WEIGHTS or path.name in LEFT_OUT):
        return False
    return "rows" not in path.relative_to(root).parts


def update_reference(root: Path, name: str, target: Path = REFERENCE) -> list[Path]:
    """Copy a finished, sound run to the reference folder, in place of what is there.

    Args:
        root: results tree of the run.
        name: profile that the study stands for (organism for organism_study).
        target: folder of references.

    Returns:
        The files copied.

    Raises:
        ArtifactError: if the run has no audit, or an audit with findings.
    """
    audit = root / "audit/audit.json"
    if not audit.is_file() or not read_json(audit)["ok"]:
        raise ArtifactError(
            str(audit),
            expected="the audit of a finished, sound run",
            found="findings" if audit.is_file() else "none",
            fix="run the workflow to its end first",
        )
    files = [path for kind in KEPT for path in sorted((root / kind).rglob("*")) if path.is_file()]
    files += [*root.glob("root_hash.json"), root / "report.html", *sorted(root.glob("*.provenance.json"))]
    kept = [path for path in files if _is_kept(path, root)]
    with atomic_directory(target / name) as folder:
        for path in kept:
            place = folder / path.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return [target / name / path.relative_to(root) for path in kept]
