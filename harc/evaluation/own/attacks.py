"""Attacks around a user's own harmful rows: each file and attack make a suite of their own, beside the direct one.

Wording, and what each attack departs from, is that of the suites of those names (docs/attacks.md), on texts that
nothing was chosen on.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.files import sha256_text
from harc.core.finished import describe_work
from harc.evaluation.own.answers import AnswerStore
from harc.evaluation.own.prompts import PromptFile
from harc.evaluation.own.run import describe_row
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import AttackerFile, AttackForms, PrefillSettings
from harc.suites.examiner import Examiner
from harc.suites.pap import TAXONOMY_FILE, choose_techniques, read_taxonomy
from harc.suites.prefill import choose_opening
from harc.suites.records import make_user_turn
from harc.suites.registry import SUITES, run_suite
from harc.suites.rows import wrap_goal

FIXED = tuple(name for name, suite in SUITES.items() if suite.wrap is not None)
"""Attacks whose wording is fixed: deepinception, codeattack, persona."""
WRITTEN = ("pair", "pap")
"""Attacks whose prompts a model writes, named in --attacker-config."""
INSIDE = ("prefill", "suppression")
"""Attacks that need the model itself."""
ATTACKS = (*FIXED, *WRITTEN, *INSIDE)
PART = 8  # goals that an attacker goes after between two saves: what a kill can lose

Asker = Callable[[Any, str, Sequence[dict[str, Any]], Sequence[list[int]], AnswerStore], Any]
"""Answers a suite as `harc.evaluation.own.run.answer_suite` does."""


@dataclass(frozen=True)
class Plan:
    """What attacks add to a run.

    Attributes:
        rows: rows by suite, every file followed by its attacks.
        sources: the attack of every suite that was added.
        remarks: files that no attack applies to.
    """

    rows: dict[str, list[dict[str, Any]]]
    sources: dict[str, str]
    remarks: tuple[str, ...] = ()


def check_attacks(names: Sequence[str], *, files: bool, served: bool, attacker: bool) -> None:
    """Refuse attacks that cannot be made, before anything is loaded.

    Args:
        names: of the attacks.
        files: whether there is a prompt file.
        served: whether the model is behind a server.
        attacker: whether a model that writes prompts is named.

    Raises:
        ConfigError: naming the first that is wrong, and why.
    """
    for name in names:
        if name not in ATTACKS:
            raise _refuse(name, f"one of {', '.join(ATTACKS)}", repr(name), "check the spelling")
        if not files:
            raise _refuse(name, "a prompt file of your own", "shipped suites alone", "add --suite FILE")
        if served and name in INSIDE:
            raise _refuse(name, "a model that is loaded here (--model)", "--endpoint", "leave the attack out")
        if not attacker and name in WRITTEN:
            fix = "name the model that writes the prompts; `harc evaluate --help` shows the file"
            raise _refuse(name, "--attacker-config", "none", fix)
    if attacker and not set(names) & set(WRITTEN):
        raise ConfigError(
            "--attacker-config",
            expected=f"--attack {' or '.join(WRITTEN)}",
            found="none",
            fix="leave it out, or add the attack",
        )


def check_budget(names: Sequence[str], *, budgeted: bool) -> None:
    """Refuse attacks that ask as often as they like where a budget stands.

    Raises:
        ConfigError: naming the attack.
    """
    if budgeted and (asked := [name for name in names if name in WRITTEN]):
        raise _refuse(
            asked[0],
            "no budget",
            "one",
            "leave the attack out, or run it alone without a budget: it is not metered",
        )


def _refuse(name: str, expected: str, found: str, fix: str) -> ConfigError:
    return ConfigError(f"--attack {name}", expected=expected, found=found, fix=fix)


def read_attacker(path: Path | None) -> AttackerFile | None:
    """The file with the attacking model.

    Raises:
        ConfigError: for a missing file, or settings that it does not have.
    """
    from harc.core.yaml_text import read_yaml
    from harc.settings.loading import parse_settings

    return None if path is None else parse_settings(AttackerFile, read_yaml(path), str(path))


def plan_attacks(
    names: Sequence[str],
    files: Mapping[str, PromptFile],
    asked: Mapping[str, list[dict[str, Any]]],
    attacker: AttackerFile | None,
    public_dir: Path,
) -> Plan:
    """The suites of a run with those that attacks add.

    A row is worded by its place among the file's harmful rows, so that `--limit` changes none of the prompts.

    Args:
        names: of the attacks.
        files: prompt files by suite, whole.
        asked: rows by suite that are asked as they are, drawn from the files.
        attacker: where an attack needs one.
        public_dir: folder of public data, with PAP's taxonomy where it is needed.

    Raises:
        ConfigError: if no file has harmful rows, or a suite of that name is there.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    sources: dict[str, str] = {}
    without = []
    for suite, members in asked.items():
        rows[suite] = list(members)
        if suite not in files or not names:
            continue
        drawn = {row["id"] for row in members}
        harmful = [row for row in files[suite].rows if row["kind"] == "harmful" and "tools" not in row]
        if not harmful:
            without.append(suite)
        for name in dict.fromkeys(names if harmful else ()):
            made = f"{suite}_{name}"
            if made in asked:
                raise _refuse(name, "file names that leave room for it", f"a suite {made}", "rename the file")
            worded = make_rows(name, harmful, attacker, public_dir)
            rows[made] = [row | {"suite": made} for row in worded if row["of"] in drawn]
            sources[made] = name
    if names and not sources:
        raise _refuse(
            names[0],
            "harmful rows to attack",
            "none in any file",
            "name the kind of the rows (column kind or expected)",
        )
    return Plan(
        rows, sources, tuple(f"{suite}: no harmful rows without tools, so no attack" for suite in without)
    )


