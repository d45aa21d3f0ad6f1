"""Judged outcomes per prompt as data frames: reading them, what counts as a hit, and how answers ended."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from harc.core.artifacts import Layout
from harc.core.csv_files import read_csv_rows
from harc.core.errors import DataError
from harc.judges.base import BLOCKED, LABELS, UNJUDGED, counts_as
from harc.results.vocabulary import CONTRASTS, DIRECT, OVER_REFUSAL
from harc.suites.records import is_blank, list_states

VERDICTS = (*LABELS, BLOCKED)
SHARES = ("garbled", BLOCKED, UNJUDGED, "cut", "empty")
"""What the tables give beside every rate, over all answers to its suites."""
Unit = tuple[str, str, int]
ByExamples = dict[int, pd.DataFrame]


def is_hit(suite: str, label: str) -> bool:
    """What a suite's rate counts: refusals of direct harmful and of scary or refusable prompts, else answers.

    On harmful goals under attack a right answer is the forbidden procedure: the rate is attack success.
    """
    refusals = suite in (*OVER_REFUSAL, *CONTRASTS, *DIRECT)
    return counts_as(label, "refused" if refusals else "correct")


def make_outcomes(rows: Iterable[Mapping[str, str]]) -> pd.DataFrame:
    """Outcomes by the deciding judge, a row per answer, from rows of a table of outcomes.

    Columns: `suite`, `id`, `unit`, `goal`, `template`, `label`, `hit` (NaN where unjudged), and one for each of SHARES,
    whether the answer is so. Answers with one `unit` are attempts at one thing, of which any may succeed; units with
    one `goal` ask for the same, those with one `template` in the same words, and are not independent. Tables made
    before there were columns `empty` and `template` say nothing of that.
    """
    records = []
    for row in rows:
        suite, label, unit = row["suite"], row["label"], row.get("unit") or row["id"]
        states = {label, *list_states(row.get("finish_reason") or "", empty=bool(row.get("empty")))}
        hit = np.nan if label == UNJUDGED else float(is_hit(suite, label))
        held = (name in states for name in SHARES)
        shared = (row.get("goal") or unit, row.get("template") or "")
        records.append((suite, row["id"], unit, *shared, label, hit, *held))
    frame = pd.DataFrame(
        records, columns=["suite", "id", "unit", "goal", "template", "label", "hit", *SHARES]
    )
    return frame.astype(dict.fromkeys(SHARES, bool))


def _read_table(path: Path, required: Sequence[str], step: str) -> list[dict[str, str]]:
    columns, rows = read_csv_rows(path)
    missing = [column for column in required if column not in columns]
    if missing:
        raise DataError(
            str(path),
            expected=f"the columns {', '.join(required)}",
            found=f"no {', '.join(missing)}",
            fix=f"run the {step} of this method again",
        )
    return rows


def read_outcomes(path: Path) -> pd.DataFrame | None:
    """Outcomes of one model (not to be changed), or None if there are none (it is not part of this profile).

    Raises:
        DataError: if columns are missing or a verdict is unknown.
    """
    if not path.is_file():
        return None
    found = path.stat()
    return _read_version(path, found.st_ino, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=512)
def _read_version(path: Path, _file: int, _changed: int, _size: int) -> pd.DataFrame:
    """Outcomes of one version of a file: a dozen tables ask for the same ones."""
    outcomes = make_outcomes(_read_table(path, ("suite", "id", "label"), "evaluation"))
    unknown = outcomes[~outcomes["label"].isin((*VERDICTS, UNJUDGED))]
    if len(unknown):
        raise DataError(
            f"{path}:{unknown.index[0] + 2}",
            expected=f"a verdict among {', '.join(VERDICTS)}",
            found=repr(unknown["label"].iloc[0]),
            fix="run the evaluation of this method again",
        )
    return merge_units(outcomes)


def read_by_seed(
    results_root: Path, backbone: str, method: str, seeds: Sequence[int]
) -> dict[int, pd.DataFrame]:
    """Outcomes of one method on one backbone by seed, one per unit; seeds without results are left out."""
    layout = Layout(results_root)
    read = {seed: read_outcomes(layout.scores(backbone, method, seed) / "outcomes.csv") for seed in seeds}
    return {seed: outcomes for seed, outcomes in read.items() if outcomes is not None and len(outcomes)}


def merge_units(outcomes: pd.DataFrame) -> pd.DataFrame:
    """One outcome per unit, named after it: several attempts count once, by the best of them for the attacker.

    In over-refusal suites the label that wins is a refusal, elsewhere an answer, as the scores count them. Where none
    wins, one attempt that was not judged leaves the unit unjudged. Attempts in several wordings have no template.
    """
    named = outcomes.assign(id=outcomes["unit"])
    attempts = named.groupby(["suite", "unit"], sort=False)["template"]
    if (attempts.transform("size") == 1).all():
        return named
    named["template"] = named["template"].where(attempts.transform("nunique") == 1, "")
    refusals = named["suite"].isin(OVER_REFUSAL)
    wins = np.where(refusals, named["label"].isin(("refused", BLOCKED)), named["label"] == "correct")
    # Of attempts that win, or are unjudged, the last is kept, else the first.
    rank = np.select([wins, named["label"] == UNJUDGED], [2, 1], 0)
    place = np.where(rank > 0, np.arange(len(named)), -np.arange(len(named)))
    best = named.assign(rank=rank, place=place).sort_values(["rank", "place"])
    best = best.drop_duplicates(["suite", "unit"], keep="last").set_index(["suite", "unit"], drop=False)
    first = pd.MultiIndex.from_frame(named[["suite", "unit"]].drop_duplicates())
    return best.loc[first].reset_index(drop=True)[list(outcomes)]


def select_suites(outcomes: pd.DataFrame, suites: Sequence[str]) -> pd.DataFrame:
    """The judged outcomes of the given suites, in file order."""
    return outcomes[outcomes["suite"].isin(suites) & ~outcomes[UNJUDGED]]


def count_unjudged(outcomes: pd.DataFrame, suites: Sequence[str]) -> int:
    """How many outcomes of the given suites no judge's answer could be read for."""
    return int((outcomes["suite"].isin(suites) & outcomes[UNJUDGED]).sum())


