"""Optional copies of the training log for TensorBoard or DVCLive, through accelerate; they never touch a result."""

from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.settings.training import MethodSettings

NAME = "training"  # of the run within the tracker's folder


def check_tracker(settings: MethodSettings) -> None:
    """Refuse a tracker whose package is not installed, before any work; none of them is in requirements.lock.

    Raises:
        ConfigError: with the line that installs it.
    """
    from accelerate.utils import is_dvclive_available, is_tensorboard_available

    found = {"tensorboard": is_tensorboard_available, "dvclive": is_dvclive_available}
    if settings.tracker != "none" and not found[settings.tracker]():
        raise ConfigError(
            "tracker",
            expected=f"the package {settings.tracker}",
            found="none",
            fix=f"run `pip install {settings.tracker}`, or set tracker to none",
        )


def tracker_options(settings: MethodSettings, folder: Path | None) -> dict[str, Any]:
    """Arguments of accelerate.Accelerator."""
    if settings.tracker == "none" or folder is None:
        return {}
    return {"log_with": settings.tracker, "project_dir": str(folder)}


def start_tracker(accelerator: Any, settings: MethodSettings, folder: Path | None) -> None:
    """Open the tracker's files; nothing without one."""
    if not tracker_options(settings, folder):
        return
    # DVCLive would otherwise write into the working directory and make commits of its own.
    own = {"dir": str(folder), "save_dvc_exp": False, "report": None}
    accelerator.init_trackers(NAME, init_kwargs={"dvclive": own} if settings.tracker == "dvclive" else {})


def track_row(accelerator: Any, row: dict[str, Any]) -> None:
    """Hand one row of the training log to the tracker, numbers only."""
    if accelerator.trackers:
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        accelerator.log(numbers, step=row["step"])