def make_rows(
    name: str, harmful: Sequence[dict[str, Any]], attacker: AttackerFile | None, public_dir: Path
) -> list[dict[str, Any]]:
    """The rows of an attack, each with the id of the row that it is made of as `of`.

    What was decided on the row itself (`decision`) is not known of its attack.
    """
    plain = [
        {column: cell for column, cell in row.items() if column != "decision"}
        | {"id": f"{row['id']} {name}", "of": row["id"], "place": f"{row['place']} ({name})"}
        for row in harmful
    ]
    if name in FIXED:
        return [_word_row(name, row, place) for place, row in enumerate(plain)]
    if name == "prefill":
        openings = PrefillSettings().openings
        return [row | {"opening": openings[choose_opening(row["of"], openings)]} for row in plain]
    if name == "pap":
        assert attacker is not None, "checked by check_attacks"
        techniques = choose_techniques(read_taxonomy(public_dir / TAXONOMY_FILE), attacker.pap)
        return [
            row
            | extra
            | {"id": f"{row['id']} {_name_technique(extra['technique']['name'])}", "form": extra["template"]}
            for row in plain
            for extra in _spread(row, techniques)
        ]
    return plain


def _spread(row: dict[str, Any], techniques: Sequence[Any]) -> list[dict[str, Any]]:
    spread = SUITES["pap"].spread
    assert spread is not None
    return spread(make_user_turn(row["goal"]), techniques)


def _name_technique(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def _word_row(name: str, row: dict[str, Any], place: int) -> dict[str, Any]:
    """A row whose last turn is put into an attack's form; what comes before it stays."""
    *before, last = row["messages"]
    suite = SUITES[name]
    prompt, form = wrap_goal(suite, last["content"], "evaluation", place, AttackForms())
    worded = row | {"messages": [*before, *make_user_turn(prompt)], "form": form}
    return worded | ({"read_outputs": True} if suite.read_outputs else {})


def fetch_taxonomy(names: Sequence[str], public_dir: Path, mirror: Path | None) -> None:
    """Get the file with PAP's techniques where it is needed and not there."""
    if "pap" in names:
        from harc.data.fetch import fetch_datasets

        fetch_datasets(["pap"], public_dir, mirror=mirror)


def add_attacker(settings: EvaluationSettings, attacker: AttackerFile | None) -> EvaluationSettings:
    """The settings of a run with the attacking model in them.

    Raises:
        ConfigError: for a steering judge that is none of the run's.
    """
    if attacker is None:
        return settings
    from harc.settings.loading import parse_settings

    values = settings.model_dump(exclude_unset=True) | {
        "attacker": "endpoint",
        "attacker_endpoint": attacker.endpoint.model_dump(exclude_unset=True),
        "attacker_replies": attacker.replies.model_dump(exclude_unset=True),
        "pair": attacker.pair.model_dump(exclude_unset=True),
    }
    return parse_settings(EvaluationSettings, values, "--attacker-config")


def make_asker(name: str, attacker: AttackerFile, examiner: Examiner) -> Asker:
    """How a suite is asked whose prompts a model writes.

    Kept answers are taken up if goal, attacker and its settings are the same; of PAIR the best query is the answer, and
    all queries stand in the record's `attack`.
    """
    work = describe_work(
        [f"harc.suites.{name}:run"],
        attacker=attacker.endpoint.describe_answers(),
        replies=attacker.replies,
        settings=attacker.pair if name == "pair" else None,
        judges=[judge.version for judge in examiner.judges] if name == "pair" else [],
        seed=attacker.seed,
    )
    made_of = sha256_text(json.dumps(work, sort_keys=True))

    def ask(
        target: Any,
        suite: str,
        rows: Sequence[dict[str, Any]],
        tokens: Sequence[Sequence[int]],
        store: AnswerStore,
    ) -> tuple[list[dict[str, Any]], int]:
        keys = [_name_work(row, made_of) for row in rows]
        known = [store.load(suite, row["id"], key) for row, key in zip(rows, keys, strict=True)]
        due = [place for place, answer in enumerate(known) if answer is None]
        for start in range(0, len(due), PART):
            part = due[start : start + PART]
            plain = [
                rows[place] | {"messages": make_user_turn(rows[place]["goal"]), "expected": None}
                for place in part
            ]
            answers = [
                _describe_written(record, keys[place])
                for place, record in zip(part, run_suite(name, target, plain, examiner), strict=True)
            ]
            store.keep(suite, answers)
            for place, answer in zip(part, answers, strict=True):
                known[place] = answer
        records = []
        for row, held in zip(rows, known, strict=True):
            described = describe_row(row)
            del described["messages"]
            records.append({**(held or {}), **described})
        return records, len(due)

    return ask


def _name_work(row: Mapping[str, Any], made_of: str) -> str:
    """SHA-256 of what a written prompt and its answer come from besides the model under test."""
    return sha256_text(f"{made_of} {json.dumps([row['goal'], row.get('technique')], sort_keys=True)}")


def _describe_written(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What is kept of a record; its prompt's hash is that of what the prompt was made of."""
    names = (
        "id",
        "messages",
        "response",
        "finish_reason",
        "prompt_tokens",
        "response_tokens",
        "attack",
        "verdicts",
    )
    rest = {name: record[name] for name in ("thought", "error") if name in record}
    return {name: record[name] for name in names} | {"prompt_sha256": key} | rest
