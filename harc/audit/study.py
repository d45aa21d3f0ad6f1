"""What a study must hold, as its own tree records it, and what the committed form of a study may leave out.

The step that seals the results records the profile's artifacts with its settings. A committed study has a record of its
own beside, `kept.json`, sealed like a sidecar, which names its form: "without weights", or, where prompts are other
people's and answers may be harmful, "without weights and answers".
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from harc.audit.report import AuditReport, Finding
from harc.audit.sidecars import Sidecar, read_record
from harc.core.artifacts import KEPT_FILE, PROJECTION_FILES, sidecar_path
from harc.core.errors import ArtifactError, DataError
from harc.core.files import encode_json
from harc.core.provenance import is_strict_name, seal_record
from harc.results.geometry import DRAWN
from harc.steps.machines import Versions, read_machines
from harc.steps.reference_pack import AGAIN

FORMAT = 1
SEAL_FILE = "root_hash.json"
WITHOUT_WEIGHTS = "without weights"
WITHOUT_ANSWERS = "without weights and answers"
FIELDS = {"format": int, "form": str, "artifacts": list, "left_out": list, "seal": str}
FREE_KINDS = ("tuning",)  # made on demand, by no profile's run
# What can be made again from what is kept; its hash stays in the sidecars. Weights are trained, the report is built.
WEIGHTS = (".safetensors",)
WEIGHT_FOLDERS = ("backbones", "adapters")
REPORT = "report.html"
# Where texts of public prompts and answers to them lie; labels, lengths and hashes are in the outcomes.
TEXT_FOLDERS = ("generations", "helpfulness", "answers", "suppression", "finetuning", "erosion")
TEXT_SUFFIXES = (".jsonl",)
# Rows come back with `dvc pull`; the tokenizer with the backbone.
LEFT_OUT = ("tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class Study:
    """What a tree says of itself.

    Attributes:
        artifacts: what it must hold, as paths in the tree; None where nothing says so.
        form: of a committed study; empty for a whole tree.
        left_out: files that this form does not hold, by their names in sidecars.
        machines: of a study of several machines, the versions of its answers.
    """

    artifacts: frozenset[str] | None
    form: str = ""
    left_out: frozenset[str] = field(default=frozenset())
    machines: Versions = field(default_factory=dict)

    @property
    def kept(self) -> bool:
        """Whether it is of a committed form."""
        return self.form != ""


def choose_form(public: bool) -> str:
    """The form in which a study is committed; public prompts are other people's, and answers to them stay here."""
    return WITHOUT_ANSWERS if public else WITHOUT_WEIGHTS


def is_kept(name: str, form: str = WITHOUT_WEIGHTS) -> bool:
    """Whether a committed form of a study holds a file, by its name in sidecars: not what can be made again."""
    scheme, _, rest = name.partition("://")
    path = PurePosixPath(rest)
    kind, method = (*path.parts, "", "", "")[:3:2]
    if scheme == "project" or "rows" in path.parts or rest == REPORT:
        return False
    if form == WITHOUT_ANSWERS and kind in TEXT_FOLDERS and path.suffix in TEXT_SUFFIXES:
        return False
    if kind == "directions" and path.name in PROJECTION_FILES:
        return method in DRAWN  # cosines in half precision hardly compress
    weighty = path.suffix in WEIGHTS or path.name in LEFT_OUT
    return not (kind in WEIGHT_FOLDERS and weighty)


def make_kept_record(
    sidecars: Iterable[Sidecar], root: Path, form: str, further: Iterable[str] = ()
) -> dict[str, Any]:
    """The record of a committed study: every artifact that it must hold, and the files that it leaves out.

    Args:
        sidecars: of the study.
        root: its tree.
        form: of the committed study.
        further: artifacts that are still to be made.
    """
    artifacts, left_out = set(further), set()
    for sidecar in sidecars:
        if sidecar.path.is_relative_to(root) and not _is_free(sidecar.artifact.relative_to(root).as_posix()):
            artifacts.add(sidecar.artifact.relative_to(root).as_posix())
            left_out |= {name for name in sidecar.outputs if not is_kept(name, form)}
    record = {"format": FORMAT, "form": form}
    return seal_record(record | {"artifacts": sorted(artifacts), "left_out": sorted(left_out)})


def _is_kept_record(record: Any) -> bool:
    """Whether a value has the form of `make_kept_record`, whatever it says."""
    return (
        isinstance(record, dict)
        and record.keys() == FIELDS.keys()
        and all(type(record[name]) is kind for name, kind in FIELDS.items())
        and all(isinstance(name, str) for name in (*record["artifacts"], *record["left_out"]))
        and record["format"] == FORMAT
        and record["form"] in (WITHOUT_WEIGHTS, WITHOUT_ANSWERS)
    )


