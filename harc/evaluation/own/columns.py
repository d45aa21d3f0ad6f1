"""What users call the columns of a prompt file, and what they mean by it: names, synonyms, misspellings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from harc.core.errors import DataError
from harc.evaluation.own.formats import Format, name_header, name_place, recognise_format

SYNONYMS = {
    "prompt": (
        "prompts", "text", "question", "questions", "instruction", "instructions", "query", "request", "input",
        "user_prompt", "user_message", "user_input", "prompt_text", "content", "goal", "behavior", "behaviour",
    ),
    "id": ("row_id", "prompt_id", "item_id", "sample_id", "behavior_id", "behaviour_id", "uid", "uuid"),
    "category": (
        "categories", "topic", "harm_category", "risk_category", "semantic_category", "risk_area", "hazard", "taxonomy",
    ),
    "kind": ("label", "labels", "safety_label", "is_harmful", "harmful", "is_safe", "safe"),
    "expected": (
        "expectation", "expected_behavior", "expected_behaviour", "should_refuse", "must_refuse", "should_answer",
    ),
    "contains": ("expected_text", "must_contain"),
    "goal": (),
    "messages": ("conversation", "conversations", "chat", "dialogue", "dialog"),
    "tools": ("functions", "tool_schemas"),
    "calls": (),
    "canary": (),
    "response": ("answer", "completion", "generation", "output", "model_response"),
    "language": ("lang", "locale"),
    "weight": ("weights", "sample_weight"),
    "policy": ("policies", "policy_name", "policy_id", "rule"),
    "decision": ("policy_decision", "layer_decision", "guard_decision", "filter_decision"),
}  # fmt: skip
"""Our columns, and what else they are called; compared without case, spaces and signs."""
COLUMNS = tuple(SYNONYMS)
QUESTIONS = {
    "shouldrefuse": ("refuse", "answer"), "mustrefuse": ("refuse", "answer"), "shouldanswer": ("answer", "refuse"),
    "isharmful": ("harmful", "benign"), "harmful": ("harmful", "benign"),
    "issafe": ("benign", "harmful"), "safe": ("benign", "harmful"),
}  # fmt: skip
"""Headers that ask: what yes means and what no means."""
ANSWERS = {
    "yes": True, "y": True, "true": True, "t": True, "1": True,
    "no": False, "n": False, "false": False, "f": False, "0": False,
}  # fmt: skip
DECISIVE = ("prompt", "kind", "expected", "weight", "messages", "tools", "calls", "canary")
"""Columns that change what is asked or counted: which one is meant is never guessed."""
CLOSE, LONGER = 0.8, 2
"""difflib's ratio from which on a name is a misspelling, and by how many letters it may differ; own choice."""
_KNOWN = {name_header(name): column for column, names in SYNONYMS.items() for name in (column, *names)}
DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclass(frozen=True)
class Reading:
    """How the rows of some columns are read.

    Attributes:
        read: names' cells, in order -> row in our columns.
        format: the published form, where it is one.
        renamed: (name in the file, our column), where they differ by more than case and signs.
        unread: names that nothing reads.
    """

    read: Callable[[Sequence[Any]], dict[str, Any]]
    format: Format | None = None
    renamed: tuple[tuple[str, str], ...] = ()
    unread: tuple[str, ...] = ()


@dataclass
class Header:
    """The columns of one file; rows of JSON may differ in theirs.

    Attributes:
        path: the file.
        readings: by the names as they are written.
    """

    path: Path
    readings: dict[tuple[str, ...], Reading] = field(default_factory=dict)

    def find(self, names: Sequence[Any], where: str, *, table: bool) -> Reading:
        """How rows of these columns are read.

        Args:
            names: as they are written.
            where: file and line, for errors.
            table: whether the names are a header of the whole file.

        Raises:
            DataError: if none of them is a prompt, or it is not clear what one of them means.
        """
        key = tuple(str(name).strip() for name in names)
        if key not in self.readings:
            self.readings[key] = _make_reading(self.path, key, where, table)
        return self.readings[key]

    @property
    def format(self) -> Format | None:
        """The published form of the rows so far, where they have one."""
        return next(
            (reading.format for reading in self.readings.values() if reading.format is not None), None
        )

    def list_remarks(self) -> list[str]:
        """What was recognised, mapped and left unread."""
        found = list(self.readings.values())
        forms = dict.fromkeys(reading.format for reading in found if reading.format is not None)
        renamed = dict.fromkeys(pair for reading in found for pair in reading.renamed)
        read = {name for name, _ in renamed}
        unread = sorted({name for reading in found for name in reading.unread} - read)
        remarks = [f"{self.path}: recognised as {form.name}" for form in forms]
        if renamed:
            said = ", ".join(f"{name!r} as {column}" for name, column in renamed)
            remarks.append(f"{self.path}: columns read by another name: {said}")
        if unread:
            remarks.append(f"{self.path}: columns that nothing reads: {', '.join(map(repr, unread))}")
        return remarks


