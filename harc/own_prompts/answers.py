"""Answers of a run, kept as they come: a killed run goes on after the last batch that was kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harc.errors import ConfigError
from harc.files import read_json, read_jsonl, write_json, write_jsonl

RUN_FILE = "run.json"


class AnswerStore:
    """The folder of a run: run.json, generations/<suite>.jsonl, and answers that are not judged yet."""

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        """Open a folder that is new or holds the same run: model, adapter and decoding.

        Raises:
            ConfigError: if it holds another run, which is left as it is.
        """
        self.folder, self.waiting = folder, folder / "waiting"
        record = folder / RUN_FILE
        if not record.is_file():
            if folder.is_dir() and any(folder.iterdir()):
                raise _refuse(folder, "files of something else")
            write_json(record, identity)
        kept = read_json(record)
        differing = sorted(name for name in {*identity, *kept} if identity.get(name) != kept.get(name))
        if differing:
            raise _refuse(folder, f"one that differs in {', '.join(differing)}")

    def generations(self, suite: str) -> Path:
        """File of a suite's judged answers."""
        return self.folder / "generations" / f"{suite}.jsonl"

    def load(self, suite: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Every answer of a suite so far, by (id, hash of the prompt that the model saw)."""
        files = [self.generations(suite), *sorted(self.waiting.glob(f"{suite}.*.jsonl"))]
        rows = [row for path in files if path.is_file() for row in read_jsonl(path, ("id", "prompt_sha256"))]
        return {(row["id"], row["prompt_sha256"]): row for row in rows}

    def keep(self, suite: str, answers: Sequence[dict[str, Any]]) -> None:
        """Keep a batch of answers."""
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


def _refuse(folder: Path, found: str) -> ConfigError:
    return ConfigError(
        f"--out {folder}",
        expected="a new folder, or the run that it holds",
        found=found,
        fix="name another folder; nothing in this one was touched",
    )
