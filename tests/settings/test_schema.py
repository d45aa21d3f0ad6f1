"""The committed JSON schema is the one that the settings models give."""

from pathlib import Path

from harc.core.files import read_json
from harc.settings.profile import Profile

SCHEMA = Path(__file__).parents[2] / "workflow/schemas/profile.schema.json"


def test_schema_is_generated_from_the_models():
    assert read_json(SCHEMA) == Profile.model_json_schema(), "run `harc config schema`"


def test_schema_refuses_unknown_keys():
    schema = read_json(SCHEMA)
    assert schema["additionalProperties"] is False
    assert all(
        group.get("additionalProperties") is False
        for group in schema["$defs"].values()
        if group.get("type") == "object"
    )
