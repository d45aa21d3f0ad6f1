"""Answers of a run, kept as they come: a killed run goes on after the last batch that was kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError, ModelError
from harc.core.files import read_json, write_json, write_jsonl
from harc.core.finished import KEPT, KeyedStore
from harc.evaluation.agents.judging import apply_calls, note_calls
from harc.evaluation.own.budget import Meter, Spending
from harc.judges.base import LABELS, UNJUDGED, Answer, Judge
from harc.suites.codeattack import read_answer
from harc.suites.records import decide_unread, find_prompt

RUN_FILE = "run.json"
OUTCOME = "outcome"
"""What run.json says of the answers, beside what they come from."""
USAGE = "usage"
"""Name under which what the answers took is kept, beside them and in the same write."""


class AnswerStore:
    """The folder of a run: run.json, generations/<suite>.jsonl, and every answer as it was kept."""

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
        self.folder, self.identity = folder, identity
        self.kept = KeyedStore(folder / KEPT, identity)
        self.meter = Meter()
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
        folders = [self.folder / name for name in ("generations", "benchmarks")]
        return not self.kept.is_empty() or any(path.is_file() for f in folders for path in f.rglob("*"))

    def begin(self, outcome: dict[str, Any] | None = None) -> None:
        """Write run.json: what the answers come from and, once that is known, what is to be said of them."""
        write_json(self.folder / RUN_FILE, self.identity | ({OUTCOME: outcome} if outcome else {}))

    def load(self, suite: str, row_id: str, prompt_sha256: str) -> dict[str, Any] | None:
        """The answer to a prompt as the model saw it, with the verdicts on it so far; None if there is none."""
        return self.kept.load(f"{suite} {row_id} {prompt_sha256}")

    def keep(self, suite: str, answers: Sequence[dict[str, Any]]) -> None:
        """Keep a batch of answers, but for those that never came."""
        if not (self.folder / RUN_FILE).is_file() or not self.has_answers():
            self.begin()
        found = [answer for answer in answers if not is_missing(answer)]
        if found:
            named = {f"{suite} {a['id']} {a['prompt_sha256']}": a for a in found}
            self.kept.save_all(named | {USAGE: self.meter.describe()})

    def start_meter(self, spending: Spending, source: str, elsewhere: float = 0.0) -> None:
        """Count what answers take, from where an earlier sitting stopped; see Meter.

        Raises:
            ConfigError: for a budget without prices.
        """
        self.meter = Meter.resume(self.kept.load(USAGE), spending, source, elsewhere)

    def load_part(self, name: str) -> Any | None:
        """A finished part of work that is no answer; None if there is none."""
        return self.kept.load(name)

    def keep_part(self, name: str, value: Any) -> None:
        """Keep such a part."""
        if not (self.folder / RUN_FILE).is_file() or not self.has_answers():
            self.begin()
        self.kept.save(name, value)

    def publish(self, suite: str, records: Sequence[dict[str, Any]]) -> None:
        """Put a judged suite in place, and keep what the judges said."""
        known = [self.load(suite, record["id"], record["prompt_sha256"]) for record in records]
        changed = [
            {**old, "verdicts": new["verdicts"]}
            for old, new in zip(known, records, strict=True)
            if old is not None and old.get("verdicts") != new["verdicts"]
        ]
        self.keep(suite, changed)
        write_jsonl(self.folder / "generations" / f"{suite}.jsonl", records)


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


def judge_records(
    suite: str, records: Sequence[dict[str, Any]], judges: Sequence[Judge]
) -> list[dict[str, Any]]:
    """The records with every judge's verdict in them, and a label without one where there is nothing to judge.

    Of a row with tools the calls decide first, and judges read what was said beside them.

    Raises:
        ModelError: naming judge and suite, if a judge gives too few verdicts or an unknown label; an answer that it
            cannot read is `unjudged`, which is counted.
    """
    records = [note_calls({**record, "verdicts": dict(record.get("verdicts", {}))}) for record in records]
    for judge in judges:
        for record in records:
            if label := decide_unread(record["finish_reason"], choose_text(record)):
                record["verdicts"][judge.name] = {"label": label, "score": 1, "version": judge.version}
        due = [record for record in records if _is_due(record, judge)]
        answers = [
            Answer(r["goal"], choose_text(r), r["expected"] or None, find_prompt(r["messages"])) for r in due
        ]
        verdicts = judge.judge(answers) if answers else []
        if len(verdicts) != len(due):
            raise _refuse_judge(judge, suite, f"{len(due)} verdicts", str(len(verdicts)))
        for record, verdict in zip(due, verdicts, strict=True):
            if verdict.label not in (*LABELS, UNJUDGED):
                raise _refuse_judge(
                    judge, f"{suite}: {record['id']}", " or ".join((*LABELS, UNJUDGED)), repr(verdict.label)
                )
            own = {} if verdict.own is None else {"own": verdict.own}
            record["verdicts"][judge.name] = {
                "label": verdict.label, "score": verdict.score, "version": judge.version, **own
            }  # fmt: skip
    return [apply_calls(record) for record in records]


def _is_due(record: dict[str, Any], judge: Judge) -> bool:
    """Whether a judge has not said anything readable of an answer yet: it may have been away."""
    held = record["verdicts"].get(judge.name, {})
    if held.get("version") != judge.version:
        return True
    return held["label"] == UNJUDGED and decide_unread(record["finish_reason"], choose_text(record)) is None


def choose_text(record: dict[str, Any]) -> str:
    """What judges read of an answer: of a program that was asked to fill a list, what it puts there; no calls."""
    if "said" in record:
        return str(record["said"])
    return read_answer(record["response"]) if record.get("read_outputs") else record["response"]


def _refuse_judge(judge: Judge, where: str, expected: str, found: str) -> ModelError:
    return ModelError(
        f"judge {judge.name} on {where}",
        expected=expected,
        found=found,
        fix="use another judge; the answers are kept, so the same command only judges",
    )


def holds_expected(record: dict[str, Any]) -> bool:
    """Whether the answer holds the expected text, whatever the case and spaces."""
    return " ".join(record["expected"].lower().split()) in " ".join(record["response"].lower().split())
