"""One study on several machines: what each makes anew is compared with what finished jobs were made of.

Rows and weights must be the same everywhere. A model's own answers may differ in a few, since processors add in other
orders: of these the pack holds lengths and hashes, as the study's first machine wrote them. What was found is kept in
`machines.json` at the root of the tree, sealed like a sidecar, so that the audit knows every version of the answers.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harc.core.artifacts import ANSWER_HASHES, MACHINES_FILE, Layout
from harc.core.csv_files import read_csv
from harc.core.errors import ArtifactError, HarcError
from harc.core.files import encode_json, read_json, write_bytes, write_json
from harc.core.provenance import name_path, seal_record
from harc.core.untrusted import parse_json
from harc.settings.profile import Profile
from harc.steps.files import find_sidecar, list_made, list_needed
from harc.steps.job import Job
from harc.steps.progress import is_finished
from harc.steps.reference import REFERENCE
from harc.steps.reference_pack import is_packed, read_pack
from harc.steps.registry import STEPS, list_jobs

FORMAT = 1
LEAST_EQUAL = 0.9  # share of answers; below it a unit of another machine is one of another study
ELSEWHERE = (
    "run it on a machine like the first, or begin a new study: an empty results tree, and another --name"
)

Counts = dict[str, list[int]]  # by kind of answer: how many are the first machine's, of how many
Versions = dict[str, dict[str, Counts]]  # by name and SHA-256 of a file of answers


def _find_fault(record: Any, text: str) -> str | None:
    """What is wrong with the content of machines.json."""
    if not isinstance(record, dict) or record.keys() != {"format", "answers", "seal"}:
        return "something else"
    if record["format"] != FORMAT or not isinstance(record["answers"], dict):
        return "another format"
    for versions in record["answers"].values():
        counts = [count for kinds in versions.values() for count in kinds.values()]
        if not all(len(count) == 2 and all(type(part) is int for part in count) for count in counts):
            return "no counts of answers"
    if seal_record(record)["seal"] != record["seal"] or encode_json(record) != text:
        return "another seal than its content gives"
    return None


def parse_machines(text: str, where: str) -> Versions:
    """Every version of the answers of a study by the record of its machines.

    Args:
        text: of the record.
        where: it lies, for errors.

    Raises:
        ArtifactError: if it is damaged.
    """
    try:
        record = parse_json(text)
        fault = _find_fault(record, text)
    except (ValueError, TypeError, AttributeError) as problem:
        fault = f"{type(problem).__name__}: {problem}"
    if fault is None:
        return record["answers"]
    raise ArtifactError(
        where,
        expected="the record of a study's machines, as scripts/run_study.py writes it",
        found=fault,
        fix="restore it from the study's pack, or run the study again",
    )


def read_machines(root: Path) -> Versions:
    """Every version of the answers that a tree knows of; none without a record.

    Raises:
        ArtifactError: if the record is damaged.
    """
    path = root / MACHINES_FILE
    if not path.is_file():
        return {}
    return parse_machines(path.read_text(encoding="utf-8", errors="replace"), str(path))


def count_equal(first: Iterable[Mapping[str, str]], own: Iterable[Mapping[str, str]]) -> dict[str, Counts]:
    """By file and kind: how many answers two machines have in common, of all that either has.

    Args:
        first, own: rows of hashes.csv.
    """
    sides = [
        {(row["file"], row["id"], row["group"], row["side"]): row["sha256"] for row in rows}
        for rows in (first, own)
    ]
    found: dict[str, Counts] = {}
    for key in sorted(sides[0].keys() | sides[1].keys()):
        file, _, group, side = key
        count = found.setdefault(file, {}).setdefault(f"{group} {side}", [0, 0])
        count[0] += sides[0].get(key) == sides[1].get(key)
        count[1] += 1
    return found


def add_counts(counts: Counts) -> tuple[int, int]:
    """(equal, all) over the kinds."""
    return sum(equal for equal, _ in counts.values()), sum(rows for _, rows in counts.values())


def describe_counts(counts: Counts) -> str:
    """`190 of 200 equal (harmful response 90 of 100, ...)`."""
    kinds = ", ".join(f"{kind} {equal} of {rows}" for kind, (equal, rows) in sorted(counts.items()))
    return "{} of {} equal".format(*add_counts(counts)) + f" ({kinds})"


def _list_finished(profile: Profile, layout: Layout) -> list[Job]:
    return [job for part in ("tuning", "run") for job in list_jobs(profile, layout, part) if is_finished(job)]


def _find_others(jobs: Iterable[Job], made: Mapping[str, tuple[str, Job]]) -> dict[str, tuple[set[str], Job]]:
    """Files of this machine that finished jobs were made of another version of: the versions, and one such job.

    Args:
        jobs: finished ones.
        made: hash of each file that this machine made, and the job that did.
    """
    others: dict[str, tuple[set[str], Job]] = {}
    for job in jobs:
        for name, digest in read_json(find_sidecar(job))["inputs"].items():
            if name in made and made[name][0] != digest:
                others.setdefault(name, (set(), job))[0].add(digest)
    return others


def _refuse(where: str, expected: str, found: str, fix: str = ELSEWHERE) -> ArtifactError:
    return ArtifactError(where, expected=expected, found=found, fix=fix)


def _read_first(
    pack: Mapping[str, bytes], name: str, folder: Path
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows of the first machine's hashes.csv, and the hash of each of its files of answers.

    Args:
        pack: files of the study.
        name: of the folder of answers in sidecars.
        folder: to read in.

    Raises:
        ArtifactError: if the pack has none.
    """
    short = name.removeprefix("results://")
    try:
        record = parse_json(pack[f"{short}.provenance.json"].decode())
        write_bytes(folder / ANSWER_HASHES, pack[f"{short}/{ANSWER_HASHES}"])
        return read_csv(folder / ANSWER_HASHES), dict(record["outputs"])
    except (HarcError, KeyError, TypeError, ValueError):
        raise _refuse(
            short, f"{ANSWER_HASHES} of the study's first machine in its pack", "none that can be read"
        ) from None


