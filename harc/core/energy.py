"""Energy that a machine counts itself: processor packages by RAPL, GPUs by NVML, where they can be read.

The counters are the whole machine's: whatever runs beside a step is counted too. RAPL is the kernel's powercap
interface, which most systems let only the superuser read.
"""

import importlib
import re
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
ZONE = re.compile(r"[a-z-]+:\d+")  # a package; its parts are named with one more number


def _read_number(path: Path) -> int:
    return int(path.read_text(encoding="ascii").strip())


def read_packages(powercap: Path = POWERCAP) -> dict[str, tuple[float, float]]:
    """Joules counted and joules at which the counter starts again, by package; empty where none can be read.

    One package may be listed by two drivers, and `psys` counts the packages again: each package is taken once.
    """
    found = {}
    for zone in sorted(powercap.glob("*:*")) if powercap.is_dir() else []:
        try:
            name = (zone / "name").read_text(encoding="ascii").strip()
            if ZONE.fullmatch(zone.name) and name.startswith("package") and name not in found:
                used, most = (_read_number(zone / part) for part in ("energy_uj", "max_energy_range_uj"))
                found[name] = (used / 1e6, most / 1e6)
        except (OSError, ValueError):
            continue
    return found


def read_gpus() -> dict[str, float]:
    """Joules counted since the driver was loaded, by GPU; empty without NVML (package nvidia-ml-py)."""
    try:
        # By name, since nothing else asks for the package: it is there where a GPU's owner has put it.
        pynvml = importlib.import_module("pynvml")
        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return {
            str(number): pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3
            for number, handle in enumerate(handles)
        }
    except Exception:  # no package, no driver, or a GPU that does not count: all mean not readable
        return {}


def subtract_packages(
    before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]
) -> float | None:
    """Joules between two readings, one restart of a counter allowed for; None where nothing was read."""
    shared = before.keys() & after.keys()
    if not shared:
        return None
    spent = 0.0
    for name in shared:
        used = after[name][0] - before[name][0]
        spent += used if used >= 0 else used + after[name][1]
    return spent


class EnergyMeter:
    """What the machine counts from here on."""

    def __init__(self) -> None:
        self._packages, self._gpus = read_packages(), read_gpus()

    def read(self) -> dict[str, float | None]:
        """Joules since the start: `cpu_joules` and `gpu_joules`, None where not readable."""
        gpus = read_gpus()
        shared = self._gpus.keys() & gpus.keys()
        cpu = subtract_packages(self._packages, read_packages())
        gpu = sum(gpus[name] - self._gpus[name] for name in shared) if shared else None
        return {
            "cpu_joules": None if cpu is None else round(cpu, 3),
            "gpu_joules": None if gpu is None else round(gpu, 3),
        }
