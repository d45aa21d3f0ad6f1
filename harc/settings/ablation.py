"""Settings of the ablation: arms of one method that stand beside the study and out of its main tables."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pydantic import Field, model_validator

from harc.settings.base import Settings, lay_over
from harc.settings.training import PRESETS, MethodName, MethodSettings

FAULT_PREFIX = "released_"


class GridPoint(NamedTuple):
    """One cell of the grid: the run that stands for it, its margin and its weight of KL."""

    name: str
    margin: float
    kl: float


class AblationScope(NamedTuple):
    """What is compared, as tables and figures take it.

    Attributes:
        of: the method that arms are changed from.
        backbones, seeds: what arms were run on.
        references: what stands beside the arms for comparison, the method `of` among it.
        arms: named arms, without the grid.
        points: cells of the grid.
    """

    of: str
    backbones: tuple[str, ...]
    seeds: tuple[int, ...]
    references: tuple[str, ...]
    arms: tuple[str, ...]
    points: tuple[GridPoint, ...]

    def list_shown(self) -> list[str]:
        """References, then arms."""
        return [*self.references, *self.arms]


def name_point(margin: float, kl: float) -> str:
    """Name of a grid point's run, which is a part of paths: `margin0p25_kl1`."""
    return f"margin{margin:g}_kl{kl:g}".replace(".", "p").replace("+", "").replace("-", "m")


class AblationSettings(Settings):
    """Arms: each is trained and evaluated as the method `of` is, but for what its name says."""

    of: str = Field("harc", description="the method that arms are changed from, with its tuned values; ours")
    seeds: tuple[int, ...] = Field(
        (0,), min_length=1, description="seeds that arms are run on, some of the study's (seed); ours"
    )
    backbones: tuple[str, ...] | None = Field(
        None, min_length=1, description="backbones that arms are run on; none: all of the study's; ours"
    )
    arms: tuple[MethodName, ...] = Field(
        (),
        description="presets laid over the method `of`: controls, parts of the loss alone, single faults; ours",
    )
    margins: tuple[float, ...] = Field(
        (),
        description="margins of the grid (cosine); 0.3 and 0.5 are the release's own two values (main/losses.py and "
        "main/configs/llama3.1_8b.yaml@c3565e5)",
    )
    kl_weights: tuple[float, ...] = Field(
        (), description="weights of KL in the grid (1); 10 is the release's (main/train.py@c3565e5)"
    )
    without_effect: dict[str, str] = Field(
        {}, description="faults of the release that cannot act in this study, and why (text); ours"
    )

    @model_validator(mode="after")
    def check_lists(self) -> "AblationSettings":
        """Refuse repeats, half a grid, and reasons for faults that do not exist or that are run."""
        for name in ("seeds", "arms", "margins", "kl_weights"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name} without repeats")
        if bool(self.margins) != bool(self.kl_weights):
            raise ValueError("margins and kl_weights both, or neither: a grid has two sides")
        faults = [name.removeprefix(FAULT_PREFIX) for name in PRESETS if name.startswith(FAULT_PREFIX)]
        for fault in self.without_effect:
            if fault not in faults:
                raise ValueError(f"without_effect of {', '.join(faults)} (not {fault!r})")
            if f"{FAULT_PREFIX}{fault}" in self.arms:
                raise ValueError(f"{fault} either as an arm or as without effect, not as both")
        return self

    def check_study(
        self, methods: Mapping[str, MethodSettings], seeds: Collection[int], backbones: Collection[str]
    ) -> None:
        """Compare with the study that the arms belong to.

        Raises:
            ValueError: for an absent method, seed or backbone, and for an arm that is a method already.
        """
        if not (self.arms or self.margins):
            return
        if self.of not in methods:
            raise ValueError(f"ablation.of as one of {', '.join(methods)} (not {self.of!r})")
        for key, given, known in (
            ("seeds", self.seeds, seeds),
            ("backbones", self.backbones or (), backbones),
        ):
            if unknown := [value for value in given if value not in known]:
                raise ValueError(f"ablation.{key} of {', '.join(map(str, known))} (not {unknown[0]})")
        own, changes = methods[self.of], self.list_changes(methods[self.of])
        if taken := changes.keys() & methods.keys():
            raise ValueError(f"ablation.arms that are no methods already (found {', '.join(sorted(taken))})")
        for name, (_, changed) in changes.items():
            if change_method(own, own.preset, changed) == own:
                raise ValueError(f"ablation.arms that change {self.of} ({name} does not)")

    def create_scope(
        self, methods: Mapping[str, MethodSettings], backbones: Collection[str]
    ) -> AblationScope:
        """What is compared in a study with these methods and backbones; nothing without the method `of`."""
        own = methods.get(self.of)
        references = [name for name in ("base", "no_coupling", self.of) if name == "base" or name in methods]
        return AblationScope(
            self.of,
            tuple(name for name in backbones if name in (self.backbones or backbones)),
            self.seeds,
            tuple(references),
            self.arms if own else (),
            tuple(self.list_points(own)) if own else (),
        )

    def list_points(self, method: MethodSettings) -> list[GridPoint]:
        """Every cell of the grid, margins first; the method's own cell is the method itself."""
        return [
            GridPoint(self.of if self._is_own(method, margin, kl) else name_point(margin, kl), margin, kl)
            for margin in self.margins
            for kl in self.kl_weights
        ]

    @staticmethod
    def _is_own(method: MethodSettings, margin: float, kl: float) -> bool:
        return (method.loss.margin, method.loss.kl) == (margin, kl)

    def list_changes(self, method: MethodSettings) -> dict[str, tuple[MethodName, dict]]:
        """(preset, what it changes) of every arm: the named presets, then the grid without the method's own cell.

        Args:
            method: the settings of the method `of`.
        """
        changes = {name: (name, dict(PRESETS[name])) for name in self.arms}
        for name, margin, kl in self.list_points(method):
            if name != self.of:
                changes[name] = (method.preset, {"loss": {"margin": margin, "kl": kl}})
        return changes


def change_method(method: MethodSettings, preset: MethodName, changes: dict) -> MethodSettings:
    """A method's complete settings with some changed; what is not changed keeps the method's value."""
    values = lay_over(method.model_dump(), changes)
    return MethodSettings.model_validate({**values, "preset": preset})
