"""`harc adapter card`: a model card from an adapter's own files and the scores of a run on it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError
from harc.core.files import read_jsonl, write_text
from harc.evaluation.adapters.checks import WARN, Subject, describe_adapter, require_sound, run_checks
from harc.evaluation.adapters.folder import CARD, TEMPLATE, AdapterFolder, Unreadable
from harc.evaluation.adapters.licences import describe_terms, find_licence
from harc.evaluation.adapters.report import make_subject
from harc.evaluation.adapters.scores import MOST_ROWS, describe_scores, read_run
from harc.evaluation.adapters.text import escape_text, make_front_matter, make_table, shorten_place
from harc.evaluation.own.answers import OUTCOME
from harc.model.handle import hash_weights
from harc.model.weights import HUB_ID

MARK = "<!-- made by `harc adapter card` from the adapter's files and a run; make it again rather than edit it -->"
LOG = "training_log.jsonl"
MENDED = ("licence of the adapter", "model card")
"""Checks that complain of what a card gives."""
FACTS = ("kind", "rank", "alpha", "scale", "targets", "layers", "parameters")


def write_card(
    adapter: Path, run: Path, out: Path | None = None, *, base: str | None = None, licence: str | None = None,
    data: str | None = None,
) -> Path:  # fmt: skip
    """Write a card.

    Args:
        adapter: its folder.
        run: what `harc evaluate` wrote of it.
        out: the file; None: README.md in the adapter's folder.
        base, licence: see `make_subject`.
        data: what it was trained on, in the author's words.

    Returns:
        The file.

    Raises:
        ModelError: where a check fails.
        ConfigError: for a run of another adapter, or a card that somebody else wrote.
        DataError: for a folder that is no run.
    """
    subject = make_subject(str(adapter), base, licence)
    require_sound(subject)
    found = read_run(run, adapter)
    path = adapter / CARD if out is None else out
    there = path.read_text("utf-8", errors="replace") if path.is_file() else MARK
    if MARK not in there and TEMPLATE not in there:
        raise ConfigError(
            f"--out {path}",
            expected="no file, or a card that this command made",
            found="another card",
            fix="name another file with --out; nothing in this one was touched",
        )
    write_text(path, render_card(subject, found, run, data))
    return path


def render_card(subject: Subject, found: Mapping[str, Any], run: Path, data: str | None) -> str:
    """The card's text."""
    licence, model = subject.base_licence, found.get("model")
    source = model.get("source") if isinstance(model, dict) else None
    named = subject.adapter.settings.base_model_name_or_path or source
    own = find_licence(subject.adapter) or licence
    front = {
        "base_model": next((name for name in (named, source) if name and HUB_ID.fullmatch(str(name))), None),
        "license": None if own is None else own.name,
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "safety", "harc-reproduction"],
    }
    sections = {
        f"# {escape_text(subject.adapter.path.absolute().name)}": [
            MARK,
            "",
            f"A {escape_text(subject.adapter.settings.kind)} adapter for "
            f"{escape_text(shorten_place(named or 'a base not named'))}. "
            "Whatever its files do not say is called unknown here.",
        ],
        "## Data": [
            escape_text(data) if data else "Unknown: the adapter's files do not say what it learnt from."
        ],
        "## Method": describe_method(subject.adapter),
        "## Scores": describe_scores(found, run),
        "## Limits": describe_limits(found, subject),
        "## Licence": describe_licence(subject),
        "## How it was made": describe_making(subject.adapter, found),
    }
    text = "\n\n".join("\n\n".join([head, "\n".join(lines)]) for head, lines in sections.items())
    return f"{make_front_matter(front)}\n{text}\n"


def describe_method(adapter: AdapterFolder) -> list[str]:
    """What the update is, and how training went where there is a log of ours."""
    facts = describe_adapter(adapter)
    rows = [[name, _spell(facts[name])] for name in FACTS if facts.get(name) is not None]
    lines = [make_table(["what", "value"], rows), ""]
    log = read_log(adapter)
    if not log:
        return [*lines, "How it was trained: unknown, there is no training log beside it."]
    names = [name for name in log[-1] if all(_is_number(row.get(name)) for row in (log[0], log[-1]))]
    table = [[name, f"{log[0][name]:.4g}", f"{log[-1][name]:.4g}"] for name in names[:MOST_ROWS]]
    return [
        *lines,
        f"Training log ({LOG}): {len(log)} lines.",
        "",
        make_table(["column", "first", "last"], table),
    ]


def read_log(adapter: AdapterFolder) -> list[dict[str, Any]]:
    """Rows of the training log that this project writes; none where there is none that can be read."""
    try:
        return read_jsonl(adapter.find(LOG), ("step",))
    except (Unreadable, DataError):
        return []


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < 1 << 63)


def _spell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return (
        f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
    )


def describe_limits(found: Mapping[str, Any], subject: Subject) -> list[str]:
    """What the scores do not say: warnings of the run and of the checks."""
    outcome = found.get(OUTCOME)
    warnings = outcome.get("warnings", []) if isinstance(outcome, dict) else []
    warnings = warnings if isinstance(warnings, list) else []
    checks = [
        f"{one.name}: {one.reason}"
        for one in run_checks(subject)
        if one.status == WARN and one.name not in MENDED
    ]
    return [
        "- Scores hold for these prompts, this decoding and these judges. Refusing known prompts is no proof against "
        "others: attacks that adapt to the model were tried only where a suite above says so.",
        "- Whoever has the weights can remove the adapter, or train it away.",
        "- An interval covers the drawing of prompts, not errors of judges.",
        *(f"- Run: {escape_text(line)}" for line in warnings[:MOST_ROWS]),
        *(f"- Check: {escape_text(line)}" for line in checks),
    ]


def describe_licence(subject: Subject) -> list[str]:
    """What follows from the base's licence."""
    terms = describe_terms(subject.base_licence)
    names = {"licence of the base": "licence", "use": "use", "passing on": "redistribution"}
    rows = [[head, terms[name]] for head, name in names.items()]
    return [
        make_table(["what", "in short"], rows),
        "",
        "The text of the licence decides; this is no legal advice.",
    ]


def describe_making(adapter: AdapterFolder, found: Mapping[str, Any]) -> list[str]:
    """Hashes and versions that whoever makes it again needs."""
    facts, model, versions = describe_adapter(adapter), found.get("model"), found.get("versions")
    source = "unknown"
    if isinstance(model, dict):
        source = ", ".join(f"{name} {shorten_place(str(value))}" for name, value in model.items())
    record = adapter.base_record
    rows = [
        ["adapter, SHA-256 of its files", hash_weights(adapter.path)],
        ["base, as the adapter names it", shorten_place(facts.get("base") or "unknown")],
        ["base's revision, as the adapter names it", facts.get("base_revision") or "unknown"],
        ["base, as evaluated", source],
        ["made by", "`harc train` (base_model.json is there)" if record else "unknown"],
    ]
    rows += (
        [["libraries of the run", ", ".join(f"{name} {value}" for name, value in versions.items())]]
        if (isinstance(versions, dict))
        else []
    )
    return [
        make_table(["what", "value"], rows),
        "",
        "Scores: `harc evaluate`; this card: `harc adapter card`.",
    ]
