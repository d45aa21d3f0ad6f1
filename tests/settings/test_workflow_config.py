"""What the workflow is told is checked like other settings: one line for what is unknown, missing or of no use."""

import pytest

from harc.core.errors import ConfigError
from harc.settings.loading import read_workflow_settings

WHERE = r"workflow config \(config/config.yaml, --configfile, --config\): "


def test_the_profile_is_read():
    assert read_workflow_settings({"profile": "smol"}).profile == "smol"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"profile": "ci", "profle": "smol"}, "profle: .*unknown key; did you mean 'profile'?"),
        ({"profile": "ci", "Profile": "smol"}, "Profile: .*unknown key; did you mean 'profile'?"),
        ({"profile": "ci", "seed": 3}, "seed: .*unknown key; known here: profile"),
        ({"profile": "ci", 3: 4}, "3: expected keys should be strings"),
        ({}, "profile: expected a value; found none"),
        ({"profile": ""}, "profile: expected string should have at least 1 character"),
        ({"profile": None}, "profile: expected a valid string; found None"),
        ({"profile": 3}, "profile: expected a valid string; found 3"),
        ({"profile": ["ci"]}, "profile: expected a valid string; found"),
        ({"profile": {"extends": "ci"}}, "profile: expected a valid string; found"),
    ],
)
def test_anything_else_is_one_line(values, message):
    with pytest.raises(ConfigError, match=WHERE + message) as problem:
        read_workflow_settings(values)
    assert "\n" not in str(problem.value)
