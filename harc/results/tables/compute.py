"""What a run cost, by kind of step: time, memory, and energy where the machine lets it be read."""

from collections.abc import Mapping, Sequence
from typing import Any

from harc.results.latex import MISSING, escape_latex
from harc.results.tables.layout import Table
from harc.steps.pipeline import STEPS, parse_command

COLUMNS = (
    "step", "jobs", "wall_seconds", "mean_seconds", "longest_seconds", "peak_memory_mb", "cpu_joules", "gpu_joules",
)  # fmt: skip
TOTAL = "all steps"
ENERGIES = ("cpu_joules", "gpu_joules")


def sum_known(values: Sequence[float | None]) -> float | None:
    """The sum if every value is known, else None: a part would pass for the whole."""
    return None if not values or any(value is None for value in values) else sum(values)


def summarize_jobs(step: str, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One row: what the jobs of a step took together, on average and at most."""
    seconds = [record["wall_seconds"] for record in records]
    memory = [record["peak_memory_mb"] for record in records if record.get("peak_memory_mb") is not None]
    energy = {
        name: sum_known([(record.get("energy") or {}).get(name) for record in records]) for name in ENERGIES
    }
    return {
        "step": step,
        "jobs": len(records),
        "wall_seconds": float(sum(seconds)),
        "mean_seconds": sum(seconds) / len(seconds),
        "longest_seconds": float(max(seconds)),
        "peak_memory_mb": max(memory, default=None),
        **energy,
    }


def _cells(row: Mapping[str, Any]) -> str:
    shown = [escape_latex(row["step"].replace("_", " ")), str(row["jobs"])]
    shown += [f"{row[name]:.1f}" for name in ("wall_seconds", "mean_seconds", "longest_seconds")]
    shown.append(MISSING if row["peak_memory_mb"] is None else f"{row['peak_memory_mb']:.0f}")
    shown += [MISSING if row[name] is None else f"{row[name] / 1000:.2f}" for name in ENERGIES]
    return " & ".join(shown) + " \\\\"


def _describe_devices(records: Sequence[Mapping[str, Any]]) -> str:
    found = {
        (str(device.get("type")), device.get("threads"))
        for record in records
        if isinstance(device := record.get("device"), Mapping)
    }
    return "; ".join(f"{escape_latex(kind)} (threads: {count})" for kind, count in sorted(found, key=str))


def _write_notes(records: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> list[str]:
    notes = [
        "From the provenance file beside each artifact, up to the scores; seconds of wall time, of jobs that may have "
        "run side by side; memory: the largest resident size of one process.",
        f"Devices: {_describe_devices(records) or MISSING}.",
    ]
    names = {"cpu_joules": "processors (RAPL)", "gpu_joules": "GPUs (NVML)"}
    unread = [label for name, label in names.items() if total[name] is None]
    if unread:
        notes.append(f"{MISSING}: not readable on the machine, or not for every job: {' and '.join(unread)}.")
    if len(unread) < len(names):
        notes.append("Energy is what the whole machine counted meanwhile, other jobs included.")
    notes.append("Times differ from run to run, so this table has no part in the root hash.")
    return notes


def build_table(records: Sequence[Mapping[str, Any]]) -> Table:
    """T9 from sidecars, the steps in their order; the last row is all of them.

    Args:
        records: contents of sidecars.
    """
    by_step: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_step.setdefault(parse_command(record["command"])[0], []).append(record)
    rank = {step: number for number, step in enumerate(STEPS)}
    steps = sorted(by_step, key=lambda step: (rank.get(step, len(rank)), step))
    rows = [summarize_jobs(step, by_step[step]) for step in steps]
    total = summarize_jobs(TOTAL, records) if records else dict.fromkeys(COLUMNS)
    body = [_cells(row) for row in rows]
    body += ["\\midrule", _cells(total)] if records else ["\\multicolumn{8}{@{}l}{no records} \\\\"]
    heads = ["all", "mean", "longest", "memory", "processors", "GPUs"]
    header = [
        " & & \\multicolumn{3}{c}{seconds} & MiB & \\multicolumn{2}{c}{energy, kJ}",
        " & ".join(["step", "jobs", *heads]),
    ]
    shown = [*rows, total] if records else []
    notes = _write_notes(records, total)
    return Table("compute", COLUMNS, shown, "@{}lrrrrrrr@{}", header, body, notes)
