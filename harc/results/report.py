"""One self-contained HTML page: claims, tables, figures, examples and provenance; no outside request."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from harc.core.artifacts import Layout
from harc.core.errors import ArtifactError
from harc.core.files import read_json, read_jsonl, sha256_file, write_text
from harc.results.catalogue import read_titles
from harc.results.claims import VERDICTS
from harc.results.printer import make_safe, present_cell, present_table, read_table
from harc.results.vocabulary import (
    ATTACKS,
    name_backbone,
    name_method,
    name_suite,
    note_attacks,
    sort_methods,
)
from harc.settings.analysis import AnalysisSettings

TEMPLATES = Path(__file__).parent / "templates"
EXAMPLE_SUITES = ("direct", "pap", "codeattack", "scary_safe", "wrapped_benign")


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
                "estimate": present_cell(row, "estimate") if row["estimate"] else None,
                "counted": f"n = {row['n']} {row['unit']}, seeds: {row['seeds']}" if row["n"] else "",
                "reason": row["reason"],
            }
        )
    return list(claims.values())


def present_figures(paths: Iterable[Path], mean_attacks: Sequence[str]) -> list[dict[str, str]]:
    """Figures as data URIs, in name order."""
    titles = read_titles("figures", mean_attacks)
    return [
        {
            "name": path.stem,
            "caption": titles.get(path.stem, path.stem),
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
    mean_attacks: Sequence[str] = ATTACKS,
) -> None:
    """Write the page, `layout.report`.

    Args:
        layout: where generations, sidecars, tables and figures lie.
        backbones, methods, seeds: what was run, base included; examples come from the first seed.
        settings: how many examples, how long.
        profile, description: the profile's name and what it is.
        figures: the figures to show, as PNG.
        sidecars: of the artifacts whose origin is listed.
        mean_attacks: attacks over which their mean is taken.

    Raises:
        ArtifactError: if no table has been made.
    """
    tables = []
    for name, title in read_titles("tables", mean_attacks).items():
        path = (layout.compute if name == "compute" else layout.tables) / f"{name}.csv"
        if shown := present_table(path):
            tables.append({"name": name, "title": title, "sha256": sha256_file(path)[:12], **shown})
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
        mean_note=" ".join(note_attacks(mean_attacks, "mean attack success (mean ASR)")),
        verdicts=[(verdict, sum(c["overall"] == verdict for c in claims)) for verdict in VERDICTS],
        claims=claims,
        ledger=claims[0]["ledger_sha256"] if claims else "",
        tables=tables,
        figures=present_figures(figures, mean_attacks),
        examples=collect_examples(layout, backbones, methods, seeds[0], settings),
        provenance=collect_provenance(layout, sidecars),
    )
    write_text(layout.report, page)
