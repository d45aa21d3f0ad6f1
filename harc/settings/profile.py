"""A profile: every setting of one study, composed from the groups that the steps read."""

import re
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from harc.core.errors import ConfigError
from harc.core.shipped import SHIPPED, find_shipped
from harc.core.yaml_text import read_yaml
from harc.settings.ablation import AblationScope, AblationSettings, change_method
from harc.settings.analysis import AnalysisSettings
from harc.settings.backbones import BackboneSettings, FamilySettings
from harc.settings.base import Settings, merge
from harc.settings.data import ContaminationSettings, RowSource
from harc.settings.directions import DirectionSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.loading import parse_settings
from harc.settings.robustness import ErosionSettings, FinetuningSettings, TrajectorySettings
from harc.settings.suites import HelpfulnessSettings
from harc.settings.suppression import SuppressionSettings
from harc.settings.training import MethodSettings, SharedTraining, TuningSettings
from harc.settings.world import OrganismSettings, WorldSettings

PROFILES = Path("config/profiles")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""Names of methods and backbones."""


class Profile(Settings):
    """One study: backbones, methods and seeds, and how each step treats them."""

    name: str = Field(pattern=r"^[a-z0-9_]+$", description="Names the results folder: results/<name>.")
    source: str = Field(description="The profile name or path that the commands were given.")
    rehearsal: bool = Field(
        False,
        description="Whether this is a rehearsal on stand-ins (`harc rehearse`): its results lie under "
        "results/rehearsal, every page, table and figure of them says so, and they cannot be packed.",
    )
    description: str = Field(description="What the profile is for, on what hardware, at what cost.")
    seeds: tuple[int, ...] = Field(
        (0,),
        min_length=1,
        description="Seed k: organism and adapters of seed k; a downloaded model is the same at every seed.",
    )
    method_seeds: dict[str, tuple[int, ...]] = Field(
        {},
        description="Seeds of methods and arms that are not run on all of them (arms: on ablation.seeds), by name.",
    )
    data: RowSource = Field(RowSource(), description="Where the rows come from.")
    contamination: ContaminationSettings = Field(
        ContaminationSettings(), description="When an evaluation prompt counts as seen before."
    )
    world: WorldSettings = Field(WorldSettings(), description="The invented world behind organism data.")
    organism: OrganismSettings = Field(OrganismSettings(), description="How organisms are trained.")
    backbones: dict[str, BackboneSettings] = Field(min_length=1, description="Models under study, by name.")
    families: FamilySettings = Field(
        FamilySettings(), description="Further models, of which the directions alone are read."
    )
    directions: DirectionSettings = Field(DirectionSettings(), description="Extraction and layer choice.")
    training: SharedTraining = Field({}, description="Settings that every trained method starts from.")
    methods: dict[str, MethodSettings] = Field(
        description="Trained methods by name (base is implied); each starts from the preset of its name, unless "
        "`preset` names another, then takes the shared `training` settings, then its own."
    )
    ablation: AblationSettings = Field(
        AblationSettings(), description="Arms of one method: run like methods, shown in tables of their own."
    )
    evaluation: EvaluationSettings = Field(EvaluationSettings(), description="Suites, judges, statistics.")
    trajectories: TrajectorySettings = Field(TrajectorySettings(), description="Answers read token by token.")
    finetuning: FinetuningSettings = Field(FinetuningSettings(), description="Harmful fine-tuning.")
    erosion: ErosionSettings = Field(ErosionSettings(), description="Benign fine-tuning.")
    suppression: SuppressionSettings | None = Field(
        None, description="White-box removal of the directions of refusal; none: not asked."
    )
    helpfulness: HelpfulnessSettings | None = Field(
        None,
        description="Public benchmarks of helpfulness, for published models; none: organisms have tasks of their own.",
    )
    tuning: TuningSettings = Field(TuningSettings(), description="Grids and the rule that chooses from them.")
    analysis: AnalysisSettings = Field(AnalysisSettings(), description="Figures and tables.")
    figures: tuple[str, ...] = Field(
        ("figure1", "figure2", "figure3", "figure4", "figure5", "figure6", "figure10"),
        description="Figures to draw: modules of harc.results.figures.",
    )
    real_study: str | None = Field(
        None,
        description="A committed study of published models, which the paper shows first where it is there; none: the "
        "profile's own, if all its models are published.",
    )

    @model_validator(mode="before")
    @classmethod
    def compose_methods(cls, values: Any) -> Any:
        """Lay each method's own settings over the shared ones; a method's preset is named like it by default."""
        if not isinstance(values, dict) or not isinstance(values.get("methods"), dict):
            return values
        shared = values.get("training") or {}
        if not isinstance(shared, dict):
            return values
        methods = {
            name: merge({"preset": name, **shared}, own or {}, MethodSettings)
            if isinstance(own, dict | None)
            else own
            for name, own in values["methods"].items()
        }
        return {**values, "methods": methods}

    @model_validator(mode="after")
    def check_names(self) -> "Profile":
        """Refuse names that would collide in paths."""
        if "base" in self.methods:
            raise ValueError("methods without 'base', which every profile has")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds without repeats")
        for name in (*self.methods, *self.all_backbones):
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"names of letters, digits, dots, dashes, underscores, being parts of paths (not {name!r})"
                )
        self.families.check_study(self.backbones, self.seeds)
        return self

    @model_validator(mode="after")
    def check_method_seeds(self) -> "Profile":
        """Refuse seeds of an unknown method or arm, of the base, none, repeats, and seeds that the study lacks."""
        for name, seeds in self.method_seeds.items():
            if name not in self.adapted:
                raise ValueError(f"method_seeds of {', '.join(self.adapted)} (not {name!r})")
            if not seeds or len(set(seeds)) != len(seeds) or not set(seeds) <= set(self.seeds):
                found = ", ".join(map(str, seeds)) or "none"
                raise ValueError(
                    f"method_seeds.{name} of the study's {', '.join(map(str, self.seeds))}, each once (not {found})"
                )
        return self

    @model_validator(mode="after")
    def check_starts(self) -> "Profile":
        """Refuse a method that starts from one which is absent, untrained, or itself starts from another."""
        for name, method in self.adapted.items():
            first = self.methods.get(method.start_from)
            if method.start_from is None:
                continue
            if first is None or first.is_fitted or first.start_from is not None:
                plain = [n for n, m in self.methods.items() if not m.is_fitted and m.start_from is None]
                raise ValueError(
                    f"methods.{name}.start_from as one of {', '.join(plain)}, which are trained from the base itself "
                    f"(not {method.start_from!r})"
                )
            if missing := set(self.find_seeds(name)) - set(self.find_seeds(method.start_from)):
                raise ValueError(
                    f"method_seeds of {method.start_from} with those of {name}, which starts from it (lacks "
                    f"{min(missing)})"
                )
        return self

    @model_validator(mode="after")
    def check_ablation(self) -> "Profile":
        """Refuse arms of an absent method, under a method's name, or on seeds and backbones that the study lacks."""
        self.ablation.check_study(self.methods, self.seeds, self.backbones)
        return self

    @model_validator(mode="after")
    def check_attacker(self) -> "Profile":
        """Refuse attacks on public prompts that need a model to write, where none is named."""
        if self.data.source == "public":
            self.evaluation.require_writer()
        return self

    @model_validator(mode="after")
    def check_robustness(self) -> "Profile":
        """Refuse methods and suites that the profile does not have, and fine-tuning of what has no adapter."""
        known = ["base", *self.methods]
        adapted = [name for name in known if name == "base" or not self.methods[name].is_fitted]
        for where, given, allowed in (
            ("trajectories.methods", self.trajectories.methods, known),
            ("finetuning.methods", self.finetuning.methods, adapted),
            ("erosion.methods", self.erosion.methods, adapted),
            ("finetuning.suites", self.finetuning.methods and self.finetuning.suites, self.evaluation.suites),
            ("erosion.suites", self.erosion.methods and self.erosion.suites, self.evaluation.suites),
        ):
            unknown = [name for name in given if name not in allowed]
            if unknown:
                raise ValueError(f"{where} among {', '.join(allowed)} (not {unknown[0]!r})")
        return self

    @model_validator(mode="after")
    def check_suppression(self) -> "Profile":
        """Refuse a suppression of methods, arms or seeds that the profile does not have."""
        if self.suppression is not None:
            self.suppression.check_study(["base", *self.adapted], self.seeds)
        return self

    @model_validator(mode="after")
    def check_training(self) -> "Profile":
        """Read every method's settings on every backbone, so that a misspelt one is found at once."""
        for backbone in self.backbones:
            for method in (*self.methods, *self.list_arms()):
                try:
                    self.choose_training(backbone, method)
                except ValidationError as problem:
                    first = _describe_first(problem)
                    raise ValueError(f"valid training values of backbone {backbone} (at {first})") from None
        return self

    def list_arms(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Every ablation arm by name: its preset, and what it changes of the method `ablation.of`."""
        method = self.methods.get(self.ablation.of)
        return {} if method is None else self.ablation.list_changes(method)

    def find_method(self, name: str) -> MethodSettings:
        """Settings of a method, or of an arm."""
        if name in self.methods:
            return self.methods[name]
        return change_method(self.methods[self.ablation.of], *self.list_arms()[name])

    @property
    def adapted(self) -> dict[str, MethodSettings]:
        """Settings of everything that is trained or fitted on a backbone: methods, then arms."""
        return self.methods | {name: self.find_method(name) for name in self.list_arms()}

    @property
    def all_backbones(self) -> dict[str, BackboneSettings]:
        """Settings of the study's backbones, then of the further families'."""
        return self.backbones | self.families.backbones

    def is_fixed(self, backbone: str) -> bool:
        """Whether a backbone is downloaded, and so the same at every seed, rather than trained here."""
        return self.all_backbones[backbone].kind != "organism"

    def find_weights_seed(self, backbone: str, seed: int) -> int:
        """The seed under which a backbone and what is measured on it alone are kept: the first, if it is fixed."""
        if not self.is_fixed(backbone):
            return seed
        return (self.seeds if backbone in self.backbones else self.families.seeds)[0]

    def list_fixed(self) -> dict[str, int]:
        """The fixed backbones, and the seed under which each is kept."""
        return {name: self.find_weights_seed(name, 0) for name in self.all_backbones if self.is_fixed(name)}

    def find_seeds(self, method: str) -> tuple[int, ...]:
        """Seeds that a method or an arm is run on."""
        return self.method_seeds.get(method, self.seeds if method in self.methods else self.ablation.seeds)

    def is_run(self, backbone: str, method: str, seed: int) -> bool:
        """Whether a model is measured: a fixed backbone's base once, a method or arm on its own seeds."""
        if method != "base":
            return seed in self.find_seeds(method)
        own = self.seeds if backbone in self.backbones else self.families.seeds
        return seed in own and seed == self.find_weights_seed(backbone, seed)

    def list_models(self) -> list[tuple[str, int]]:
        """Every (backbone, seed), the further families' last; a fixed backbone once."""
        own, others = (
            product(self.backbones, self.seeds),
            product(self.families.backbones, self.families.seeds),
        )
        return [unit for unit in (*own, *others) if unit[1] == self.find_weights_seed(*unit)]

    def list_main_units(self) -> list[tuple[str, str, int]]:
        """Every (backbone, method, seed) of the main comparison, the base first; a fixed backbone's base once."""
        return [
            (backbone, method, seed)
            for backbone, method in product(self.backbones, ("base", *self.methods))
            for seed in (self.seeds if method == "base" else self.find_seeds(method))
            if method != "base" or seed == self.find_weights_seed(backbone, seed)
        ]

    def scope_families(self) -> tuple[list[str], list[int]]:
        """Models whose direction structure is compared, the study's backbones first, and on which seeds."""
        return list(self.all_backbones), [seed for seed in self.families.seeds if seed in self.seeds]

    def scope_ablation(self) -> AblationScope:
        """Arms, grid and what they are compared with, as tables and figures take it."""
        return self.ablation.create_scope(self.methods, self.backbones)

    def list_arm_units(self) -> list[tuple[str, str, int]]:
        """Every (backbone, arm, seed) of the ablation."""
        pairs = product(self.scope_ablation().backbones, self.list_arms())
        return [(backbone, arm, seed) for backbone, arm in pairs for seed in self.find_seeds(arm)]

    def list_units(self) -> list[tuple[str, str, int]]:
        """Every model that is evaluated: (backbone, method or arm, seed)."""
        return self.list_main_units() + self.list_arm_units()

    def list_helpfulness_units(self) -> list[tuple[str, str, int]]:
        """Every model that public benchmarks are asked of."""
        return self.list_main_units() if self.helpfulness and self.helpfulness.benchmarks else []

    def list_traced_units(self) -> list[tuple[str, str, int]]:
        """Every model whose answers are read token by token."""
        return [unit for unit in self.list_main_units() if unit[1] in self.trajectories.methods]

    def list_finetuned_units(self, own: FinetuningSettings) -> list[tuple[str, str, int]]:
        """Every model that is fine-tuned on harmful answers, or on benign ones."""
        return [unit for unit in self.list_main_units() if unit[1] in own.methods and unit[2] in own.seeds]

    def list_suppressed_units(self) -> list[tuple[str, str, int]]:
        """Every model, arms among them, that is asked with directions taken out of it."""
        own = self.suppression
        if own is None:
            return []
        return [
            unit
            for unit in self.list_units()
            if unit[1] in own.methods and unit[2] in (own.seeds or self.seeds)
        ]

    def choose_training(self, backbone: str, method: str) -> MethodSettings:
        """A method's settings on a backbone: the backbone's own values come last."""
        settings, own = self.find_method(method), getattr(self.all_backbones[backbone], "training", {})
        return (
            MethodSettings.model_validate(merge(settings.model_dump(), own, MethodSettings))
            if own
            else settings
        )

    def choose_finetuning(
        self, own: FinetuningSettings, backbone: str, method: str, examples: int
    ) -> MethodSettings:
        """Settings of the fine-tuning of a method's model on so many answers."""
        shared = merge(self.training, getattr(self.backbones[backbone], "training", {}), MethodSettings)
        start = None if method == "base" else method
        return MethodSettings.model_validate(own.compose_training(examples, start, shared))

    def compose_point(self, backbone: str, method: str, changes: dict[str, Any]) -> MethodSettings:
        """A method at a point of its grid: its preset, the shared settings, the backbone's, then the point's changes.

        What the profile has already chosen for the method plays no part.
        """
        plain = self.methods[method]
        preset = {"preset": plain.preset, "objective": plain.objective, "start_from": plain.start_from}
        own = getattr(self.backbones[backbone], "training", {})
        for values in (self.training, own, changes):
            preset = merge(preset, values, MethodSettings)
        return MethodSettings.model_validate(preset)

    @model_validator(mode="after")
    def check_grids(self) -> "Profile":
        """Read every point of every grid, so that a misspelt one is found at once."""
        if unknown := [name for name in self.tuning.backbones if name not in self.backbones]:
            raise ValueError(f"tuning.backbones among {', '.join(self.backbones)} (not {unknown[0]!r})")
        if unknown := [name for name in self.tuning.shared if name not in self.methods]:
            raise ValueError(
                f"tuning.shared of the profile's methods {', '.join(self.methods)} (not {unknown[0]!r})"
            )
        for method, points in self.tuning.grids.items():
            if method not in self.methods:
                raise ValueError(
                    f"tuning.grids of the profile's methods {', '.join(self.methods)} (not {method!r})"
                )
            for number, changes in enumerate(points):
                try:
                    self.compose_point(next(iter(self.backbones)), method, changes)
                except ValidationError as problem:
                    first = _describe_first(problem)
                    raise ValueError(
                        f"valid points in tuning.grids (at {method}[{number}].{first})"
                    ) from None
        return self

    @property
    def data_dir(self) -> Path:
        """Folder of the row files."""
        return Path(self.data.directory)

    @property
    def results_root(self) -> Path:
        """Folder of everything that the profile's run writes."""
        return Path("results") / (Path("rehearsal") / self.name if self.rehearsal else Path(self.name))


def _describe_first(problem: ValidationError) -> str:
    """Key and message of the first thing that is wrong."""
    first = problem.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"


def list_profiles() -> list[str]:
    """Names of the shipped profiles."""
    return sorted({path.stem for folder in (PROFILES, SHIPPED / PROFILES) for path in folder.glob("*.yaml")})


def _find_profile(name: str) -> Path:
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return find_shipped(path)
    path = find_shipped(PROFILES / f"{name}.yaml")
    if not path.is_file():
        raise ConfigError(
            f"profile {name!r}",
            expected=f"one of {', '.join(list_profiles())}, or the path of a YAML file",
            found="no such profile",
            fix="check the spelling; see config/README.md",
        )
    return path


def _read_inherited(path: Path, seen: tuple[Path, ...] = ()) -> dict:
    if path.resolve() in seen:
        raise ConfigError(
            f"{path}: extends",
            expected="a profile that ends the chain",
            found="a circle",
            fix="remove one extends",
        )
    values = read_yaml(path)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    if not isinstance(parent, str):
        raise ConfigError(
            f"{path}: extends",
            expected="the name of one profile, or the path of one file",
            found=repr(parent)[:60],
            fix="name one; it may extend another in turn",
        )
    inherited = _read_inherited(_find_profile(parent), (*seen, path.resolve()))
    return merge(inherited, values, Profile, f"{path}: ")


def load_profile(name: str) -> Profile:
    """Load a profile by name, or by the path of a YAML file, with what it extends.

    Raises:
        ConfigError: for an unknown profile, key or value; one line that names the file and the key.
    """
    path = _find_profile(str(name))
    values = _read_inherited(path)
    own = {"name": path.stem, "source": str(name)}
    for key, value in own.items():
        if values.get(key, value) != value:
            raise ConfigError(
                f"{path}: {key}",
                expected=f"none, or {value}: a profile is named like its file",
                found=repr(values[key])[:60],
                fix="remove the key; the name of the file decides",
            )
    return parse_settings(Profile, values | own, str(path))


def list_settings_files(name: str) -> list[Path]:
    """The files that a profile is read from: its own, then what it extends, to the end of the chain.

    Raises:
        ConfigError: see `load_profile`.
    """
    load_profile(name)
    files: list[Path] = []
    parent: str | None = name
    while parent is not None:
        files.append(_find_profile(parent))
        parent = read_yaml(files[-1]).get("extends")
    return files
