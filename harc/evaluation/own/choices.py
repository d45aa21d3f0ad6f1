"""What options choose: the model or its server, what its template is told, judges, benchmarks, prices."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from harc.core.errors import ConfigError
from harc.core.files import sha256_file
from harc.core.untrusted import parse_json
from harc.evaluation.own.asking import read_system_prompt
from harc.evaluation.own.benchmarks import make_benchmark_settings
from harc.evaluation.own.budget import Spending, read_endpoint
from harc.evaluation.own.options import DEFAULT_JUDGES, Options
from harc.evaluation.own.prompts import is_prompt_file
from harc.judges.registry import LABELS_OF
from harc.model.handle import ModelHandle
from harc.model.weights import find_adapter, find_model
from harc.settings.endpoints import EndpointSettings
from harc.settings.evaluation import EvaluationSettings
from harc.settings.suites import HelpfulnessSettings, JudgeFile
from harc.suites.benchmarks import BENCHMARKS


def read_judge_file(options: Options) -> JudgeFile:
    """The models behind judges, and the sandbox; defaults where no file is named."""
    from harc.core.yaml_text import read_yaml
    from harc.settings.loading import parse_settings

    path = options.judge_config
    return JudgeFile() if path is None else parse_settings(JudgeFile, read_yaml(path), str(path))


def make_settings(options: Options) -> EvaluationSettings:
    """Decoding and judges, checked as a profile's are; a lone judge gets a rule beside it.

    Raises:
        ConfigError: for an unknown judge, or `exact`, which knows the embedded world's answers only.
    """
    from harc.settings.loading import parse_settings

    judges = tuple(dict.fromkeys(options.judges or DEFAULT_JUDGES))
    known = [name for name in LABELS_OF if name != "exact"]
    unknown = [name for name in judges if name not in known]
    if unknown:
        raise ConfigError(
            "--judge",
            expected=f"one of {', '.join(known)}",
            found=unknown[0],
            fix="`harc judges list` says what each can tell; exact knows the embedded world's answers only",
        )
    if len(judges) == 1:
        judges += (next(name for name in DEFAULT_JUDGES if name not in judges),)
    models = read_judge_file(options)
    values = {
        "judges": judges, "max_new_tokens": options.max_new_tokens, "batch_size": options.batch_size,
        "judge_endpoint": models.endpoint, "classifier": models.classifier,
    }  # fmt: skip
    return parse_settings(EvaluationSettings, values, "harc evaluate")


def choose_model(options: Options) -> tuple[ModelHandle | EndpointSettings | None, dict[str, Any]]:
    """The model with its adapter or steering, or its server, and what identifies it; no model for recorded answers.

    Raises:
        ConfigError: unless there is exactly one of a model and an endpoint file, or for an adapter on a server.
    """
    if options.recorded:
        check_recorded(options)
        return None, {
            "model": {"recorded": [sha256_file(Path(name)) for name in options.suites]},
            "adapter": None,
        }
    if (options.model is None) == (options.endpoint is None):
        raise ConfigError(
            "--model, --endpoint",
            expected="one of the two",
            found="neither" if options.model is None else "both",
            fix="name a model to load, or a file that says which server to ask",
        )
    chat = choose_chat(options)
    if options.model is not None:
        adapter, named = (None, None) if options.adapter is None else find_adapter(options.adapter)
        told: dict[str, Any] = {"dtype": options.dtype, "device": options.device, "chat": chat}
        model = replace(find_model(options.model), method=adapter, **told)
        return model, {"model": model.describe(), "adapter": named, "chat": chat}
    if options.adapter is not None:
        raise ConfigError(
            "--adapter",
            expected="none with --endpoint",
            found=options.adapter,
            fix="have the server load the adapter (`vllm serve MODEL --enable-lora`)",
        )
    assert options.endpoint is not None, "one of the two, as checked above"
    endpoint, _ = read_endpoint(options.endpoint)
    if endpoint.kind != "local":
        return endpoint, {"model": {"endpoint": endpoint.describe_answers()}, "adapter": None}
    local = endpoint.model if Path(endpoint.model).is_dir() else f"{endpoint.model}@{endpoint.revision}"
    weights = find_model(local).describe()
    return endpoint, {"model": {"endpoint": endpoint.describe_answers(), "weights": weights}, "adapter": None}


def check_recorded(options: Options) -> None:
    """Refuse what recorded answers leave no room for.

    Raises:
        ConfigError: for a model, an attack, or a suite that is no file.
    """
    given = {
        "--model": options.model, "--endpoint": options.endpoint, "--adapter": options.adapter,
        "--attack": options.attacks, "--tools-as-text": options.tools_as_text,
        "--suite": [name for name in options.suites if not is_prompt_file(name)],
    }  # fmt: skip
    wrong = next((name for name, value in given.items() if value), None)
    if wrong is not None:
        raise ConfigError(
            f"--recorded, {wrong}",
            expected="files with answers (column response), and no model",
            found=wrong,
            fix="leave one of the two out",
        )


def choose_chat(options: Options) -> dict[str, Any]:
    """What the chat template is told.

    Raises:
        ConfigError: for an option that is no NAME=VALUE, a date that is none, or either with a server.
    """
    from harc.settings.backbones import TemplateSettings
    from harc.settings.loading import parse_settings

    if options.endpoint is not None and (options.template_options or options.template_date):
        raise ConfigError(
            "--template-option, --template-date",
            expected="neither with --endpoint",
            found="one",
            fix="write template_options into the endpoint file",
        )
    values: dict[str, Any] = {"template_options": dict(map(_read_option, options.template_options))}
    if options.template_date is not None:
        values["template_date"] = options.template_date
    chat = parse_settings(TemplateSettings, values, "harc evaluate").chat
    system = read_system_prompt(options.system_prompt)
    return chat if system is None or options.endpoint is not None else chat | {"system": system}


def _read_option(text: str) -> tuple[str, Any]:
    """Name and value; the value as JSON where it is some, else as it stands."""
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise ConfigError(
            "--template-option",
            expected="NAME=VALUE, such as enable_thinking=false",
            found=text,
            fix="put the value behind an equals sign",
        )
    try:
        return name, parse_json(value)
    except ValueError:
        return name, value


def choose_benchmarks(options: Options) -> HelpfulnessSettings | None:
    """Settings of the public benchmarks among the suites; None if there are none.

    Raises:
        ConfigError: for mt_bench without a judge, or a benchmark asked of a server.
    """
    names = tuple(dict.fromkeys(name for name in options.suites if name in BENCHMARKS))
    if not names:
        return None
    if options.endpoint is not None:
        raise ConfigError(
            f"--suite {names[0]}",
            expected="a model that is loaded here (--model)",
            found="--endpoint",
            fix="take the benchmark out: its choices need token probabilities, and its code an opened answer",
        )
    models = read_judge_file(options)
    given = {"judge": models.endpoint, "sandbox": models.sandbox}
    return make_benchmark_settings(names, options.limit, options.batch_size, given)


def choose_spending(options: Options) -> tuple[Spending, str]:
    """Prices and budget of the model's server, and where they stand; none of a model that is loaded here.

    Raises:
        ConfigError: for a budget of a model that costs nothing.
    """
    if options.endpoint is None:
        if options.budget is not None:
            raise ConfigError(
                "--budget",
                expected="a served model (--endpoint)",
                found="--model",
                fix="leave it out: a model that is loaded here has no price",
            )
        return Spending(), "--endpoint"
    _, spending = read_endpoint(options.endpoint)
    if options.budget is None:
        return spending, f"{options.endpoint}: budget"
    return spending.model_copy(update={"budget": options.budget}), "--budget"
