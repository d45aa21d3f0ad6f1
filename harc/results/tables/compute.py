"""What a run cost, by kind of step: time, memory, and energy where the machine lets it be read."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harc.results.latex import MISSING, escape_latex
from harc.results.printer import Column, Record, Table, make_frame, plain_words, show_name

COLUMNS = (
    "step", "jobs", "wall_seconds", "mean_seconds", "longest_seconds", "peak_memory_mb", "cpu_joules", "gpu_joules",
)  # fmt: skip
TOTAL = "all steps"
ENERGIES = {"cpu_joules": "processors (RAPL)", "gpu_joules": "GPUs (NVML)"}


def sum_known(values: Sequence[float | None]) -> float | None:
    """The sum if every value is known, else None: a part would pass for the whole."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


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


def _show(column: str, digits: int, unit: float = 1) -> Callable[[Record], str]:
    return lambda row: MISSING if row[column] is None else f"{row[column] / unit:.{digits}f}"


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
    unread = [label for name, label in ENERGIES.items() if total.get(name) is None]
    if unread:
        notes.append(f"{MISSING}: not readable on the machine, or not for every job: {' and '.join(unread)}.")
    if len(unread) < len(ENERGIES):
        notes.append("Energy is what the whole machine counted meanwhile, other jobs included.")
    return [*notes, "Times differ from run to run, so this table has no part in the root hash."]


def build_compute(by_step: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """T9 from the contents of sidecars by their step, the steps in the given order; the last row is all of them."""
    records = [record for found in by_step.values() for record in found]
    total = summarize_jobs(TOTAL, records) if records else {}
    shown = [summarize_jobs(step, found) for step, found in by_step.items()] + ([total] if records else [])
    columns = [
        Column("step", show_name("step", plain_words)),
        Column("jobs", lambda row: str(row["jobs"]), "r"),
        Column("all", _show("wall_seconds", 1), "r"),
        Column("mean", _show("mean_seconds", 1), "r"),
        Column("longest", _show("longest_seconds", 1), "r"),
        Column("memory", _show("peak_memory_mb", 0), "r"),
        Column("processors", _show("cpu_joules", 2, 1000), "r"),
        Column("GPUs", _show("gpu_joules", 2, 1000), "r"),
    ]
    return Table(
        "compute",
        make_frame(COLUMNS, shown),
        columns,
        notes=_write_notes(records, total),
        absent="\\multicolumn{8}{@{}l}{no records}",
        header=[
            " & & \\multicolumn{3}{c}{seconds} & MiB & \\multicolumn{2}{c}{energy, kJ}",
            " & ".join(str(column.head) for column in columns),
        ],
        total=True,
    )
