"""The options of `harc evaluate` for one model."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_JUDGES = ("refusal_rules", "string_jailbreakbench")


@dataclass(frozen=True)
class Options:
    """The command's options, in the words of its help."""

    model: str | None
    suites: tuple[str, ...]
    out: Path
    endpoint: Path | None = None
    adapter: str | None = None
    judges: tuple[str, ...] = DEFAULT_JUDGES
    judge_config: Path | None = None
    max_new_tokens: int = 256
    batch_size: int = 16
    limit: int | None = None
    data: Path = Path("data/public")
    mirror: Path | None = None
    dtype: str = "float32"
    device: str = "cpu"
    template_options: tuple[str, ...] = ()
    template_date: str | None = None
    resume: bool = False
    system_prompt: str | None = None
    tools_as_text: bool = False
    recorded: bool = False
    attacks: tuple[str, ...] = ()
    attacker_config: Path | None = None
    skip_bad_rows: bool = False
    collapse_duplicates: bool = False
    policies: tuple[Path, ...] = ()
    fail_if: tuple[str, ...] = ()
    junit: Path | None = None
    budget: float | None = None
    spent: float = 0.0
    """What other candidates of the command have cost."""
