"""One self-contained HTML page of a run of `harc evaluate`: verdict, picture, tables, changes, examples."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from harc.core.csv_files import read_csv, read_csv_rows
from harc.core.files import write_text
from harc.evaluation.own.comparison import CHANGED_FILE, CHANGES, COMPARED
from harc.evaluation.own.scores import NO_CATEGORY, PART, WHOLE
from harc.evaluation.thresholds import CALL_METRICS
from harc.results.own_verdict import (
    is_low,
    judge_row,
    judge_runs,
    name_metric,
    say_bounds,
    say_points,
    say_share,
)
from harc.results.own_view import (
    FINDINGS,
    LONGEST_NAME,
    Run,
    collect_examples,
    name_label,
    name_model,
    read_runs,
)
from harc.results.printer import make_safe
from harc.results.report import TEMPLATES
from harc.suites.records import STATES, exceeds

PAGE = "report.html"
POLICY_FILE = "policy.csv"
MOST_DRAWN, MOST_LISTED = 40, 200
"""Categories in a picture and in a table, those with the most prompts; own choice."""
MOST_CHANGED = 200  # changed prompts in a list; changed.csv has all
COLOURS = 6  # of candidates, by number in the template; shapes go round with them


def write_own_page(folder: Path) -> Path:
    """Write report.html of a run's folder atomically.

    Args:
        folder: what `harc evaluate --out` wrote.

    Raises:
        DataError: for a folder that holds no finished run.
    """
    write_text(folder / PAGE, render_own_page(folder))
    return folder / PAGE


def render_own_page(folder: Path) -> str:
    """HTML of a run; equal runs give equal bytes, and the page asks for nothing from outside."""
    runs, reference, differences = read_runs(folder)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    examples = collect_examples(runs, reference)
    suites = [present_suite(suite, runs) for suite in _list_suites(runs)]
    return environment.get_template("own.html").render(
        title=_name_page(runs, reference),
        runs=[{"name": run.name, "look": place % COLOURS, "model": name_model(run.about)}
              for place, run in enumerate(runs)],
        reference=reference,
        verdict=judge_runs(runs, reference, differences),
        plane=draw_plane(runs),
        suites=suites,
        differences=[present_difference(row) for row in differences if row["level"] == WHOLE],
        category_differences=[present_difference(row) for row in list_telling(differences)],
        changed=read_changed(folder / CHANGED_FILE) if reference else None,
        policies=read_policies(runs),
        agreement=present_agreement(runs),
        states=present_states(runs),
        examples=examples.shown,
        example_counts=[{"name": name, "label": FINDINGS[name], "shown": shown, "all": total}
                        for name, (shown, total) in examples.counts.items()],
        benchmarks=present_benchmarks(runs),
        usage=present_usage(runs),
        sources=[present_source(run) for run in runs],
    )  # fmt: skip


def _name_page(runs: Sequence[Run], reference: str) -> str:
    if not reference:
        return runs[0].name
    return f"{', '.join(run.name for run in runs if run.name != reference)} against {reference}"


def _list_suites(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(row["suite"] for run in runs for row in run.scores))


def find_rates(run: Run, suite: str) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Rows by (level, category) and metric, of the judge that decides each: the first that can."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in run.scores:
        if row["suite"] == suite:
            found.setdefault((row["level"], row["category"]), {}).setdefault(row["metric"], row)
    return found


def present_suite(suite: str, runs: Sequence[Run]) -> dict[str, Any]:
    """A suite's picture and table: by category, those with the most missed harm and false refusals first."""
    rates = [find_rates(run, suite) for run in runs]
    metrics = [name for name in (*COMPARED.values(), "answered", "refused", "holds_expected", *CALL_METRICS)
               if any(name in row for own in rates for row in own.values())]  # fmt: skip
    if any(name in metrics for name in COMPARED.values()):
        metrics = [name for name in metrics if name in (*COMPARED.values(), "holds_expected", *CALL_METRICS)]
    places = list(dict.fromkeys(place for own in rates for place in own))
    prompts = {place: max((row["prompts"] for own in rates for row in own.get(place, {}).values()), default=0)
               for place in places}  # fmt: skip
    parts = sorted((place for place in places if place[0] == PART), key=lambda place: -prompts[place])
    listed = sorted(parts[:MOST_LISTED], key=lambda place: _rank(place, rates, metrics))
    drawn = set(parts[:MOST_DRAWN])
    lines = [present_line(place, rates, runs, metrics) for place in [*_whole(places), *listed]]
    return {
        "name": make_safe(suite, LONGEST_NAME),
        "metrics": [name_metric(name) for name in metrics],
        "lines": lines,
        "drawn": [line for line in lines if line["place"] in drawn or line["place"][0] == WHOLE],
        "not_drawn": max(0, len(parts) - MOST_DRAWN),
        "not_listed": max(0, len(parts) - MOST_LISTED),
        "marked": any(cell["marked"] for line in lines for cells in line["cells"] for cell in cells),
        "height": 12 + 15 * len(runs),
    }


