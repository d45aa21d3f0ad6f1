"""Judged records of a run in the forms of JailbreakBench, HarmBench and Hugging Face data sets.

What was answered to a prompt that is not known to be benign leaves a run by default as a label, a length and a hash.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.files import atomic_directory, read_json, read_jsonl, sha256_text, write_json, write_text
from harc.evaluation.own.answers import RUN_FILE
from harc.evaluation.own.candidates import FOLDER
from harc.suites.records import find_prompt

NEEDED = ("id", "suite", "kind", "category", "goal", "messages", "response", "finish_reason", "verdicts")
DIGITS = 16  # of a hash


def read_run(run: Path, suites: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Records of a run of one model, suite by suite.

    Raises:
        ConfigError: for a folder that is no such run, or a suite that it does not have.
        DataError: for a damaged file.
    """
    files = {path.stem: path for path in sorted((run / "generations").glob("*.jsonl"))}
    about = read_json(run / RUN_FILE) if (run / RUN_FILE).is_file() else {}
    if not files:
        several = isinstance(about, dict) and FOLDER in about
        raise ConfigError(
            str(run),
            expected="the folder of a run of one model",
            found="a run of several" if several else "no generations in it",
            fix=f"name one of the folders in {run / FOLDER}" if several else "check the path",
        )
    if unknown := [name for name in suites if name not in files]:
        raise ConfigError(
            "--suite", expected=f"one of {', '.join(files)}", found=unknown[0], fix="check the spelling"
        )
    chosen = [files[name] for name in suites or files]
    return [record for path in chosen for record in read_jsonl(path, NEEDED)]


def choose_judge(records: Sequence[Mapping[str, Any]], name: str | None) -> str:
    """The judge whose labels are exported: the named one, else the run's first.

    Raises:
        ConfigError: for a judge that did not judge every record.
    """
    common = [judge for judge in records[0]["verdicts"] if all(judge in r["verdicts"] for r in records)]
    if not common or name not in (None, *common):
        raise ConfigError(
            "--judge",
            expected=f"a judge of every answer of the run ({', '.join(common) or 'there is none'})",
            found=name or "none",
            fix="check the spelling, or give `harc evaluate` again with that judge",
        )
    return name or common[0]


def is_withheld(record: Mapping[str, Any]) -> bool:
    """Whether an answer may be harmful: its prompt is not benign, and not every judge calls it a refusal."""
    labels = {verdict["label"] for verdict in record["verdicts"].values()}
    return record["kind"] != "benign" and labels != {"refused"}


def show_response(record: Mapping[str, Any], judge: str, *, include: bool) -> str:
    """An answer, or what stands for it."""
    text = record["response"]
    if include or not is_withheld(record):
        return text
    label = record["verdicts"][judge]["label"]
    return f"[withheld: {label}, {len(text)} characters, sha256 {sha256_text(text)[:DIGITS]}]"


def warn_of_texts(records: Sequence[Mapping[str, Any]], *, include: bool) -> str:
    """The line that an export says of what it holds."""
    count = sum(map(is_withheld, records))
    if include and count:
        return f"WARNING: {count} answers that may be harmful are written out: take care who reads them"
    return f"{count} of {len(records)} answers are withheld (label, length and hash in their place)"


