"""`harc config`: show, check and document settings."""

from pathlib import Path
from typing import Annotated

import typer

from harc.cli.running import ProfileOption, make_app
from harc.core.terminal import show

app = make_app("Show, check and document settings.")


@app.command("check")
def check_config(profile: ProfileOption = "organism") -> None:
    """Check a profile and say what it would run."""
    from harc.settings.profile import load_profile

    found = load_profile(profile)
    backbones, methods = ", ".join(found.backbones), ", ".join(["base", *found.methods])
    show(f"{found.name}: {found.description}")
    show(f"backbones: {backbones}\nmethods: {methods}\nseeds: {', '.join(map(str, found.seeds))}")
    if found.families.backbones:
        show(f"families, directions alone: {', '.join(found.families.backbones)}")
    if units := found.list_arm_units():
        show(f"ablation arms: {', '.join(found.list_arms())} ({len(units)} runs)")


@app.command("show")
def show_config(profile: ProfileOption = "organism") -> None:
    """Print every setting of a profile, defaults included, as YAML."""
    import yaml

    from harc.settings.profile import load_profile

    show(yaml.safe_dump(load_profile(profile).model_dump(mode="json"), sort_keys=False), end="")


@app.command("schema")
def write_schema(
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("workflow/schemas/profile.schema.json"),
) -> None:
    """Write the JSON schema of a profile, generated from the settings models."""
    from harc.core.files import write_json
    from harc.settings.profile import Profile

    write_json(out, Profile.model_json_schema())


@app.command("describe")
def describe_config(profile: ProfileOption = "organism") -> None:
    """List every setting of a profile with its value, unit and source."""
    from harc.results.tables.settings import list_settings
    from harc.settings.profile import load_profile

    for name, value, description, _ in list_settings(load_profile(profile)):
        show(f"{name} = {value}\n    {description}")