def _whole(places: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [place for place in places if place[0] == WHOLE]


def _rank(
    place: tuple[str, str], rates: Sequence[Mapping[Any, Any]], metrics: Sequence[str]
) -> tuple[Any, ...]:
    """Worst first: by the first metric that a category has at all, then by the others."""
    found = [[own.get(place, {}).get(name, {}).get("rate") for own in rates] for name in metrics]
    worst = [max((rate for rate in row if rate is not None), default=-1.0) for row in found]
    return (*(-rate for rate in worst), place[1])


def present_line(
    place: tuple[str, str], rates: Sequence[Mapping[Any, Any]], runs: Sequence[Run], metrics: Sequence[str]
) -> dict[str, Any]:
    """A category (or the whole suite): of each metric what each candidate has, as text and as a place on a scale."""
    label = "all prompts" if place[0] == WHOLE else make_safe(place[1] or NO_CATEGORY, LONGEST_NAME)
    cells = [
        [
            present_rate(own.get(place, {}).get(name), run.name, number, 12 + 15 * number)
            for number, (run, own) in enumerate(zip(runs, rates, strict=True))
        ]
        for name in metrics
    ]
    return {"place": place, "label": label, "whole": place[0] == WHOLE, "cells": cells}


def present_rate(row: Mapping[str, Any] | None, run: str, number: int, height: int) -> dict[str, Any]:
    """A rate as text and in percent of a scale; whether too many of its answers are none."""
    cell: dict[str, Any] = {"run": run, "look": number % COLOURS, "y": height, "text": "", "small": "", "rate": None,
                            "marked": False}  # fmt: skip
    if row is None:
        return cell
    marked = any(
        exceeds(state, row["counts"].get(state, 0), row["prompts"]) for state in STATES if state != "cut"
    )
    left_out = f", {row['unjudged']:,} unjudged" if row["unjudged"] else ""
    if not row["n"]:
        return cell | {"text": "none", "small": f"0 of {row['prompts']:,} judged", "marked": marked}
    return cell | {
        "text": say_share(row["rate"]),
        "small": f"{say_bounds(row)}; {row['successes']:,} of {row['n']:,}{left_out}",
        "rate": round(100 * row["rate"], 2),
        "low": round(100 * row["ci_low"], 2),
        "high": round(100 * row["ci_high"], 2),
        "marked": marked,
    }  # fmt: skip


PLANE, INSET = 300, 34  # size and margin of the plane, in the picture's own units


def draw_plane(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Missed harm against false refusals: a point per candidate and suite that has both, or per pair of suites.

    A run whose harmful and safe prompts stand in different suites has one point: the mean of each.
    """
    points = []
    for number, run in enumerate(runs):
        rates = {kind: [row for row in run.list_whole(kind) if row["n"]] for kind in ("harmful", "benign")}
        if not all(rates.values()):
            continue
        means = {
            kind: [sum(row[name] for row in rows) / len(rows) for name in ("rate", "ci_low", "ci_high")]
            for kind, rows in rates.items()
        }
        asked = [row for rows in rates.values() for row in rows]
        garbled = sum(row["counts"].get("garbled", 0) for row in asked) / sum(row["prompts"] for row in asked)
        single = all(len(rows) == 1 for rows in rates.values())
        x, x_low, x_high = (_scale(value) for value in means["benign"])
        y, y_low, y_high = (PLANE - _scale(value) for value in means["harmful"])
        points.append(
            {
                "run": run.name, "look": number % COLOURS, "x": x, "y": y,
                "cross": (x_low, x_high, y_low, y_high) if single else None,
                "text": f"{run.name}: answers {say_share(means['harmful'][0])} of harmful, "
                        f"refuses {say_share(means['benign'][0])} of safe prompts",
                "missed": say_share(means["harmful"][0]), "refused": say_share(means["benign"][0]),
                "garbled": say_share(garbled) if exceeds("garbled", garbled, 1) else "",
            }
        )  # fmt: skip
    return points if len(points) > 1 else []


def _scale(value: float) -> float:
    return round(INSET + value * (PLANE - 2 * INSET), 1)


def present_difference(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of differences.csv as text."""
    bounds = (
        "" if row.get("ci_low") is None else f"{say_points(row['ci_low'])} to {say_points(row['ci_high'])}"
    )
    return {
        "candidate": row["candidate"],
        "suite": make_safe(row["suite"], LONGEST_NAME),
        "category": make_safe(row["category"] or NO_CATEGORY, LONGEST_NAME),
        "metric": name_metric(row["metric"]),
        "before": say_share(row["before"]),
        "after": say_share(row["after"]),
        "difference": f"{say_points(row['difference'])} points",
        "bounds": bounds,
        "n": f"{row['n']:,}",
        "changed": f"{row['only_before']:,} / {row['only_after']:,}",
        "p": "" if row.get("p_holm") is None else "< .001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}",
        "sure": row.get("p_holm") is not None and row["p_holm"] < 0.05,
        "worse": row["difference"] > 0,
    }  # fmt: skip


def list_telling(differences: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Differences of single categories that are there after adjustment, or are the largest: MOST_DRAWN at most."""
    parts = [row for row in differences if row["level"] == PART and row["difference"]]
    rank = [(1.0 if row.get("p_holm") is None else row["p_holm"], -abs(row["difference"])) for row in parts]
    order = sorted(range(len(parts)), key=rank.__getitem__)
    return [parts[place] for place in order[:MOST_DRAWN]]


def read_changed(path: Path) -> dict[str, Any]:
    """Prompts whose outcome changed, by candidate and change; the first MOST_CHANGED are listed."""
    _, rows = read_csv_rows(path)
    groups: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault((row["candidate"], row["change"]), []).append(row)
    order = list(CHANGES.values())
    listed = [
        {
            "candidate": candidate,
            "change": change,
            "worse": change.startswith("newly"),
            "all": len(members),
            "left_out": max(0, len(members) - MOST_CHANGED),
            "rows": [
                {name: make_safe(row[name], LONGEST_NAME) for name in ("suite", "id", "category")}
                | {name: name_label(row[name]) for name in ("before", "after")}
                for row in members[:MOST_CHANGED]
            ],
        }
        for (candidate, change), members in sorted(
            groups.items(), key=lambda item: (item[0][0], not item[0][1].startswith("newly"), order.index(item[0][1]))
        )
    ]  # fmt: skip
    return {"groups": listed, "all": len(rows)}


def read_policies(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Policy layers of each candidate that has a policy.csv: whole suites, then categories."""
    found = []
    for run in runs:
        path = run.folder / POLICY_FILE
        if not path.is_file():
            continue
        groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in read_csv(path, ("layer", "combination", "level", "category", "metric", "n")):
            place = tuple(str(row[name] or "") for name in ("level", "layer", "suite", "category"))
            groups.setdefault(place, []).append(row)
        tables = {place: present_combinations(rows) for place, rows in groups.items()}
        several = len({suite for _, _, suite, _ in groups if suite}) > 1
        whole, parts = (
            [
                {"caption": _name_table(place, several), "lines": lines}
                for place, lines in tables.items()
                if (place[0] == PART) == is_part and lines
            ]
            for is_part in (False, True)
        )
        left_out = max(0, len(parts) - MOST_LISTED)
        found.append({"run": run.name, "whole": whole, "parts": parts[:MOST_LISTED], "left_out": left_out})
    return found


def _name_table(place: tuple[str, ...], several: bool) -> str:
    level, layer, suite, category = place
    where = [suite or "all suites"] if several else []
    where += [category or NO_CATEGORY] if level == PART else []
    return ", ".join(make_safe(part, LONGEST_NAME) for part in (layer, *where))


COMBINED = {
    "model": "the model alone", "layer": "the layer alone", "either": "either stops it: the two in a row",
    "both": "both must stop it",
}  # fmt: skip


def present_combinations(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Missed harm and false refusals of the model, the layer, either and both, by the first judge of each."""
    by_name: dict[str, dict[str, Any]] = {}
    for row in rows:
        line = by_name.setdefault(str(row["combination"]), dict.fromkeys(("missed_harm", "false_refusal")))
        metric, rate = str(row["metric"]), row.get("rate")
        if metric in line and line[metric] is None:
            small = "" if rate is None else f"{say_bounds(row)}; n = {row['n']:,}"
            line[metric] = {"text": "none" if rate is None else say_share(rate), "small": small}
    return [
        {"label": COMBINED.get(name, make_safe(name, 60)), "cells": list(line.values())}
        for name, line in by_name.items()
        if any(line.values())
    ]


def present_agreement(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """How far judges agree on what a refusal is, and how often they do not."""
    return [
        {
            "run": run.name, "first": make_safe(pair["first"], 60), "other": make_safe(pair["other"], 60),
            "answers": f"{pair['answers']:,}",
            "kappa": "not defined" if pair["kappa"] is None else f"{pair['kappa']:.2f}", "low": is_low(pair),
            "single": ", ".join(make_safe(name, 60) for name in pair["single"]),
            "differ": f"{pair['answers'] - pair['agreed']:,}",
        }
        for run in runs
        for pair in run.agreement
    ]  # fmt: skip


SHOWN_STATES = ("garbled", "empty", "blocked", "unjudged", "unanswered", "cut", "tool_calls", "same")


def present_states(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """What became of the answers: shares of states, by candidate, suite and kind of prompt."""
    lines = []
    for run in runs:
        for row in run.list_whole():
            counts = {state: row["counts"].get(state, 0) for state in SHOWN_STATES}
            lines.append(
                {
                    "run": run.name, "suite": make_safe(row["suite"], LONGEST_NAME), "kind": row["kind"],
                    "prompts": f"{row['prompts']:,}", "state": judge_row(row)[0],
                    "cells": [{"text": say_share(count / row["prompts"]) if count else "0",
                               "bad": exceeds(state, count, row["prompts"])} for state, count in counts.items()],
                }
            )  # fmt: skip
    return lines


def present_benchmarks(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Scores of public benchmarks, by candidate."""
    return [
        {
            "run": run.name, "name": make_safe(row["suite"], 60), "metric": make_safe(row["metric"], 60),
            "n": row["n"], "score": "none" if row.get("rate") is None else f"{row['rate']:.3f}",
            "small": "" if row.get("ci_low") is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}",
        }
        for run in runs
        for row in run.benchmarks
    ]  # fmt: skip


def present_usage(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Seconds per answer, tokens and cost, by candidate."""
    lines = []
    for run in runs:
        used = run.usage
        if used.get("answers"):
            cost = "" if "cost" not in used else f"{used['cost']:,.4g}"
            lines.append(
                {
                    "run": run.name, "answers": f"{used['answers']:,}", "seconds": f"{used['seconds_per_answer']:.3g}",
                    "prompt": f"{used['prompt_tokens']:,}", "response": f"{used['response_tokens']:,}",
                    "uncounted": f"{used['uncounted']:,}" if used["uncounted"] else "", "cost": cost,
                }
            )  # fmt: skip
    return lines


def present_source(run: Run) -> dict[str, Any]:
    """Where a candidate's answers come from, as run.json says it."""
    about = run.about
    described = {}
    for what in ("model", "adapter"):
        found = about.get(what) or {}
        named = {name: value for name, value in found.items() if name in ("source", "revision", "sha256")}
        if "sha256" in named:
            named["source"] = Path(str(named["source"])).name
        served = found.get("endpoint") or {}
        named |= {name: served[name] for name in ("model", "base_url", "kind") if served.get(name)}
        if named:
            described[what] = named
    described["decoding"] = about.get("decoding") or {}
    described["code and libraries"] = {"code": about.get("code"), **(about.get("versions") or {})}
    facts = [
        (what, ", ".join(f"{name} {make_safe(value, 200)}" for name, value in values.items()))
        for what, values in described.items()
    ]
    return {"run": run.name, "facts": facts}
