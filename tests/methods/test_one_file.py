"""A method is one file of harc.methods: nothing else has to name it."""

import shutil
import subprocess
import sys
from pathlib import Path

import harc

METHOD = '''
from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from harc.methods.harc import TokenTerms
from harc.settings.methods import Look, Method, Section


class FlatSettings(Section):
    """Settings of the method that this test adds."""

    key: ClassVar = "flat"
    title: ClassVar = "Flat"
    factor: float = Field(2.0, description="what the loss is multiplied with; ours")


METHOD = Method("flat", 55, aim="a test's", section=FlatSettings, reads=("loss",))
PRESETS = {"flat": {"objective": "flat", "loss": {"couple": 0.0, "couple_resp": 0.0}}}
LOOKS = {"flat": Look("Flat", 55, ("#123456", "o", "-"), is_baseline=True)}


def create_objective(context):
    return FlatObjective(context.settings)


def list_depths(settings):
    return (0.5,)


class FlatObjective(TokenTerms):
    def losses(self, module, batches):
        for loss in super().losses(module, batches):
            yield FlatSettings.of(self.settings).factor * loss
'''

USE = """
import sys
from pathlib import Path

from harc.settings.methods import is_read, list_objective_code
from harc.settings.profile import load_profile
from harc.settings.training import MethodSettings

assert "torch" not in sys.modules and "numpy" not in sys.modules
from fixtures.training_rows import make_settings, train

from harc.results.comparisons import list_pairs
from harc.results.figures.style import style_method
from harc.results.vocabulary import name_method, sort_methods

settings = make_settings("flat", flat={"factor": 3.0})
assert settings.objective == "flat" and settings.flat.factor == 3.0
assert is_read("flat.factor", "flat") and is_read("loss.kl", "flat") and not is_read("flat", "harc")
assert "flat (a test's)" in MethodSettings.model_fields["objective"].description
assert name_method("flat") == "Flat" and style_method("flat")[0] == "#123456"
assert ("harc", "flat") in list_pairs(["base", "harc", "flat"])
assert sort_methods(["harc", "flat", "cast"]) == ["cast", "flat", "harc"]
assert list_objective_code(settings) == ["harc.methods.flat:create_objective", "harc.methods.flat:list_depths"]
"""

TRAIN = """
out = Path(sys.argv[1]) / "out"
assert train(out, settings)["updates"] == 3
from safetensors import safe_open

with safe_open(out / "adapter_model.safetensors", "pt") as file:
    assert {name.split(".")[4] for name in file.keys()} == {"0", "1", "2", "3"}  # 5 blocks; slot 3 and one more
"""


def test_a_file_declares_a_method(tmp_path: Path):
    package = Path(harc.__file__).parent
    shutil.copytree(package, tmp_path / "harc", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "harc/methods/flat.py").write_text(METHOD)
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", USE + TRAIN, str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=tests,
        env={"PYTHONPATH": f"{tmp_path}:{tests}", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
