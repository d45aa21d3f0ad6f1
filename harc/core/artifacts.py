"""Where every artifact of a results tree lies: the one place that spells the paths."""

from dataclasses import dataclass
from pathlib import Path

BASE = "base"  # the method name of the backbone without an adapter

DATA_PIN = Path("data.dvc")
DATA_MANIFEST = Path("config/data_manifest.json")

# Of each artifact first the files that are read to use it, then all that are written.
MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
BACKBONE_FILES = (*MODEL_FILES, "training_log.jsonl", "acceptance.json")
SOURCE_FILE = "source.json"  # where a fetched backbone came from: its one declared file
ANSWER_COUNTS = "summary.csv"
ANSWER_HASHES = "hashes.csv"
ANSWER_FILES = (
    "training.jsonl",
    "extraction_pairs.jsonl",
    ANSWER_COUNTS,
    ANSWER_HASHES,
)  # rows in place of the data's; counts; length and hash of every answer
DIRECTION_FILES = ("directions.safetensors", "layers.json")
PROJECTION_FILES = ("projections.safetensors", "projections.jsonl")
LORA_FILES = ("adapter_config.json", "adapter_model.safetensors", "base_model.json")
ADAPTER_FILES = (*LORA_FILES, "training_log.jsonl", "diagnostics.jsonl", "selected_layers.jsonl")
WARM_START_FILES = (*LORA_FILES, "training_log.jsonl", "card.json")
RULE_FILES = ("steering.safetensors", "steering.json", "base_model.json")
STEERING_FILES = (*RULE_FILES, "training_log.jsonl")
SCORE_FILES = ("scores.csv", "outcomes.csv")
TRAJECTORY_FILES = ("trajectories.safetensors", "trajectories.jsonl")
FINETUNING_FILES = ("answers.csv", "runs.csv")
EROSION_FILES = (*FINETUNING_FILES, "texts.jsonl")
JUDGE_FILES = ("refusal_classifier.json", "refusal_classifier.csv", "reliability.csv")
SUPPRESSION_FILES = (
    "outcomes.csv",
    "texts.jsonl",
    "rates.csv",
    "rounds.csv",
    "choice.json",
    "stability.csv",
    "card.json",
)
# What may lie directly under the root of a results tree: folders by kind of artifact, and single files.
KINDS = (
    "data",
    "judges",
    "warm_starts",
    "backbones",
    "answers",
    "directions",
    "adapters",
    "generations",
    "scores",
    "trajectories",
    "finetuning",
    "erosion",
    "suppression",
    "helpfulness",
    "tuning",
    "tables",
    "compute",
    "figures",
)
SINGLE_FILES = ("report.html", "root_hash.json")
KEPT_FILE = "kept.json"  # what a tree in its committed form may lack (see harc.audit.study)
MACHINES_FILE = "machines.json"  # what came out otherwise on another machine (see harc.steps.machines)
PACK_FILE = "pack.json"  # the record of a study in its packed form (see harc.steps.reference_pack)
SIDECAR_SUFFIX = ".provenance.json"
# Renderings of the rest, and the file that holds the root hash: the hash is of the results themselves.
RENDERINGS = ("tables", "figures", "compute", "report.html", "root_hash.json")


def sidecar_path(artifact: Path | str) -> Path:
    """`<artifact>.provenance.json`, beside the file or folder that it describes."""
    artifact = Path(artifact)
    return artifact.with_name(f"{artifact.name}{SIDECAR_SUFFIX}")


def is_rendering(artifact: str) -> bool:
    """Whether an artifact, by its path in the tree, follows from the rest and has no part in the root hash."""
    return artifact.split("/", maxsplit=1)[0].removesuffix(SIDECAR_SUFFIX) in RENDERINGS


