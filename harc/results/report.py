"""One self-contained HTML page: claims, tables, figures, examples and provenance; no outside request."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from harc.results.claims import VERDICTS
from harc.results.latex import format_rate, show_controls
from harc.results.outcomes import SHARES
from harc.results.tables.layout import read_number, read_table
from harc.results.vocabulary import (name_backbone, name_method, name_suite, sort_methods)
from harc.core.artifacts import Layout
from harc.settings.analysis import AnalysisSettings
from harc.core.errors import ArtifactError
from harc.core.files import (read_json, read_jsonl, sha256_file, write_text)
from harc.suites.records import exceeds

TEMPLATES = Path(__file__).parent / "templates"
EXAMPLE_SUITES = ("direct", "pap", "codeattack", "scary_safe", "wrapped_benign")
TITLES = {
    "table1": "Attack success, over-refusal and helpfulness",
    "comparisons": "Paired comparisons (method minus reference)",
    "controls": "Control suites",
    "geometry": "Cosine of the two directions in the trained slots",
    "separability": "Separability in the harmfulness-refusal plane of the untreated backbones",
    "training": "Loss terms at the start and at the end of training",
    "ablations": "Arms of the ablation beside HARC",
    "margin_kl": "Margin and weight of KL",
    "families": "Direction structure across model families",
    "faults": "Faults of the released code, as switches",
    "switches": "Where the switches' values come from",
    "conflicts": "Where the release contradicts itself",
    "published": "Published against reproduced, cell by cell",
    "tuning": "Every tuning point, and which were chosen",
    "judges": "Judges of refusal against people",
    "agreement": "Agreement of the judges in this run",
    "subsets": "Refusal by subset of over-refusal prompts",
    "contamination": "Prompts that are both learnt from and asked",
    "helpfulness": "Public benchmarks of helpfulness",
    "scale": "Mean attack success by model size",
    "finetuning": "Rates after fine-tuning on harmful answers",
    "trajectories": "Answers read token by token, by class",
    "acceptance": "Acceptance of the backbones",
    "hyperparameters": "Every setting of this run",
    "compute": "What each kind of step cost (from the provenance files)",
}
CAPTIONS = {
    "figure1": "Cosine of the harmfulness and refusal directions per slot, untreated backbones.",
    "figure2": "The harmfulness-refusal plane per attack family, prompt side and response side.",
    "figure3": "Cosine of the two directions per slot, before and after each method.",
    "figure4": "The plane after HARC, and answers token by token: base and HARC.",
    "figure8": "Attack success and over-refusal after fine-tuning on harmful answers.",
    "figure10": "Attack success per method, attack and category of harm.",
    "figure5": "Attack success against over-refusal; larger markers are more helpful.",
    "pareto": "Every tuning point on development prompts; outlined: the settings that were chosen.",
    "mt_bench": "MT-Bench by category: mean grades of both turns, with intervals.",
    "figure6": "Losses and coupling while training.",
    "figure7": "Arms of the ablation beside HARC: attack success, over-refusal and coupling gain, with intervals.",
    "figure7_grid": "Margin against weight of KL; framed: HARC's own setting.",
    "figure9": "Cosine of the two directions by relative depth, per model family, and the families' rank correlations.",
}
FOLDED = ("_low", "_high", "_n", "_seed_low", "_seed_high", "_mde", *(f"_{name}" for name in SHARES))
LABELLED = {"backbone": name_backbone, "method": name_method, "reference": name_method, "metric": name_suite}
LABELLED |= {"suite": name_suite, "arm": name_method, "model": name_backbone}


def make_safe(text: object, limit: int) -> str:
    """Model output for display: control characters visible, length bounded; the template escapes HTML."""
    shown = "\n".join(show_controls(line) for line in str(text).split("\n"))
    return shown if len(shown) <= limit else f"{shown[:limit]} [... {len(shown) - limit} characters more]"


def _format_cell(row: dict[str, str], column: str) -> dict[str, Any]:
    value = row.get(column) or ""
    if column in LABELLED:
        return {"text": make_safe(LABELLED[column](value), 2000), "sort": value, "small": ""}
    try:
        number = float(value)
    except ValueError:
        return {"text": make_safe(value, 2000), "sort": value, "small": ""}
    low, high = (read_number(row, f"{column}{end}") for end in ("_low", "_high"))
    if low is None and column in {"difference", "area", "estimate"}:
        low, high = read_number(row, "low"), read_number(row, "high")
    # Whole numbers are counts unless they carry an interval.
    text = value if low is None and "." not in value else format_rate(number, 3)
    interval = f"[{format_rate(low)}, {format_rate(high)}]" if low is not None else ""
    counted = f"n = {row[f'{column}_n']}" if row.get(f"{column}_n") else ""
    small = " ".join(part for part in (interval, counted, *_list_shares(row, column)) if part)
    return {"text": text, "sort": number, "small": small}


def _list_shares(row: dict[str, str], column: str) -> list[str]:
    """Shares of garbled, blocked, ... answers beside a rate, marked where they are too large; zeros are left out."""
    shares = {name: read_number(row, f"{column}_{name}") for name in SHARES}
    return [
        f"{name} {format_rate(share)}{' (!)' if exceeds(name, share, 1) else ''}"
        for name, share in shares.items()
        if share
    ]


def present_table(path: Path) -> dict[str, Any] | None:
    """A CSV table as heads and cells, intervals and counts folded into their value's cell; None if absent."""
    rows = read_table(path)
    if not rows:
        return None
    names = list(rows[0])
    own = {"difference", "area", "estimate"} & set(names)
    kept = [name for name in names if not name.endswith(FOLDED) and not (own and name in {"low", "high"})]
    return {
        "name": path.stem,
        "title": TITLES.get(path.stem, path.stem),
        "heads": [name_suite(name) for name in kept],
        "rows": [[_format_cell(row, name) for name in kept] for row in rows],
        "sha256": sha256_file(path)[:12],
    }


