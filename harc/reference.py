"""The committed study: a finished run without its weights, kept under results/reference/<name>."""

import shutil
from pathlib import Path

from harc.errors import ArtifactError
from harc.files import atomic_directory, read_json

REFERENCE = Path("results/reference")
KEPT = ("data", "backbones", "directions", "adapters", "generations", "scores", "tables", "figures", "audit")
# Weights can be trained again from what is kept; their hashes stay in the sidecars.
WEIGHTS = (".safetensors",)
WEIGHT_FOLDERS = ("backbones", "adapters")
# Rows come back with `dvc pull`; the tokenizer with the backbone.
LEFT_OUT = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


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
