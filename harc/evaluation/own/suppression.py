"""Attack `suppression` on a user's rows: the model's own direction of refusal is read and taken out while it answers.

The direction is read on one half of the prompts of all files and taken out for the other half, and the other way round,
so that no prompt is asked under a direction that was read on it. Depth is chosen on the half that the direction is read
on, as in step `suppress_refusal` (harc.evaluation.suppression).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.core.errors import DataError
from harc.core.files import sha256_text
from harc.core.finished import KeyedStore, identify_work
from harc.evaluation.own.answers import AnswerStore
from harc.evaluation.own.run import answer_suite
from harc.evaluation.own.turns import describe_turns
from harc.evaluation.suppression import Suppression, choose_prompts, search_depth
from harc.geometry.extraction import extract_directions
from harc.geometry.removal import Sources, plan_removal, read_contrast
from harc.model.intervention import intervene
from harc.settings.directions import DirectionSettings
from harc.settings.suppression import Condition, StabilityBars, SuppressionSettings
from harc.suites.examiner import Examiner

LEAST, MOST = 16, 128
"""Prompts of each kind that a half needs, and most that are read of it, as many of both; own choice: a difference of
means of fewer is noise."""
KINDS = ("harmful", "benign")
HALVES = (0, 1)


def choose_half(row: Mapping[str, Any]) -> int:
    """The half that a row lies in: by a hash of its words, so that a prompt that is there twice lies in one."""
    return int(sha256_text(describe_turns(row["messages"]))[0], 16) % 2


def split_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, list[dict[str, Any]]]]:
    """Rows by kind of each half, every prompt once: what directions are read on.

    Raises:
        DataError: for a half with fewer than LEAST prompts of a kind.
    """
    distinct = {describe_turns(row["messages"]): row for row in reversed(rows)}
    halves = [
        {
            kind: [row for row in distinct.values() if row["kind"] == kind and choose_half(row) == half]
            for kind in KINDS
        }
        for half in HALVES
    ]
    fewest, kind = min((len(half[kind]), kind) for half in halves for kind in half)
    if fewest < LEAST:
        raise DataError(
            "--attack suppression",
            expected=f"at least {LEAST} different harmful and {LEAST} benign prompts in each of two halves, to read "
            "the direction of refusal on",
            found=f"{fewest} {kind} ones in one half",
            fix=f"add rows (about {3 * LEAST} of each kind are enough), or leave the attack out",
        )
    return halves


class _Kept(KeyedStore):
    """Finished parts of the search for a depth, under a name of their own among the run's answers."""

    def __init__(self, store: AnswerStore, prefix: str) -> None:
        super().__init__(store.kept.path, {})
        self.store, self.prefix = store, prefix

    def load(self, name: str) -> Any:
        """The part of that name; None if there is none."""
        return self.store.load_part(f"{self.prefix} {name}")

    def save(self, name: str, value: Any) -> None:
        """Keep a part."""
        self.store.keep_part(f"{self.prefix} {name}", value)


class SuppressionAsker:
    """Asks attacked rows.

    Attributes:
        remarks: what was taken out, and whether it told harmful from benign prompts.
    """

    def __init__(self, rows: Sequence[dict[str, Any]], examiner: Examiner) -> None:
        """Split the prompts.

        Args:
            rows: all rows of all files.
            examiner: who judges while a depth is searched.

        Raises:
            DataError: for too few rows.
        """
        self.examiner = examiner
        self.halves = split_rows(rows)
        self.remarks: list[str] = []

    def __call__(
        self,
        target: Any,
        suite: str,
        rows: Sequence[dict[str, Any]],
        tokens: Sequence[Sequence[int]],
        store: AnswerStore,
    ) -> tuple[list[dict[str, Any]], int]:
        """Records of the suite, in order, and how many prompts were answered now; see `answer_suite`."""
        records: dict[int, dict[str, Any]] = {}
        asked = 0
        for half in HALVES:
            places = [place for place, row in enumerate(rows) if choose_half(row) == half]
            if not places:
                continue
            removed, digest = self._find_removal(target, suite, 1 - half, store)
            own = [rows[place] | {"removal": digest} for place in places]
            with intervene(target.backbone, removed):
                found, count = answer_suite(target, suite, own, [tokens[place] for place in places], store)
            records |= dict(zip(places, found, strict=True))
            asked += count
        return [records[place] for place in range(len(rows))], asked

    def _find_removal(self, target: Any, suite: str, half: int, store: AnswerStore) -> tuple[Any, str]:
        """What is taken out, read on one half, and the hash of all that it comes from."""
        count = min(MOST, *(len(self.halves[half][kind]) for kind in KINDS))
        harmful, benign = (
            [row["messages"][-1]["content"] for row in choose_prompts(self.halves[half][kind], count)]
            for kind in KINDS
        )
        settings, reading = SuppressionSettings(), DirectionSettings(bootstrap_resamples=0)
        digest = identify_work(
            ["harc.evaluation.own.suppression:SuppressionAsker"],
            prompts=[sha256_text(text) for side in (harmful, benign) for text in side],
            search=settings.search,
            judges=[judge.version for judge in self.examiner.judges],
        )
        own = extract_directions(target.backbone, harmful, benign, None, reading)
        subject = Suppression(
            target=target,
            examiner=self.examiner,
            rows={},
            search_rows=[
                row | {"messages": [row["messages"][-1]], "expected": row["expected"] or None}
                for row in self.halves[half]["harmful"]
            ],
            prompts=(harmful, benign),
            own=own,
            base=own,
            settings=settings,
            reading=reading,
            store=_Kept(store, digest),
        )
        slot = search_depth(subject)["slot"]
        contrast = read_contrast(target.backbone, harmful, benign, reading)
        self._remark(suite, half, slot, target.backbone.n_layers, contrast.measure_separation(slot))
        sources = Sources({"own": own}, slot, 0, contrast.harmless.mean(0))
        return plan_removal(Condition(), sources), digest

    def _remark(self, suite: str, half: int, slot: int, layers: int, separation: float) -> None:
        least = StabilityBars().least_separation
        line = (
            f"{suite}: direction of refusal of slot {slot} of {layers}, read on half {half + 1} of the prompts, "
            f"tells harmful from benign prompts with an area under the curve of {separation:.2f}"
        )
        if separation < least:
            line = f"WARNING: {line}, below {least}: taking it out says little about refusal"
        self.remarks.append(line)
