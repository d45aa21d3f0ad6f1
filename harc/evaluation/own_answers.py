"""Answers of a run, kept as they come: a killed run goes on after the last batch that was kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, DataError
from harc.core.files import read_json, read_jsonl, write_json, write_jsonl
from harc.judges.base import GIVEN_LABELS

RUN_FILE = "run.json"
OUTCOME = "outcome"
"""What run.json says of the answers, beside what they come from."""
FIELDS = ("id", "prompt_sha256", "response", "finish_reason")
"""Texts that every kept answer has."""
ANSWERS = ("generations", "waiting", "benchmarks")
"""Folders that hold answers."""


class AnswerStore:
    """The folder of a run: run.json, generations/<suite>.jsonl, and answers that are not judged yet."""

    def __init__(
        self, folder: Path, identity: dict[str, Any], *, served: bool = False, resume: bool = False
    ) -> None:
        """Open a folder that is new or holds the same run: model, adapter and decoding. Nothing is written yet.

        Args:
            folder: of the run.
            identity: what answers come from.
            served: whether a server answers: its address does not say which weights it holds, so nobody can tell
                whether earlier answers are this model's.
            resume: whether the user says that they are.

        Raises:
            ConfigError: if it holds another run, or one of a served model that was not asked for; it is left as it is.
        """
        self.folder, self.waiting, self.identity = folder, folder / "waiting", identity
        if not (folder / RUN_FILE).is_file():
            if folder.is_dir() and any(folder.iterdir()):
                raise _refuse(folder, "files of something else")
            return
        if not self.has_answers():
            return  # a run that stopped before its first answer binds nobody
        kept = read_json(folder / RUN_FILE)
        if not isinstance(kept, dict):
            raise _refuse(folder, f"a {RUN_FILE} that is no object")
        names = {*identity, *kept} - {OUTCOME}
        differing = sorted(name for name in names if identity.get(name) != kept.get(name))
        if differing:
            raise _refuse(folder, f"one that differs in {', '.join(differing)}")
        if served and not resume:
            raise ConfigError(
                f"--out {folder}",
                expected="a new folder, or --resume",
                found="answers of an earlier run, and a server, which does not say which weights it holds",
                fix="add --resume if it still holds the same model, or name another folder",
            )

    def has_answers(self) -> bool:
        """Whether the folder holds any answer."""
        return any(path.is_file() for name in ANSWERS for path in (self.folder / name).rglob("*"))

    def begin(self, outcome: dict[str, Any] | None = None) -> None:
        """Write run.json: what the answers come from and, once that is known, what is to be said of them."""
        write_json(self.folder / RUN_FILE, self.identity | ({OUTCOME: outcome} if outcome else {}))

    def generations(self, suite: str) -> Path:
        """File of a suite's judged answers."""
        return self.folder / "generations" / f"{suite}.jsonl"

    def load(self, suite: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Every answer of a suite so far, by (id, hash of the prompt that the model saw); missing ones are left out."""
        files = [self.generations(suite), *sorted(self.waiting.glob(f"{suite}.*.jsonl"))]
        rows = [row for path in files if path.is_file() for row in _read_answers(path)]
        return {(row["id"], row["prompt_sha256"]): row for row in rows if not is_missing(row)}

    def keep(self, suite: str, answers: Sequence[dict[str, Any]]) -> None:
        """Keep a batch of answers, but for those that never came."""
        answers = [answer for answer in answers if not is_missing(answer)]
        if not (self.folder / RUN_FILE).is_file() or not self.has_answers():
            self.begin()
        if not answers:
            return
        number = len(list(self.waiting.glob(f"{suite}.*.jsonl")))
        write_jsonl(self.waiting / f"{suite}.{number:06d}.jsonl", answers)

    def publish(self, suite: str, records: Sequence[dict[str, Any]]) -> None:
        """Put a judged suite in place; answers to prompts that are no longer asked go on waiting, in case they are."""
        published = {(record["id"], record["prompt_sha256"]) for record in records}
        unasked = [answer for key, answer in self.load(suite).items() if key not in published]
        waiting = list(self.waiting.glob(f"{suite}.*.jsonl"))
        if unasked:
            write_jsonl(self.waiting / f"{suite}.unasked.jsonl", unasked)
        write_jsonl(self.generations(suite), records)
        for path in waiting:
            if not unasked or path.name != f"{suite}.unasked.jsonl":
                path.unlink()
        if self.waiting.is_dir() and not any(self.waiting.iterdir()):
            self.waiting.rmdir()


def _read_answers(path: Path) -> list[dict[str, Any]]:
    """Kept answers of a file.

    Raises:
        DataError: naming the line of the first that is none, or whose verdicts are none.
    """
    rows = read_jsonl(path, FIELDS)
    for number, row in enumerate(rows, start=1):
        verdicts = row.get("verdicts", {})
        odd = next((name for name in FIELDS if not isinstance(row[name], str)), None)
        if odd is None and not (isinstance(verdicts, dict) and all(map(_is_verdict, verdicts.values()))):
            odd = "verdicts"
        if odd is not None:
            raise DataError(
                f"{path}:{number}: {odd}",
                expected="what a run wrote there",
                found=repr(row.get(odd))[:80],
                fix="remove the line, and its prompt is asked again",
            )
    return rows


def _is_verdict(value: Any) -> bool:
    return isinstance(value, dict) and value.get("label") in GIVEN_LABELS


def is_missing(answer: Mapping[str, Any]) -> bool:
    """Whether a prompt's answer never came, since the server was not reached for it."""
    return answer.get("finish_reason") == "error"


def _refuse(folder: Path, found: str) -> ConfigError:
    return ConfigError(
        f"--out {folder}",
        expected="a new folder, or the run that it holds",
        found=found,
        fix="name another folder; nothing in this one was touched",
    )
