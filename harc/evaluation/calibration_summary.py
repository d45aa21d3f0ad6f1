"""The calibration in a few lines of Markdown: docs/evaluation.md holds them, `harc judges calibrate` prints them."""

from collections.abc import Sequence

SUMMARISED = ("refusal_rules", "string_xstest", "string_jailbreakbench")
HEADER = (
    "| answers of | prompts | n | judge | refused by people | refused by the judge | difference | agreement | kappa |",
    "|---|---|---|---|---|---|---|---|---|",
)


def summarise_calibration(rows: Sequence[dict]) -> list[str]:
    """Lines of a table: the deciding judge and string judges against people, partial refusals counted as refusals.

    Args:
        rows: of over_refusal.csv, numbers as numbers or as text.
    """
    lines = list(HEADER)
    for row in rows:
        if row["judge_name"] in SUMMARISED:
            seen = " (developed on)" if row["developed_on"] == "yes" else ""
            figures = ("difference_any", "agreement_any", "kappa_any")
            cells = [
                row["completion_model"], row["prompts"], row["n"], f"`{row['judge_name']}`{seen}",
                _number(row["human_any"]), _number(row["judge"]), *(_with_interval(row, name) for name in figures),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _with_interval(row: dict, name: str) -> str:
    return f"{_number(row[name])} [{_number(row[f'{name}_low'])}, {_number(row[f'{name}_high'])}]"


def _number(value: str | float) -> str:
    return f"{float(value):.3f}".replace("-0.000", "0.000") if value != "" else "-"