def _compare_answers(job: Job, pack: Mapping[str, bytes]) -> tuple[Versions, str]:
    """Versions of a job's files of answers, the first machine's and this one's, and a line for the terminal.

    Raises:
        ArtifactError: if too few are equal, or the pack has none.
    """
    from tempfile import TemporaryDirectory

    place = STEPS[job.step].list_outputs(job)[0]
    name = name_path(place, job.layout.root)
    own, outputs = read_csv(place / ANSWER_HASHES), read_json(find_sidecar(job))["outputs"]
    with TemporaryDirectory() as folder:
        first, first_outputs = _read_first(pack, name, Path(folder))
    by_file = count_equal(first, own)
    counts = {
        f"{PurePosixPath(file).stem} {kind}": count
        for file, kinds in by_file.items()
        for kind, count in kinds.items()
    }
    equal, rows = add_counts(counts)
    line = f"answers of {job.backbone} beside the study's first machine: {describe_counts(counts)}"
    if equal < LEAST_EQUAL * rows:
        expected = f"at least {LEAST_EQUAL:.0%} of the answers that the study was begun on"
        raise _refuse(str(place), expected, describe_counts(counts))
    versions: Versions = {}
    for file, kinds in by_file.items():
        whole = {kind: [count[1], count[1]] for kind, count in kinds.items()}
        versions[f"{name}/{file}"] = {first_outputs[f"{name}/{file}"]: whole}
        versions[f"{name}/{file}"].setdefault(outputs[f"{name}/{file}"], kinds)
    return versions, line


def check_machine(profile: Profile, name: str) -> list[str]:
    """Compare what this machine made with what the study's finished jobs were made of; what is to be said of it.

    Call it once the local steps are done. Files of answers that differ are recorded in machines.json.

    Args:
        profile: of the study.
        name: of its pack.

    Raises:
        ArtifactError: for rows or weights that are others here, or answers most of which, or too many, are.
    """
    layout = Layout(profile.results_root)
    finished = _list_finished(profile, layout)
    local = [job for job in finished if STEPS[job.step].local]
    made = {
        file: (digest, job)
        for job in local
        for file, digest in read_json(find_sidecar(job))["outputs"].items()
    }
    others = _find_others((job for job in finished if not STEPS[job.step].local), made)
    answered = {file: made[file][1] for file in others if _is_answered(file, made)}
    for file in sorted(others.keys() - answered.keys()):
        digests, reader = others[file]
        raise _refuse(
            file,
            f"sha256 {min(digests)}, of which {reader.label} was made",
            f"{made[file][0]}: this machine makes another",
        )
    if not answered:
        return []
    pack = dict(read_pack(REFERENCE / name)) if is_packed(REFERENCE / name) else {}
    known = read_machines(layout.root)
    if MACHINES_FILE in pack:
        packed = parse_machines(
            pack[MACHINES_FILE].decode(errors="replace"), f"{REFERENCE / name}/{MACHINES_FILE}"
        )
        _add_versions(known, packed)
    lines = []
    for job in {job.label: job for job in answered.values()}.values():
        versions, line = _compare_answers(job, pack)
        _add_versions(known, versions)
        lines.append(line)
    for file in sorted(answered):
        if unknown := sorted(others[file][0] - known.get(file, {}).keys()):
            raise _refuse(
                file, f"the version of which {others[file][1].label} was made", f"no record of {unknown[0]}"
            )
    write_json(layout.root / MACHINES_FILE, seal_record({"format": FORMAT, "answers": known}))
    return lines


def _is_answered(file: str, made: Mapping[str, tuple[str, Job]]) -> bool:
    """Whether hashes of its answers lie beside a file."""
    place = PurePosixPath(file)
    return place.suffix == ".jsonl" and file.rpartition("/")[0] + f"/{ANSWER_HASHES}" in made


def _add_versions(known: Versions, more: Versions) -> None:
    for file, versions in more.items():
        known[file] = known.get(file, {}) | versions


def date_machine(profile: Profile) -> None:
    """Give what local steps made here a date that makes no finished job look older than its inputs.

    Only after `check_machine`: it is by content that they belong together.

    Args:
        profile: of the study.
    """
    finished = _list_finished(profile, Layout(profile.results_root))
    needed = {job.label: set(list_needed(job)) for job in finished}
    ends = {job.label: _find_date(job) for job in finished}
    for job in reversed(finished):
        if not STEPS[job.step].local:
            continue
        made = list_made(job)
        readers = [other for other in finished if other is not job and needed[other.label] & set(made)]
        earliest = min((ends[other.label] for other in readers), default=None)
        for path in made:
            if earliest is not None and path.is_file() and path.stat().st_mtime_ns > earliest:
                os.utime(path, ns=(earliest, earliest))
        ends[job.label] = _find_date(job)


def _find_date(job: Job) -> int:
    """The earliest date of a job's files, nanoseconds."""
    return min(path.stat().st_mtime_ns for path in list_made(job) if path.is_file())
