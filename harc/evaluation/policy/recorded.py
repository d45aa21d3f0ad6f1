"""Decisions that were made elsewhere: the column `decision` of the prompt files, or of a table by id."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harc.core.errors import DataError
from harc.core.files import sha256_file
from harc.evaluation.policy.base import Decision, Item, LayerKind, LayerSettings, read_word, shorten
from harc.evaluation.user_table import read_table


class RecordedSettings(LayerSettings):
    """A layer of kind `recorded`."""

    kind: Literal["recorded"] = Field(description="Decisions made elsewhere.")
    file: Path | None = Field(
        None,
        description="CSV, JSONL, JSON or Parquet file with the columns id and decision, relative to this file; none: "
        "the column decision of the prompt files.",
    )
    block: tuple[str, ...] = Field(
        (), description="Words that mean block beside the usual ones, such as '1'."
    )
    allow: tuple[str, ...] = Field((), description="The same for allow.")


class RecordedLayer:
    """Looks decisions up."""

    at_once = 1000

    def __init__(self, settings: RecordedSettings, name: str, folder: Path) -> None:
        """Read the file, if one is named.

        Raises:
            DataError: for a missing file or column, an id that is there twice, or a word that is no decision.
        """
        self.settings, self.name, self.where = settings, name, settings.where
        self.words = {word.strip().lower(): True for word in settings.block}
        self.words |= {word.strip().lower(): False for word in settings.allow}
        self.path = None if settings.file is None else folder / settings.file
        self.by_id = {} if self.path is None else self._read_file(self.path)

    def _read_file(self, path: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        for place, cells in read_table(path, ("id", "decision")):
            row_id, said = cells["id"].strip(), cells["decision"].strip()
            if not row_id or row_id in found:
                raise DataError(
                    f"{place}: column id",
                    expected="an id, each once",
                    found=repr(row_id)[:60] if row_id else "an empty cell",
                    fix="mend or remove the row",
                )
            self._read(said, place)
            found[row_id] = said
        return found

    def _read(self, said: str, place: str) -> bool | None:
        """The decision of a cell; None of an empty one.

        Raises:
            DataError: for another word.
        """
        if not said.strip():
            return None
        block = self.words.get(said.strip().lower(), read_word(said))
        if block is None:
            raise DataError(
                f"{place}: column decision",
                expected="block or allow, or a synonym",
                found=repr(said[:60]),
                fix=f"name the word under block or allow in the file of layer {self.name}",
            )
        return block

    def describe(self) -> dict[str, Any]:
        """See `Layer.describe`."""
        read = {} if self.path is None else {"sha256": sha256_file(self.path)}
        return self.settings.model_dump(mode="json", exclude={"file"}) | read

    def _find(self, row_id: str, recorded: str) -> str:
        return recorded if self.path is None else self.by_id.get(row_id, "")

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """See `Layer.prepare`."""
        known = 0
        for row in rows:
            place = str(row.get("place", row["id"])).partition(": column")[0]
            known += self._read(self._find(row["id"], row.get("decision", "")), place) is not None
        source = "column decision of the prompt files" if self.path is None else str(self.path)
        if rows and not known:
            raise DataError(
                f"layer {self.name}",
                expected="decisions on the prompts that are asked",
                found=f"none in the {source}" if self.path is None else f"no id of theirs in {source}",
                fix="write them into a column decision"
                if self.path is None
                else "use the ids of the prompt files",
            )
        remarks = []
        if known < len(rows):
            remarks.append(
                f"layer {self.name}: {len(rows) - known} of {len(rows)} prompts have no decision in {source}"
            )
        strange = len(self.by_id.keys() - {row["id"] for row in rows})
        if strange:
            remarks.append(f"layer {self.name}: {strange} ids of {source} are of no prompt that is asked")
        return remarks

    def decide(self, items: Sequence[Item]) -> list[Decision]:
        """See `Layer.decide`."""
        return [self._decide(self._find(item.id, item.recorded)) for item in items]

    def _decide(self, said: str) -> Decision:
        block = self._read(said, f"layer {self.name}")
        return (
            Decision(None, reason="no decision recorded")
            if block is None
            else Decision(block, reason=shorten(said))
        )

    def close(self) -> None:
        """Nothing was started."""


LAYER = LayerKind("recorded", RecordedSettings, RecordedLayer)
