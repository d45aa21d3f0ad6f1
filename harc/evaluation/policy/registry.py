"""Layers by the files that declare them: one YAML a layer, whose `kind` names the file of this folder that reads it."""

from collections.abc import Sequence
from pathlib import Path

from harc.core.errors import ConfigError
from harc.core.registry import gather
from harc.core.yaml_text import read_yaml
from harc.evaluation.own.prompts import name_suite
from harc.evaluation.policy.base import Layer, LayerKind
from harc.settings.loading import parse_settings


def list_kinds() -> dict[str, LayerKind]:
    """Every kind of layer by its name."""
    return {kind.name: kind for _, kind in gather("harc.evaluation.policy", "LAYER")}


def read_layer(path: Path) -> Layer:
    """The layer that a file declares; paths in it are relative to the file.

    Raises:
        ConfigError: for an unknown kind, key or value, or a missing file.
        HarcError: whatever else the kind finds wrong.
    """
    values = read_yaml(path, "the file of a policy layer")
    kinds, kind = list_kinds(), values.get("kind")
    if kind not in kinds:
        raise ConfigError(
            f"{path}: kind",
            expected=f"one of {', '.join(kinds)}",
            found="none" if kind is None else repr(kind)[:60],
            fix="see docs/policy.md",
        )
    settings = parse_settings(kinds[kind].settings, values, str(path))
    stem = name_suite(path)
    name = settings.name or (stem if stem[0].isalpha() else f"layer_{stem}")
    return kinds[kind].make(settings, name, path.parent)


def read_layers(paths: Sequence[Path]) -> list[Layer]:
    """The layers of several files.

    Raises:
        ConfigError: for two of one name; else see `read_layer`.
    """
    layers = [read_layer(path) for path in paths]
    names = [layer.name for layer in layers]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(
                f"--policy {paths[place]}",
                expected="a layer whose name no other has",
                found=f"a second {name}",
                fix="write another name into the file (name: ...), or rename it",
            )
    return layers
