"""The prompt files of a run: read once, named apart, and what was left out of them."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from harc.core.csv_files import write_csv
from harc.core.errors import ConfigError
from harc.evaluation.own.prompts import PromptFile, read_prompts

LEFT_OUT_FILE = "left_out.csv"
LEFT_OUT_COLUMNS = ("suite", "row", "column", "expected", "found")


def gather_files(
    names: Sequence[str], taken: Collection[str], *, skip_faulty: bool = False, collapse: bool = False
) -> dict[str, PromptFile]:
    """What prompt files hold, by the names of their suites.

    Args:
        names: paths.
        taken: names that no file may have.
        skip_faulty, collapse: see `read_prompts`.

    Raises:
        ConfigError: for two files of one name, or of a taken one.
        DataError: for a faulty file.
    """
    files: dict[str, PromptFile] = {}
    for name in names:
        file = read_prompts(Path(name), skip_faulty=skip_faulty, collapse=collapse)
        suite = file.rows[0]["suite"]
        if suite in files or suite in taken:
            raise ConfigError(
                f"--suite {name}",
                expected="a file name that no other suite has",
                found=f"a second suite {suite}",
                fix="rename the file",
            )
        files[suite] = file
    return files


def write_left_out(folder: Path, files: Mapping[str, PromptFile]) -> None:
    """Write left_out.csv: every row that was left out, and why; no such file where there is none."""
    rows = [
        {"suite": suite, "row": row.place, "column": row.column, "expected": row.expected, "found": row.found}
        for suite, file in files.items()
        for row in file.faulty
    ]
    if rows:
        write_csv(folder / LEFT_OUT_FILE, LEFT_OUT_COLUMNS, rows)
    else:
        (folder / LEFT_OUT_FILE).unlink(missing_ok=True)
