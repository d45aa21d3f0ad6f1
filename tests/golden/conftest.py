"""Golden numbers of the published implementation; HARC_GOLDEN_DIR points the tests at another folder."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from harc.geometry.directions import Directions
from harc.geometry.extraction import ResponsePairs
from harc.model.backbones import Backbone, load_backbone

FOLDER = Path(os.environ.get("HARC_GOLDEN_DIR", Path(__file__).parent / "data"))
ARCHITECTURES = sorted(path.parent.name for path in FOLDER.glob("*/expected.safetensors"))
RELATIVE = 1e-5


@dataclass(frozen=True)
class Golden:
    """One architecture's inputs and expected outputs."""

    folder: Path
    inputs: dict[str, Any]
    expected: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    backbone: Backbone

    @property
    def pairs(self) -> ResponsePairs:
        """The response pairs as the library takes them."""
        return ResponsePairs(
            **{kind: [tuple(pair) for pair in rows] for kind, rows in self.inputs["response_pairs"].items()}
        )

    @property
    def directions(self) -> Directions:
        """The expected directions that the golden training steps use."""
        prompt, response = "prompt_chat_len256.", "response."
        return Directions(
            v_harm=self.tensors[prompt + "v_harm"],
            v_ref=self.tensors[prompt + "v_ref"],
            v_harm_resp=self.tensors[response + "v_harm_resp"],
            v_ref_resp=self.tensors[response + "v_ref_resp"],
        )


@pytest.fixture(scope="session", params=ARCHITECTURES)
def golden(request: pytest.FixtureRequest) -> Golden:
    """Each architecture's golden numbers in turn."""
    folder = FOLDER / request.param
    return Golden(
        folder,
        json.loads((folder / "inputs.json").read_text()),
        json.loads((folder / "expected.json").read_text()),
        load_file(folder / "expected.safetensors"),
        load_backbone(folder / "model"),
    )


def assert_rows_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Every row within the relative tolerance of the expected row, by length of the difference."""
    difference = (found - expected).norm(dim=-1)
    bound = RELATIVE * expected.norm(dim=-1).clamp_min(1e-3)
    assert (difference <= bound).all(), f"row off by {(difference / bound).max():.2f} tolerances"
