"""From a method's settings to its objective, and to the blocks that its adapter covers."""

from importlib import import_module

from harc.core.errors import ConfigError
from harc.model.backbones import Backbone
from harc.settings.baselines import locate_depth
from harc.settings.training import MethodSettings
from harc.training.context import Context
from harc.training.modules import OBJECTIVE_MODULES
from harc.training.objectives import Objective

DIRECTED = ("harc", "joint")  # objectives that read directions


def count_blocks(settings: MethodSettings, backbone: Backbone) -> int | None:
    """Blocks, from the first, that get an update: up to and with the one after the last target slot; None: all."""
    depths = {
        "cb": settings.circuit_breakers.target_depths,
        "repbend": settings.repbend.window_depths,
    }.get(settings.objective)
    if depths is None:
        return None
    return min(locate_depth(max(depths), backbone.n_layers) + 1, backbone.n_layers)


def create_objective(context: Context) -> Objective:
    """The objective that drives the loop.

    Raises:
        ConfigError: for a method that is not trained.
        DataError: for rows or directions that the objective needs and lacks.
    """
    objective = context.settings.objective
    if objective not in OBJECTIVE_MODULES:
        raise ConfigError(
            "objective",
            expected=f"a trained method: {', '.join(OBJECTIVE_MODULES)}",
            found=f"{objective}, which is fitted",
            fix="use `harc step fit_steering`, or fit_steering of harc.methods.cast",
        )
    return import_module(OBJECTIVE_MODULES[objective]).create_objective(context)