@dataclass(frozen=True)
class Layout:
    """Paths under one results root; `seed` may be a number or a wildcard of the workflow.

    With `reference`, what runs made (models, directions, generations, scores) is read there and never written;
    tables, figures, the report and the root hash are written under the root as ever.
    """

    root: Path
    reference: Path | None = None

    @property
    def runs(self) -> Path:
        """Root of what runs made, up to the scores."""
        return self.reference or self.root

    def _unit(self, kind: str, backbone: str, method: str, seed: int | str) -> Path:
        return self.runs / kind / backbone / method / f"seed{seed}"

    def backbone(self, backbone: str, seed: int | str) -> Path:
        """Folder of a backbone: weights, tokenizer, training log, acceptance figures."""
        return self.runs / "backbones" / backbone / f"seed{seed}"

    def warm_start(self, backbone: str, seed: int | str) -> Path:
        """Folder of the adapter that a backbone's warm start trained, and of what it was taught."""
        return self.runs / "warm_starts" / backbone / f"seed{seed}"

    def answers(self, backbone: str, seed: int | str) -> Path:
        """Folder of the rows that hold a backbone's own answers, and of their counts."""
        return self.runs / "answers" / backbone / f"seed{seed}"

    def directions(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of the directions measured on a method's model, and of the projections onto the base's."""
        return self._unit("directions", backbone, method, seed)

    def adapter(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of a trained adapter in PEFT's form, with its logs."""
        return self._unit("adapters", backbone, method, seed)

    def checkpoint(self, kind: str, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of the resumable state of a running step; no output of the workflow, so it survives a failure."""
        return self._unit("checkpoints", backbone, f"{kind}-{method}", seed)

    def generations(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of generations, one JSONL file per suite."""
        return self._unit("generations", backbone, method, seed)

    def scores(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of a method's outcomes and scores."""
        return self._unit("scores", backbone, method, seed)

    def trajectories(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of the token-by-token projections of a method's answers."""
        return self._unit("trajectories", backbone, method, seed)

    def finetuning(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of what a method's model answers after fine-tuning on harmful answers."""
        return self._unit("finetuning", backbone, method, seed)

    def erosion(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of what a method's model answers after fine-tuning on benign answers."""
        return self._unit("erosion", backbone, method, seed)

    def suppression(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of what a method's model answers while directions are taken out of it."""
        return self._unit("suppression", backbone, method, seed)

    def helpfulness(self, backbone: str, method: str, seed: int | str) -> Path:
        """Folder of a method's answers to public benchmarks, and their scores."""
        return self._unit("helpfulness", backbone, method, seed)

    @property
    def judges(self) -> Path:
        """Folder of the trained judge: its parameters, and what it does on held-out labels."""
        return self.runs / "judges"

    @property
    def tuning(self) -> Path:
        """Folder of everything that tuning writes."""
        return self.root / "tuning"

    def points(self, backbone: str, method: str, seed: int | str) -> Path:
        """Table of a method's tuning points on one backbone."""
        return self._unit("tuning", backbone, method, seed) / "points.csv"

    def choice(self, method: str) -> Path:
        """Which point the criterion chose for a method."""
        return self.tuning / "choices" / f"{method}.json"

    @property
    def data_report(self) -> Path:
        """What the check of the pulled data found."""
        return self.root / "data" / "verified.json"

    @property
    def contamination(self) -> Path:
        """What the check of held-out prompts against earlier splits found."""
        return self.runs / "data" / "contamination.csv"

    @property
    def tables(self) -> Path:
        """Folder of tables (CSV and LaTeX) and of the numbers used in the paper's text."""
        return self.root / "tables"

    @property
    def compute(self) -> Path:
        """Folder of the table of what the run cost; of the committed study's own run where that is read."""
        return self.runs / "compute"

    @property
    def figures(self) -> Path:
        """Folder of figures (PDF and PNG)."""
        return self.root / "figures"

    @property
    def report(self) -> Path:
        """The self-contained HTML page."""
        return self.root / "report.html"

    @property
    def root_hash(self) -> Path:
        """The root hash of what the paper is made from."""
        return self.root / "root_hash.json"

    @property
    def audit_page(self) -> Path:
        """The audit's findings as a page to read."""
        return self.root / "audit" / "audit.html"

    @property
    def audit(self) -> Path:
        """The audit's findings."""
        return self.root / "audit" / "audit.json"
