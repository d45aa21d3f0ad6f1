"""Where a model runs: names that are understood, and whether this machine has what they name."""

import re

from harc.core.errors import ConfigError, EnvironmentProblem

DEVICE = re.compile(r"cpu|auto|cuda(?::(\d+))?")


def check_device(device: str) -> None:
    """Refuse a device before a model is loaded for it.

    Raises:
        ConfigError: for a name that is none.
        EnvironmentProblem: for a GPU that this machine does not have.
    """
    match = DEVICE.fullmatch(device)
    if match is None:
        raise ConfigError(
            "device", expected="cpu, cuda, cuda:1 or auto", found=device, fix="choose one of them"
        )
    if not device.startswith("cuda"):
        return
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(match[1] or 0) >= count:
        raise EnvironmentProblem(
            f"device {device}",
            expected="a GPU that torch can use",
            found=f"{count} of them",
            fix="choose cpu, or another",
        )
