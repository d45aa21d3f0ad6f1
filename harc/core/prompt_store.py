"""Records of a suite that is under way: appended as they come, so that a kill loses only the prompts in flight."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from harc.core.terminal import track
from harc.core.untrusted import parse_json


class PromptStore:
    """One file of records, one line each; a line that a kill cut short counts as not written."""

    def __init__(self, path: Path) -> None:
        """Keep records in `path`."""
        self.path = path

    def load(self) -> dict[str, dict]:
        """Whole records by row id."""
        if not self.path.is_file():
            return {}
        found = {}
        for line in self.path.read_bytes().split(b"\n"):
            try:
                record = parse_json(line.decode())
            except ValueError:  # the cut line, or one that a cut line ran into
                continue
            if isinstance(record, dict) and "id" in record:
                found[record["id"]] = record
        return found

    def append(self, records: Sequence[dict]) -> None:
        """Put records on disk; they are there when this returns."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(
            json.dumps(record, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
            for record in records
        )
        with open(self.path, "ab") as handle:
            # A line that was cut short must not swallow the next one.
            handle.write((("\n" if handle.tell() else "") + lines).encode())
            handle.flush()
            os.fsync(handle.fileno())

    def remove(self) -> None:
        """Drop the file, once the suite is kept whole."""
        self.path.unlink(missing_ok=True)


def run_in_parts(
    rows: Sequence[dict],
    run: Callable[[Sequence[dict]], list[dict]],
    store: PromptStore,
    size: int | None,
) -> list[dict]:
    """Records of all rows, in order: those that are kept, and the others run `size` at a time.

    Args:
        rows: of one suite.
        run: gives one record per row, which depend on the row alone.
        store: where records are kept meanwhile.
        size: rows at a time; None runs all at once and keeps nothing meanwhile.
    """
    if size is None:
        return run(rows)
    done = store.load()
    left = [row for row in rows if row["id"] not in done]
    with track(len(left), "prompts") as bar:
        for start in range(0, len(left), size):
            part = left[start : start + size]
            records = run(part)
            store.append(records)
            done |= {record["id"]: record for record in records}
            bar.advance(len(part))
    return [done[row["id"]] for row in rows]
