"""`harc adapter`: check an adapter that somebody hands on, merge it, describe it, send it to the hub."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import make_app
from harc.core.terminal import show

app = make_app("Check, merge, describe and send LoRA adapters.")

AdapterArgument = Annotated[
    str, typer.Argument(metavar="ADAPTER", help="Folder, or owner/name/folder@revision of a hub repository.")
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--base",
        help="Base model: folder, hub id (owner/name@revision), wheel (name==version), or llama3.1-8b, qwen2.5-7b.",
    ),
]
LicenceOption = Annotated[
    str | None,
    typer.Option("--licence", help="Licence of the base, as llama3.1, where its folder declares none."),
]


@app.callback()
def group() -> None:
    """For whoever hands an adapter on, or gets one: docs/adapters.md."""


@app.command()
def check(
    adapter: AdapterArgument,
    base: BaseOption = None,
    licence: LicenceOption = None,
    json: Annotated[Path | None, typer.Option("--json", help="File to write with every finding.")] = None,
) -> None:
    """Say whether an adapter is what it seems, without loading it or its base; exit 1 if a check fails.

    Files, header, settings, shapes, numbers, fit with the base, licences and card: each check says pass, warn or fail,
    and why. Pickles are never opened, links out of the folder never followed; of the base only config.json, the
    tokenizer's texts and the headers of the weights are read.

    \b
    Example:
        harc adapter check ADAPTER --base MODEL --json checks.json
    """
    from harc.core.files import write_json
    from harc.evaluation.adapters.report import check_adapter, format_report

    report = check_adapter(adapter, base, licence)
    show(format_report(report))
    if json is not None:
        write_json(json, report)
    if not report["ok"]:
        raise typer.Exit(1)


@app.command()
def merge(
    adapter: AdapterArgument,
    base: Annotated[str, typer.Option("--base", help="Base model, as for `harc adapter check`.")],
    out: Annotated[Path, typer.Option(help="Folder of the merged model: a new one.")],
    dtype: Annotated[
        str | None, typer.Option(help="float32, bfloat16 or float16; by default that of the base's weights.")
    ] = None,
    licence: LicenceOption = None,
) -> None:
    """Write the model that base and adapter amount to: merged in float64, rounded once, and compared with the two.

    The checks run first, and a fail ends it. Tokenizer, chat template and licence files are the base's own; the card
    says what was merged. Needs main memory for the model in float64: eight bytes a weight, twice.

    \b
    Example:
        harc adapter merge ADAPTER --base MODEL --out merged
    """
    from harc.evaluation.adapters.merge import merge_adapter

    show(merge_adapter(adapter, base, out, dtype=dtype, licence=licence))


@app.command()
def card(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder of the adapter.")],
    run: Annotated[
        Path, typer.Option("--run", help="Folder that `harc evaluate --out` wrote of this adapter.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default README.md in the folder.")
    ] = None,
    base: BaseOption = None,
    licence: LicenceOption = None,
    data: Annotated[
        str | None, typer.Option(help="One sentence on what it was trained on, which its files do not say.")
    ] = None,
) -> None:
    """Write a model card from the adapter's own files and the scores of a run, with intervals, n and judges.

    The run must be of this very adapter. What is not known is said to be so.

    \b
    Example:
        harc adapter card ADAPTER --run RUN --base MODEL --out card.md
    """
    from harc.evaluation.adapters.card import write_card

    path = write_card(adapter, run, out, base=base, licence=licence, data=data)
    show(f"wrote {path}")


@app.command()
def push(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="Folder of the adapter.")],
    repository: Annotated[str, typer.Argument(help="Repository on the hub: owner/name.")],
    base: BaseOption = None,
    licence: LicenceOption = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send it; without this nothing leaves the machine.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="A public repository; by default a private one.")
    ] = False,
) -> None:
    """Say what would be sent to the hub, and with --yes send it, token from HF_TOKEN alone.

    Refused where a check fails, where the licence of the base is unknown (name it with --licence), or where it lets no
    changed version be passed on.

    \b
    Example:
        harc adapter push ADAPTER owner/name --base MODEL --licence apache-2.0
    """
    from harc.evaluation.adapters.push import push_adapter

    show(push_adapter(adapter, repository, base, licence=licence, send=yes, public=public))
