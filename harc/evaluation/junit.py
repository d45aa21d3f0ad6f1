"""A run as JUnit XML, which continuous integration shows: a test case a threshold, and one a suite and category.

The form that Jenkins, GitLab and GitHub's readers share: testsuites > testsuite > testcase > failure, error or skipped.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from harc.core.files import write_bytes
from harc.core.untrusted import escape_lines, replace_surrogates
from harc.evaluation.own.scores import format_rate, name_category
from harc.evaluation.thresholds import Check, Threshold


def write_unfinished(path: Path, thresholds: Sequence[Threshold]) -> None:
    """Put a file in place that says that the run did not end: one of an earlier run would pass for this one's."""
    cases = [
        ("harc.thresholds", threshold.text, "error", "the run did not end", "") for threshold in thresholds
    ]
    _write(path, {"thresholds": cases or [("harc", "run", "error", "the run did not end", "")]})


def write_junit(path: Path, scores: Sequence[Mapping[str, Any]], checks: Sequence[Check]) -> None:
    """Write a finished run.

    Args:
        path: of the file.
        scores: rows of scores.csv.
        checks: of every threshold on every row.
    """
    suites: dict[str, list[tuple[str, str, str, str, str]]] = {}
    if checks:
        suites["thresholds"] = [
            _describe_threshold(text, checks) for text in dict.fromkeys(c.threshold.text for c in checks)
        ]
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in scores:
        groups.setdefault((row["suite"], row["level"], row["category"]), []).append(row)
    for (suite, level, category), rows in groups.items():
        failed = [c.text for c in checks if c.crossed and c.suite == suite and c.category == category]
        lines = "\n".join(f"{row['metric']} by {row['judge']}: {format_rate(row)}" for row in rows)
        state = "failure" if failed else "" if any(row["n"] for row in rows) else "skipped"
        said = "; ".join(failed) if failed else "nothing could be measured"
        suites.setdefault(suite, []).append(
            (f"harc.{suite}", name_category(level, category), state, said, lines)
        )
    _write(path, suites)


def _describe_threshold(text: str, checks: Sequence[Check]) -> tuple[str, str, str, str, str]:
    own = [check for check in checks if check.threshold.text == text]
    crossed = [check.text for check in own if check.crossed]
    return (
        "harc.thresholds",
        text,
        "failure" if crossed else "",
        "; ".join(crossed),
        "\n".join(c.text for c in own),
    )


def _write(path: Path, suites: Mapping[str, Sequence[tuple[str, str, str, str, str]]]) -> None:
    root = ElementTree.Element("testsuites", name="harc evaluate")
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for name, cases in suites.items():
        states = [state for _, _, state, _, _ in cases]
        counts = {
            "tests": len(cases), "failures": states.count("failure"), "errors": states.count("error"),
            "skipped": states.count("skipped"),
        }  # fmt: skip
        element = ElementTree.SubElement(root, "testsuite", name=clean(name), time="0")
        for key, value in counts.items():
            element.set(key, str(value))
            totals[key] += value
        for place, case, state, message, output in cases:
            test = ElementTree.SubElement(
                element, "testcase", classname=clean(place), name=clean(case), time="0"
            )
            if state:
                told = ElementTree.SubElement(test, state, message=clean(message))
                if state != "skipped":
                    told.set("type", "threshold" if state == "failure" else "run")
                    told.text = clean(output or message)
            if output:
                ElementTree.SubElement(test, "system-out").text = clean(output)
    for key, value in totals.items():
        root.set(key, str(value))
    ElementTree.indent(root)
    write_bytes(path, ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def clean(text: str) -> str:
    """Text that XML 1.0 can hold: controls and lone surrogates shown, line breaks kept."""
    return escape_lines(replace_surrogates(text))