def present_claims(path: Path) -> list[dict[str, Any]]:
    """Claims in ledger order with their findings per backbone; failed ones as loud as the rest."""
    claims: dict[str, dict[str, Any]] = {}
    for row in read_table(path):
        claim = claims.setdefault(row["claim"], {**row, "findings": []})
        claim["mark"] = VERDICTS.index(row["overall"])
        claim["findings"].append(
            {
                "backbone": name_backbone(row["backbone"]),
                "verdict": row["verdict"],
                "estimate": _format_cell(row, "estimate") if row["estimate"] else None,
                "counted": f"n = {row['n']} {row['unit']}, seeds: {row['seeds']}" if row["n"] else "",
            }
        )
    return list(claims.values())


def present_figures(paths: Iterable[Path]) -> list[dict[str, str]]:
    """Figures as data URIs, in name order."""
    return [
        {
            "name": path.stem,
            "caption": CAPTIONS.get(path.stem, path.stem),
            "uri": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
            "sha256": sha256_file(path)[:12],
        }
        for path in sorted(paths)
    ]


def _present_record(record: dict, limit: int) -> dict[str, str]:
    messages = record.get("messages", [])
    asked = messages[-1]["content"] if messages else ""
    verdicts = {name: verdict["label"] for name, verdict in sorted(record.get("verdicts", {}).items())}
    return {
        "id": make_safe(record["id"], limit),
        "prompt": make_safe(asked, limit),
        "response": make_safe(record["response"], limit),
        "expected": make_safe(record.get("expected") or "", limit),
        "verdicts": ", ".join(f"{judge}: {label}" for judge, label in verdicts.items()),
    }


def collect_examples(
    layout: Layout,
    backbones: Sequence[str],
    methods: Sequence[str],
    seed: int,
    settings: AnalysisSettings,
) -> list[dict[str, Any]]:
    """The first generations of some suites, per backbone and method: by file order, not by content."""
    groups = []
    for backbone in backbones:
        for method in sort_methods(list(methods)):
            for suite in EXAMPLE_SUITES:
                path = layout.generations(backbone, method, seed) / f"{suite}.jsonl"
                if not path.is_file() or not settings.report_examples:
                    continue
                records = read_jsonl(path, ("id", "response"))[: settings.report_examples]
                groups.append(
                    {
                        "title": f"{name_backbone(backbone)}, {name_method(method)}, {name_suite(suite)}",
                        "records": [
                            _present_record(record, settings.report_text_limit) for record in records
                        ],
                    }
                )
    return groups


def collect_provenance(layout: Layout, sidecars: Iterable[Path]) -> list[dict[str, Any]]:
    """What made each artifact, from the sidecars of the results and of what was drawn from them, in path order."""
    rows = {}
    for path in sidecars:
        sidecar = read_json(path)
        root = layout.runs if path.is_relative_to(layout.runs) else layout.root
        name = path.relative_to(root).as_posix().removesuffix(".provenance.json")
        rows[name] = {
            "artifact": name,
            "command": make_safe(sidecar.get("command", ""), 400),
            "code": str(sidecar.get("code", ""))[:12],
            "settings": str(sidecar.get("settings_hash", ""))[:12],
            "commit": str(sidecar.get("git_commit") or "none")[:20],
            "seconds": sidecar.get("wall_seconds"),
            "memory": sidecar.get("peak_memory_mb"),
        }
    return [row for _, row in sorted(rows.items())]


def _load_template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html")


def build_report(
    layout: Layout,
    backbones: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: AnalysisSettings,
    profile: str = "",
    description: str = "",
    figures: Iterable[Path] = (),
    sidecars: Iterable[Path] = (),
) -> None:
    """Write the page, `layout.report`.

    Args:
        layout: where generations, sidecars, tables and figures lie.
        backbones, methods, seeds: what was run, base included; examples come from the first seed.
        settings: how many examples, how long.
        profile, description: the profile's name and what it is.
        figures: the figures to show, as PNG.
        sidecars: of the artifacts whose origin is listed.

    Raises:
        ArtifactError: if no table has been made.
    """
    folders = dict.fromkeys(TITLES, layout.tables) | {"compute": layout.compute}
    tables = [table for name, folder in folders.items() if (table := present_table(folder / f"{name}.csv"))]
    if not tables:
        raise ArtifactError(
            str(layout.tables),
            expected="the tables of this profile",
            found="none",
            fix="run `harc step make_tables`",
        )
    claims = present_claims(layout.tables / "claims.csv")
    page = _load_template().render(
        profile=profile,
        description=description,
        backbones=[name_backbone(backbone) for backbone in backbones],
        methods=[name_method(method) for method in methods],
        seeds=list(seeds),
        verdicts=[(verdict, sum(c["overall"] == verdict for c in claims)) for verdict in VERDICTS],
        claims=claims,
        ledger=claims[0]["ledger_sha256"] if claims else "",
        tables=tables,
        figures=present_figures(figures),
        examples=collect_examples(layout, backbones, methods, seeds[0], settings),
        provenance=collect_provenance(layout, sidecars),
    )
    write_text(layout.report, page)
