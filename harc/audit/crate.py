"""A committed study as an RO-Crate: a folder with the pack, the workflow, its settings, and metadata that link them."""

import hashlib
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harc.audit.crate_citation import LICENCE, Citation, read_citation
from harc.audit.crate_metadata import CONTEXT, README, WORKFLOW, Crate, describe_crate
from harc.audit.sidecars import FIELDS
from harc.audit.study import read_study
from harc.core.artifacts import sidecar_path
from harc.core.errors import ArtifactError, ConfigError, DataError
from harc.core.files import atomic_directory, read_json, sha256_file, write_bytes, write_json
from harc.core.shipped import SHIPPED, find_shipped
from harc.core.tree_files import walk_files
from harc.core.untrusted import parse_json
from harc.settings.profile import list_settings_files, load_profile
from harc.steps.reference import REFERENCE, check_hashes, find_profile, locate_reference
from harc.steps.reference_pack import AGAIN, SIDECARS, read_pack

METADATA = "ro-crate-metadata.json"
ROWS = "data/verified.json"  # beside the rows, whose hashes its sidecar holds
CONFIG, CLAIMS, LOCK = Path("config/config.yaml"), Path("config/claims.yaml"), Path("requirements.lock")
FORMS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".rst": "text/x-rst",
    ".yaml": "application/yaml",
}
"""Media types by ending; a machine's own list differs from the next one's."""


def write_crate(name: str, target: Path) -> list[Path]:
    """Write the RO-Crate of a committed study into a new folder.

    Args:
        name: of the study, under results/reference.
        target: the folder; an empty one will do.

    Returns:
        The files written, the metadata first.

    Raises:
        ConfigError: if there is no such study, it is unfinished, or something lies in the folder.
        ArtifactError: if the study is damaged.
        DataError: if a file of the study or of the project is missing.
    """
    locate_reference(name)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(
            "--out", expected="a new or an empty folder", found=f"{target}, which is not", fix="name another"
        )
    pack = REFERENCE / name
    records = _read_records(pack)
    study, findings = read_study(pack, [])
    for finding in findings:
        raise ArtifactError(finding.file, expected=finding.expected, found=finding.found, fix=finding.repair)
    source = find_profile(name)
    known, unknown = _sort_inputs(records)
    settings = [_place(path) for path in list_settings_files(source)]
    rules = [_place(path) for path in walk_files(find_shipped(Path("workflow")))]
    places = {WORKFLOW, CONFIG, CLAIMS, LICENCE, *rules, *settings, *known, *walk_files(pack)}
    citation, profile = read_citation(), load_profile(source)
    with atomic_directory(target) as folder:
        files = {place: _write(folder, place, _read(place)) for place in places}
        files[README] = _write(folder, README, _compose_readme(name, profile.description, citation).encode())
        crate = Crate(
            pack=pack,
            form=study.form,
            complete={str(sidecar_path(path)) for path in study.artifacts or ()} <= records.keys(),
            root_hash=read_json(pack / "root_hash.json")["root_hash"],
            profile=profile,
            records=records,
            files=dict(sorted(files.items())),
            settings=settings,
            known=known,
            unknown=unknown,
            citation=citation,
            snakemake=_find_snakemake(records),
        )
        write_json(folder / METADATA, {"@context": CONTEXT, "@graph": describe_crate(crate)})
    return [target / METADATA, *(target / place for place in crate.files)]


def _read_records(pack: Path) -> dict[str, dict[str, Any]]:
    """Content of the study's sidecars, by their paths in its tree, once the pack is what they say.

    Raises:
        ArtifactError: if a member of the pack, a sidecar or a plain file is damaged.
    """
    sidecars = dict(read_pack(pack, [SIDECARS]))
    plain = {path.relative_to(pack).as_posix(): path.read_bytes() for path in walk_files(pack)}
    check_hashes(plain | sidecars)
    records = {name: parse_json(content.decode()) for name, content in sidecars.items()}
    for name, record in records.items():
        for field, kind in (FIELDS | {"started": int | float}).items():
            if not isinstance(record.get(field), kind):
                raise ArtifactError(
                    f"{name} of the study", expected=f"the field {field}", found="none of its type", fix=AGAIN
                )
    return records


def _sort_inputs(records: dict[str, dict[str, Any]]) -> tuple[list[Path], dict[str, str]]:
    """What the run read that no step of it made.

    Returns:
        Files that the project still has as they were, and the SHA-256 of the others, with the rows, by name.
    """
    made = {name for record in records.values() for name in record["outputs"]}
    rows = records.get(str(sidecar_path(ROWS)), {"outputs": {}})["outputs"]
    known, unknown = set(), {name: sha for name, sha in rows.items() if name != f"results://{ROWS}"}
    for name, sha in (pair for record in records.values() for pair in record["inputs"].items()):
        if name not in made:
            path = Path(name.removeprefix("project://"))
            inside = name.startswith("project://") and not path.is_absolute() and ".." not in path.parts
            source = find_shipped(path)
            if inside and source.is_file() and sha256_file(source) == sha:
                known.add(path)
            else:
                unknown[name] = sha
    return sorted(known), dict(sorted(unknown.items()))


def _place(path: Path) -> Path:
    """Where a file of the project lies in the crate: as in the project.

    Raises:
        ConfigError: if it lies elsewhere, as settings of one's own may.
    """
    place = path.relative_to(SHIPPED) if path.is_relative_to(SHIPPED) else path
    if place.is_absolute() or ".." in place.parts:
        raise ConfigError(
            str(path), expected="a file below the working folder", found="one elsewhere", fix="move it there"
        )
    return place


def _read(place: Path) -> bytes:
    """Content of a file of the project.

    Raises:
        DataError: if there is no such file.
    """
    source = find_shipped(place)
    if not source.is_file():
        raise DataError(str(place), expected="a file of the project", found="none", fix="restore or write it")
    return source.read_bytes()


def _compose_readme(name: str, description: str, citation: Citation) -> str:
    """Text for those who are given the crate."""
    return (
        f"# {citation.title}: {name}\n\n{description.strip()}\n\n"
        f"- `results/reference/{name}/`: the study, packed; `pack.json` has the SHA-256 of each member.\n"
        "- `Snakefile`, `workflow/`, `config/`: the workflow and its settings.\n"
        f"- `{METADATA}`: how they belong together, with the SHA-256 of every file.\n\n"
        f"`harc audit results/reference/{name}` checks the study.\n"
    )


def _write(folder: Path, place: Path, data: bytes) -> dict[str, Any]:
    """Write a file of the crate; its entity."""
    write_bytes(folder / place, data)
    return {
        "@id": quote(place.as_posix()),
        "@type": "File",
        "contentSize": str(len(data)),
        "encodingFormat": FORMS.get(place.suffix) or _guess_form(data),
        "name": place.name,
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _guess_form(data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "text/plain"


def _find_snakemake(records: dict[str, dict[str, Any]]) -> str | None:
    """Snakemake's version: of the study where it says so, else the locked one, if there is a lock."""
    found = {record["versions"].get("snakemake") for record in records.values()}
    lines = LOCK.read_text(encoding="utf-8").splitlines() if LOCK.is_file() else []
    locked = (line.split("==")[1].split()[0] for line in lines if line.startswith("snakemake=="))
    return max(found - {None}, default=None) or next(locked, None)
