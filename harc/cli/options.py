"""Options that several commands share."""

from typing import Annotated

import typer

ProfileOption = Annotated[str, typer.Option("--profile", help="Profile name, or path of a YAML file.")]
ModelOption = Annotated[
    str, typer.Option("--model", help="Folder (safetensors or one GGUF file) or hub id of a chat model.")
]
DtypeOption = Annotated[
    str, typer.Option("--dtype", help="Precision of the frozen weights: float32, bfloat16 or float16.")
]
DeviceOption = Annotated[
    str, typer.Option("--device", help="cpu, cuda, cuda:1, or auto to spread over all GPUs.")
]
TemplateOption = Annotated[
    list[str] | None,
    typer.Option(help="Argument of the chat template, as enable_thinking=false; may be repeated."),
]
TemplateDateOption = Annotated[
    str | None, typer.Option(help="What the chat template takes for today; 2024-07-26 by default.")
]