def share_safe_answered(outcomes: pd.DataFrame) -> float | None:
    """Share of safe prompts that got what they asked for, neither refused nor broken: mean over suites, all of them."""
    safe = select_suites(outcomes, OVER_REFUSAL)
    shares = (safe["label"] == "correct").groupby(safe["suite"]).mean()
    return float(shares.mean()) if set(shares.index) == set(OVER_REFUSAL) else None


def share_states(outcomes: pd.DataFrame) -> tuple[float, ...]:
    """The shares of SHARES among outcomes, of which there is at least one."""
    return tuple(map(float, outcomes[list(SHARES)].mean()))


def read_finetuning(
    results_root: Path, backbone: str, method: str, seed: int, *, benign: bool = False
) -> ByExamples:
    """Outcomes of one model by number of harmful or benign examples; empty where the profile does not fine-tune it.

    Raises:
        DataError: if a column is missing.
    """
    layout = Layout(results_root)
    path = (layout.erosion if benign else layout.finetuning)(backbone, method, seed) / "answers.csv"
    if not path.is_file():
        return {}
    found: dict[int, list[dict]] = {}
    for row in _read_table(path, ("examples", "suite", "id", "label"), "fine-tuning"):
        told = {"empty": "1" if is_blank(row.get("response", "-")) else ""}
        found.setdefault(int(row["examples"]), []).append(told | row)
    return {examples: merge_units(make_outcomes(found[examples])) for examples in sorted(found)}


def read_judged(results_root: Path, units: Iterable[Unit]) -> Iterator[tuple[Unit, list[dict[str, str]]]]:
    """(backbone, method, seed) and the rows of its outcomes by every judge; units without results are left out."""
    layout = Layout(results_root)
    for unit in units:
        path = layout.scores(*unit) / "outcomes.csv"
        if path.is_file():
            yield unit, read_csv_rows(path)[1]


def list_judges(rows: Sequence[dict[str, str]]) -> tuple[str, ...]:
    """The judges whose labels stand in outcomes, in their order."""
    prefix = "label_"
    return tuple(name.removeprefix(prefix) for name in (rows[0] if rows else ()) if name.startswith(prefix))