def export_jailbreakbench(
    records: Sequence[Mapping[str, Any]], judge: str, out: Path, *, include: bool, **parameters: str
) -> None:
    """Write an attack artifact: parameters and jailbreaks.

    Fields are those of JailbreakBench/artifacts@909e68c (attack-artifacts/METHOD/TYPE/MODEL.json) and of jailbreakbench
    1.0.0 (artifact.py). `jailbroken` is what the judge says; `behavior` is the record's id, since a run knows none.

    Args:
        records: of one suite.
        judge: whose label counts.
        out: JSON file.
        include: whether harmful answers are written out.
        parameters: method, model, attack_type.
    """
    asked = [record for record in records if record["kind"] != "benign"]
    if not asked:
        raise _refuse_kinds("harmful prompts")
    hits = [record["verdicts"][judge]["label"] == "correct" for record in asked]
    tokens = {
        side: None if any(record.get(f"{side}_tokens") is None for record in asked) else
        sum(record[f"{side}_tokens"] for record in asked) for side in ("prompt", "response")
    }  # fmt: skip
    rows = [
        {
            "index": index, "goal": record["goal"], "behavior": record["id"], "category": record["category"],
            "prompt": find_prompt(record["messages"]), "response": show_response(record, judge, include=include),
            "number_of_queries": 1, "queries_to_jailbreak": 1 if hit else None,
            "prompt_tokens": record.get("prompt_tokens"), "response_tokens": record.get("response_tokens"),
            "jailbroken": hit,
        }
        for index, (record, hit) in enumerate(zip(asked, hits, strict=True))
    ]  # fmt: skip
    about = parameters | {
        "defense": None, "evaluation_date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "attack_success_rate": sum(hits) / len(hits), "total_number_of_jailbreaks": sum(hits),
        "number_of_submitted_prompts": len(asked), "total_number_of_queries": len(asked),
        "total_prompt_tokens": tokens["prompt"], "total_response_tokens": tokens["response"],
        "evaluation_llm_provider": "harc", "method_parameters": {"judge": judge},
    }  # fmt: skip
    write_json(out, {"parameters": about, "jailbreaks": rows})


def export_harmbench(records: Sequence[Mapping[str, Any]], judge: str, out: Path, *, include: bool) -> None:
    """Write a file of results: behavior id -> list of test_case, generation and label (1: the behavior is there).

    Form: generate_completions.py and evaluate_completions.py of HarmBench (arXiv 2402.04249), read in the copy
    Bob-cheng/HB_RedTeam@f201bdd.
    """
    asked = [record for record in records if record["kind"] != "benign"]
    if not asked:
        raise _refuse_kinds("harmful prompts")
    found: dict[str, list[dict[str, Any]]] = {}
    for record in asked:
        case = {
            "test_case": find_prompt(record["messages"]),
            "generation": show_response(record, judge, include=include),
            "label": int(record["verdicts"][judge]["label"] == "correct"),
        }
        found.setdefault(record.get("of") or record["id"], []).append(case)
    write_json(out, found)


def _refuse_kinds(what: str) -> ConfigError:
    return ConfigError("--suite", expected=f"a suite with {what}", found="none", fix="name another suite")


CARD = """---
configs:
- config_name: default
  data_files:
  - split: test
    path: data/test.parquet
---
# Judged answers of a language model

{count} answers from `harc evaluate`, judged by {judges}. Prompts are as they were asked: some are harmful by intent.
{texts}.

| kind | prompts |
|---|---|
{kinds}
"""


def export_dataset(records: Sequence[Mapping[str, Any]], judge: str, out: Path, *, include: bool) -> None:
    """Write a folder that `datasets.load_dataset(FOLDER)` reads: data/test.parquet and a card.

    Raises:
        ConfigError: for a folder that is there and not empty.
    """
    import pyarrow
    from pyarrow import parquet

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out {out}", expected="a new folder", found="one with files", fix="name another")
    judges = list(dict.fromkeys(name for record in records for name in record["verdicts"]))
    rows = [
        {
            "id": record["id"], "suite": record["suite"], "category": record["category"], "kind": record["kind"],
            "goal": record["goal"], "messages": json.dumps(record["messages"], ensure_ascii=False),
            "response": show_response(record, judge, include=include),
            "withheld": is_withheld(record) and not include,
            "response_characters": len(record["response"]), "response_sha256": sha256_text(record["response"]),
            "finish_reason": record["finish_reason"],
            **{f"label_{name}": record["verdicts"].get(name, {}).get("label") for name in judges},
        }
        for record in records
    ]  # fmt: skip
    kinds: dict[str, int] = {}
    for record in records:
        kinds[record["kind"] or "unknown"] = kinds.get(record["kind"] or "unknown", 0) + 1
    with atomic_directory(out) as folder:
        (folder / "data").mkdir()
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "data" / "test.parquet")
        listed = "\n".join(f"| {kind} | {count} |" for kind, count in kinds.items())
        said = warn_of_texts(records, include=include).removeprefix("WARNING: ")
        card = CARD.format(
            count=len(rows), judges=", ".join(judges), texts=f"{said[:1].upper()}{said[1:]}", kinds=listed
        )
        write_text(folder / "README.md", card)
