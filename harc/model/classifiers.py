"""Loading a sequence classifier with its tokenizer, as whole and finite as a chat model."""

from pathlib import Path
from typing import Any

from harc.core.errors import ModelError


def load_classifier(folder: Path, dtype: str, device: str) -> tuple[Any, Any]:
    """Model, frozen, and tokenizer.

    Args:
        folder: of safetensors; see `harc.model.weights.find_folder` for a hub id.
        dtype: float32, bfloat16 or float16.
        device: cpu, cuda or cuda:1.

    Raises:
        ModelError: if they cannot be loaded whole, or there is no room.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from harc.model.folders import check_model_folder
    from harc.model.load import check_report, check_weights, load_tokenizer, quiet_library
    from harc.model.tensors import explain_problems

    place = str(folder)
    if check_model_folder(folder) is not None:
        raise ModelError(
            place, expected="weights in safetensors form", found="a GGUF file", fix="use another model"
        )
    tokenizer = load_tokenizer(place, {})
    with explain_problems(place, expected="a sequence classifier", fix="use another model"), quiet_library():
        model, report = AutoModelForSequenceClassification.from_pretrained(
            place,
            dtype=getattr(torch, dtype),
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    check_report(place, report)
    with explain_problems(place, expected=f"room on {device}", fix="choose another device"):
        model = model.to(device)
    check_weights(model, place)
    return model.requires_grad_(False).eval(), tokenizer