def _make_reading(path: Path, names: tuple[str, ...], where: str, table: bool) -> Reading:
    plain = [name_header(name) for name in names]
    own = [name for name, simple in zip(names, plain, strict=True) if simple in COLUMNS]
    twice = next((name_header(name) for name in own if plain.count(name_header(name)) > 1), None)
    if twice or (table and len(set(names)) < len(names)):
        raise _refuse_header(where, names, table, twice)
    place = name_place(path)
    form = recognise_format(place, names)
    if form is not None:
        return _read_published(form, place, names, plain)
    chosen = _choose_columns(names, plain, where, table)
    if not {"prompt", "messages"} & set(chosen):
        raise _refuse_header(where, names, table)
    _check_spelling(names, plain, chosen, where)
    taken = {index: column for column, index in chosen.items()}
    asks = {index: QUESTIONS[plain[index]] for index in taken if plain[index] in QUESTIONS}

    def read(cells: Sequence[Any]) -> dict[str, Any]:
        return {
            column: _answer(cells[index], *asks[index]) if index in asks else cells[index]
            for index, column in taken.items()
        }

    renamed = tuple((names[i], column) for i, column in taken.items() if plain[i] != column)
    unread = tuple(name for index, name in enumerate(names) if index not in taken)
    return Reading(read, None, renamed, unread)


def _read_published(form: Format, place: str, names: tuple[str, ...], plain: Sequence[str]) -> Reading:
    """A published form; columns of ours that a user added to it are read too, and go before its own."""
    added = [
        (index, name)
        for index, name in enumerate(plain)
        if name in COLUMNS and name not in {*map(name_header, form.columns), "id"}
    ]
    fixed = {name for _, name in added} & {"kind", "expected"}

    def read(cells: Sequence[Any]) -> dict[str, Any]:
        row = form.read(place, dict(zip(plain, cells, strict=True)))
        if fixed:
            del row["kind"]
        return row | {name: cells[index] for index, name in added}

    return Reading(read, form)


def _choose_columns(names: Sequence[str], plain: Sequence[str], where: str, table: bool) -> dict[str, int]:
    """Place of each of our columns: a column of that very name, else the one that is called by a synonym."""
    chosen = {name: index for index, name in enumerate(plain) if name in COLUMNS}
    if "prompt" not in chosen and "messages" not in chosen and "goal" in chosen:
        chosen["prompt"] = chosen.pop("goal")
    for column in COLUMNS:
        if column in chosen or (column == "prompt" and "messages" in chosen):
            continue
        called = [
            index
            for index, name in enumerate(plain)
            if _KNOWN.get(name) == column and index not in chosen.values()
        ]
        if len(called) == 1:
            chosen[column] = called[0]
        elif called and column in DECISIVE:
            raise DataError(
                where,
                expected=f"one column {column}",
                found=f"{' and '.join(repr(names[index]) for index in called)}, which could both be it",
                fix=f"call the one that is meant {column}",
            )
    return chosen


def _check_spelling(names: Sequence[str], plain: Sequence[str], chosen: dict[str, int], where: str) -> None:
    """Refuse a name that looks like one of ours with a slip in it: left unread, it would change what is counted."""
    for index, name in enumerate(plain):
        if index in chosen.values() or name in _KNOWN or len(name) < 4:
            continue
        near = get_close_matches(name, COLUMNS, n=1, cutoff=CLOSE)
        if near and near[0] not in chosen and abs(len(near[0]) - len(name)) <= LONGER:
            raise DataError(
                where,
                expected=f"columns among {', '.join(COLUMNS)}, or names that are unlike them",
                found=f"{names[index]!r}",
                fix=f"call it {near[0]} if that is meant, else something else",
            )


def _answer(cell: Any, yes: str, no: str) -> Any:
    """What a cell under a question says; as it stands where it answers neither yes nor no."""
    said = ANSWERS.get(str(cell).strip().lower())
    if said is None:
        return cell
    return yes if said else no


def _refuse_header(where: str, names: Sequence[str], table: bool, twice: str | None = None) -> DataError:
    if not table:
        said = f"the field {twice} twice" if twice else f"the fields {', '.join(names)}"
        fix = "mend or remove the line"
        near = None if twice else _suggest(names)
        return DataError(
            where,
            expected="an object with field prompt",
            found=said,
            fix=f"call {near[0]!r} {near[1]}, or {fix}" if near else fix,
        )
    shown = [name_header(name) if name_header(name) in COLUMNS else name for name in names]
    fix = "name the columns in the first line"
    if other := next(
        (said for mark, said in DELIMITERS.items() if any(mark in name for name in names)), None
    ):
        fix = f"separate cells by commas, not {other}"
    elif not twice and (near := _suggest(names)):
        fix = f"call {near[0]!r} {near[1]}, if that is what it holds"
    return DataError(
        where,
        expected=f"a header with column prompt and, if wanted, {', '.join(COLUMNS[1:])}, each once",
        found=", ".join(shown) or "an empty file",
        fix=fix,
    )


def _suggest(names: Sequence[str]) -> tuple[str, str] | None:
    """The name that looks most like a prompt's, and what to call it."""
    prompts = [name for name, column in _KNOWN.items() if column == "prompt"]
    for name in names:
        if get_close_matches(name_header(name), prompts, n=1, cutoff=0.7):
            return name, "prompt"
    return None
