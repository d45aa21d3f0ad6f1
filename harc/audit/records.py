"""What JSON records must satisfy: generations, training logs, layer choices over time, prompt hashes,
where rows and models come from.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from harc.audit.sidecars import Sidecar
from harc.audit.tensors import Problem
from harc.core.artifacts import SOURCE_FILE
from harc.core.csv_files import format_value, read_csv_rows
from harc.core.errors import DataError
from harc.core.files import read_json, read_jsonl, sha256_text
from harc.data.verify import verify_data
from harc.evaluation.suppressed import RATE_COLUMNS, tabulate_rates
from harc.judges.base import GIVEN_LABELS
from harc.model.chat_template import render_template
from harc.settings.backbones import DEFAULT_DATE

SPLIT_FILES = ("development.jsonl", "evaluation.jsonl")
GENERATION_FIELDS = ("id", "suite", "prompt_sha256", "messages", "response", "verdicts")
COMMIT = re.compile(r"[0-9a-f]{40}")
PIN, MANIFEST = "data.dvc", "data_manifest.json"
TEMPLATE, TOKENIZER = "chat_template.jinja", "tokenizer_config.json"


def read_rows_by_suite(inputs: list[Path]) -> dict[str, Counter]:
    """Ids of the rows that an evaluation was given, by suite, from the split files among its inputs."""
    found: dict[str, Counter] = {}
    for path in inputs:
        if path.name in SPLIT_FILES:
            for row in read_jsonl(path, ("id", "suite")):
                found.setdefault(row["suite"], Counter())[row["id"]] += 1
    return found


def read_renderer(inputs: list[Path]) -> Callable[[list[dict]], str] | None:
    """How the model of an evaluation sees a conversation, from the chat template among the inputs; else None.

    A fetched model's template lies in the hub's cache, not in the tree. Options and date are those in source.json.
    """
    files = {path.name: path for path in inputs if path.name in (TEMPLATE, TOKENIZER, SOURCE_FILE)}
    if not {TEMPLATE, TOKENIZER} <= files.keys():
        return None
    config = read_json(files[TOKENIZER])
    special = {name: value for name, value in config.items() if name.endswith("_token")}
    source = read_json(files[SOURCE_FILE]) if SOURCE_FILE in files else {}
    variables = {**special, **source.get("template_options", {})}
    template, date = files[TEMPLATE].read_text(encoding="utf-8"), source.get("template_date", DEFAULT_DATE)
    return lambda messages: render_template(template, messages, variables, date)


def check_records(
    path: Path, rows: dict[str, Counter], render: Callable[[list[dict]], str] | None = None
) -> tuple[list[Problem], int, int]:
    """Problems of one file of generations: suite, ids, one record per row, the hash of every prompt.

    Args:
        path: the file, named after its suite.
        rows: ids by suite of the rows that were asked.
        render: how the model saw a conversation; None leaves prompt hashes out.

    Returns:
        The problems, the number of records, and the number of prompt hashes checked.
    """
    suite = path.stem
    try:
        records = read_jsonl(path, GENERATION_FIELDS)
    except DataError as problem:
        return [(problem.expected, problem.found)], 0, 0
    problems = []
    foreign = [record["id"] for record in records if record["suite"] != suite]
    if foreign:
        problems.append((f"records of suite {suite}", f"{foreign[0]} of another"))
    ids = Counter(record["id"] for record in records)
    if suite in rows and ids != rows[suite]:
        wrong = sorted((ids - rows[suite]) + (rows[suite] - ids))
        problems.append(
            (f"one record for each of the {rows[suite].total()} rows", f"{len(records)}; see {wrong[0]}")
        )
    if render is None:
        return problems, len(records), 0
    for record in records:
        digest = sha256_text(render(record["messages"]))
        if record["prompt_sha256"] != digest:
            problems.append((f"prompt_sha256 {digest} at {record['id']}", str(record["prompt_sha256"])))
            break
    return problems, len(records), len(records)


def check_log(path: Path) -> Iterator[Problem]:
    """A training log: at least one row, steps in order, every number finite."""
    last = -math.inf
    rows = read_jsonl(path, ("step",))
    if not rows:
        yield "at least one row", "none"
    for number, row in enumerate(rows, start=1):
        broken = [
            name for name, value in row.items() if isinstance(value, float) and not math.isfinite(value)
        ]
        if broken:
            yield f"a finite {broken[0]} in line {number}", str(row[broken[0]])
        if row.get("stage") is None and row["step"] < last:
            yield f"steps in order at line {number}", f"{row['step']} after {last}"
        last = row["step"]


def check_selected(path: Path, band: tuple[int, int] | None) -> Iterator[Problem]:
    """The slots trained on, over time: distinct, k of them, within the eligible band where that is known."""
    for number, row in enumerate(read_jsonl(path, ("k", "selected", "step")), start=1):
        slots = row["selected"]
        if slots != sorted(set(slots)) or len(slots) != row["k"]:
            yield f"{row['k']} distinct slots, ascending, in line {number}", str(slots)
        if band is not None and any(not band[0] <= slot <= band[1] for slot in slots):
            yield f"slots within {band[0]}..{band[1]} in line {number}", str(slots)


def check_finetuning(path: Path, rows: dict[str, Counter], trainings: dict[str, Any]) -> Iterator[Problem]:
    """Answers after fine-tunings: every suite's rows once after each, and labels that a judge gives.

    Args:
        path: answers.csv.
        rows: ids by suite of the rows that were asked.
        trainings: settings by number of examples, as configured.
    """
    _, answers = read_csv_rows(path)
    counts = {answer["examples"] for answer in answers}
    if trainings and counts != set(trainings):
        yield f"answers after {', '.join(trainings)} examples", ", ".join(sorted(counts)) or "none"
    odd = [answer for answer in answers if answer["label"] not in GIVEN_LABELS]
    if odd:
        yield f"a label among {', '.join(GIVEN_LABELS)} at {odd[0]['id']}", odd[0]["label"]
    for examples in sorted(counts):
        own = [answer for answer in answers if answer["examples"] == examples]
        for suite in dict.fromkeys(answer["suite"] for answer in own):
            ids = Counter(answer["id"] for answer in own if answer["suite"] == suite)
            if suite in rows and ids != rows[suite]:
                wrong = sorted((ids - rows[suite]) + (rows[suite] - ids))
                yield f"each row of {suite} once after {examples} examples", f"{ids.total()}; see {wrong[0]}"


def check_suppression(
    answers: list[dict[str, str]], texts: list[dict[str, Any]] | None, rates: Path, rows: dict[str, Counter]
) -> Iterator[Problem]:
    """Answers under suppression: labels that a judge gives, to rows that there are, counted in rates.csv as they are.

    Args:
        answers: rows of outcomes.csv.
        texts: of texts.jsonl, where they are there.
        rates: rates.csv.
        rows: ids by suite of the rows that were asked; none: not known.
    """
    for answer in answers:
        place = f"{answer['id']} under {answer['condition']}"
        if answer["label"] not in GIVEN_LABELS:
            yield f"a label among {', '.join(GIVEN_LABELS)} at {place}", answer["label"]
        if rows and answer["id"] not in rows.get(answer["suite"], ()):
            yield f"a row of suite {answer['suite']} at {place}", "none of that id"
    if texts is not None:
        places = ("condition", "suite", "id")
        hashes = {tuple(text[name] for name in places): sha256_text(text["response"]) for text in texts}
        for answer in answers:
            if hashes.get(tuple(answer[name] for name in places)) != answer["response_sha256"]:
                yield f"the text of {answer['id']} under {answer['condition']}", "another, or none"
    counted = [
        {name: format_value(row.get(name)) for name in RATE_COLUMNS} for row in tabulate_rates(answers)
    ]
    for expected, found in zip_longest(counted, read_csv_rows(rates)[1]):
        if expected != found:
            yield f"{expected}" if expected else "no more rates", f"{found}" if found else "no such line"


def check_json(path: Path) -> Iterator[Problem]:
    """One JSON object."""
    value: Any = read_json(path)
    if not isinstance(value, dict):
        yield "a JSON object", type(value).__name__


def check_row_report(report: dict[str, Any], sidecar: Sidecar) -> Iterator[Problem]:
    """The report of the rows' check against the rows that its sidecar names, and against the DVC pin.

    Args:
        report: verified.json: the hashes that the check found (`files`), as text or with a size.
        sidecar: of the report, whose other outputs are the rows.
    """
    rows = {
        path.name: sidecar.record["outputs"][name]
        for name, path in sidecar.outputs.items()
        if path.name != "verified.json"
    }
    found = {
        name: entry["sha256"] if isinstance(entry, dict) else entry for name, entry in report["files"].items()
    }
    for name in sorted(rows.keys() | found.keys()):
        if name in rows and found.get(name) != rows[name]:
            yield f"{name} with sha256 {rows[name]}, as the rows have", str(found.get(name))
    inputs = {path.name: path for path in sidecar.inputs.values()}
    folder = next((path.parent for path in sidecar.outputs.values() if path.name in found), None)
    if not {PIN, MANIFEST} <= inputs.keys() or folder is None or not folder.is_dir():
        return
    try:
        problems = verify_data(folder, inputs[MANIFEST], inputs[PIN]).problems
    except DataError as unreadable:
        problems = [unreadable]
    for problem in problems:
        yield f"{problem.where} as {PIN} pins it: {problem.expected}", problem.found


def check_fetched_source(source: dict[str, Any], settings: dict[str, Any]) -> Iterator[Problem]:
    """source.json of a fetched backbone: the model asked for, at one commit or with the pinned hash."""
    kind = source.get("kind")
    if kind != settings.get("kind", kind):
        yield f"kind {settings['kind']}, as configured", str(kind)
    if kind == "hub":
        asked, revision = settings.get("revision"), str(source.get("revision"))
        if not COMMIT.fullmatch(revision):
            yield "the revision as a commit of 40 hexadecimal digits", revision
        elif asked and COMMIT.fullmatch(str(asked)) and asked != revision:
            yield f"revision {asked}, as configured", revision
        if settings.get("model_id", source.get("model_id")) != source.get("model_id"):
            yield f"model {settings['model_id']}, as configured", str(source.get("model_id"))
    if kind == "gguf":
        pinned = settings.get("gguf", {}).get("sha256", source.get("gguf_sha256"))
        if pinned != source.get("gguf_sha256"):
            yield f"a GGUF file with sha256 {pinned}, as configured", str(source.get("gguf_sha256"))