def _find_fault(record: Any, text: bytes) -> tuple[str, str] | None:
    """(expected, found) of the first thing wrong with kept.json."""
    if not _is_kept_record(record):
        return (
            f"a record of the form {WITHOUT_WEIGHTS!r} or {WITHOUT_ANSWERS!r}, format {FORMAT}",
            "something else",
        )
    seal = seal_record(record)["seal"]
    if seal != record["seal"] or encode_json(record).encode() != text:
        return f"the seal {seal}, as `harc reference` writes it", record["seal"]
    wrong = [name for name in record["left_out"] if is_kept(name, record["form"]) or not is_strict_name(name)]
    return ("nothing left out but what can be made again", wrong[0]) if wrong else None


def _read_kept(path: Path) -> tuple[Study | None, list[Finding]]:
    repair = "restore it from where the study is published, or run `harc reference`"
    try:
        record = read_record(path)
        fault = _find_fault(record, path.read_bytes())
    except (DataError, OSError) as problem:
        fault = ("a record that can be read", getattr(problem, "found", str(problem)))
    if fault is not None:
        return None, [Finding(str(path), "form", *fault, repair)]
    return Study(frozenset(record["artifacts"]), record["form"], frozenset(record["left_out"])), []


def read_study(root: Path, sidecars: list[Sidecar]) -> tuple[Study, list[Finding]]:
    """What a tree must hold by its own record, and findings where the record is missing or damaged.

    Args:
        root: the results tree.
        sidecars: its readable ones.
    """
    path = root / KEPT_FILE
    findings: list[Finding] = []
    if path.is_file():
        study, findings = _read_kept(path)
        if study is not None:
            return study, []
    seal = next((sidecar for sidecar in sidecars if sidecar.artifact == root / SEAL_FILE), None)
    artifacts = seal.record["settings"].get("artifacts") if seal is not None else None
    if isinstance(artifacts, list) and all(isinstance(name, str) for name in artifacts):
        return Study(frozenset(artifacts)), findings
    missing = Finding(
        str(sidecar_path(root / SEAL_FILE)),
        "missing",
        "the record of what the study must hold",
        "no sidecar" if seal is None else "a sidecar without it",
        "run `harc step seal_results` with the tree's profile, once all else is made",
    )
    return Study(None), [*findings, missing]


def read_versions(root: Path) -> tuple[Versions, list[Finding]]:
    """Versions of the answers of a study of several machines, and a finding where their record is damaged.

    Args:
        root: the results tree.
    """
    try:
        return read_machines(root), []
    except ArtifactError as problem:
        return {}, [Finding(problem.where, "form", problem.expected, problem.found, problem.fix)]


def _is_free(name: str) -> bool:
    return name.split("/", maxsplit=1)[0] in FREE_KINDS


def find_incomplete(study: Study, present: Iterable[Path], root: Path) -> list[Finding]:
    """Artifacts that a study must hold and does not, or holds and should not.

    Args:
        study: what it says of itself.
        present: every sidecar of the tree, readable or not.
        root: the results tree.
    """
    if study.artifacts is None:
        return []
    names = {path.relative_to(root).as_posix() for path in present if path.is_relative_to(root)}
    wanted = {sidecar_path(name).as_posix(): name for name in study.artifacts}
    findings = [
        Finding(
            str(root / missing),
            "missing",
            f"the sidecar of {wanted[missing]}, which the study must hold",
            "none",
            f"run the step that makes {PurePosixPath(wanted[missing]).name}, or `snakemake --cores all`",
        )
        for missing in sorted(wanted.keys() - names)
    ]
    findings += [
        Finding(
            str(root / extra),
            "surplus",
            "an artifact that the study's own record names",
            "one that it does not",
            "move it out of the tree, or run `harc step seal_results` with the profile that has it",
        )
        for extra in sorted(names - wanted.keys())
        if not _is_free(extra)
    ]
    return findings


def rename_report(report: AuditReport, tree: Path, root: Path) -> AuditReport:
    """The report of a packed study's temporary tree in words of the pack, of which only plain files can be removed.

    Args:
        report: of the temporary tree.
        tree: its root.
        root: the pack.
    """
    findings = []
    for finding in report.findings:
        named = Finding(*(words.replace(str(tree), str(root)) for words in astuple(finding)))
        removed = named.repair.startswith("rm ") and not Path(named.file).is_file()
        findings.append(replace(named, repair=AGAIN) if removed else named)
    return replace(report, root=str(root), findings=tuple(sorted(findings)))
