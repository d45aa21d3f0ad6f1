"""adapter_config.json of a LoRA adapter: the values that say what the update is, with their types in PEFT."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harc.model.tensors import name_some

KINDS = {"LORA": "LoRA", "LOHA": "LoHa", "LOKR": "LoKr", "IA3": "(IA)3", "ADALORA": "AdaLoRA", "VERA": "VeRA"}
"""How people call kinds of PEFT; the others go by PEFT's own names."""
LARGEST = 10**6
Count = Annotated[int, Field(ge=0, le=LARGEST)]
Number = Annotated[int | float, Field(ge=-LARGEST, le=LARGEST)]
Names = str | list[str] | None


class AdapterSettings(BaseModel):
    """Settings of LoRA that say what the update is; defaults are PEFT's (peft.LoraConfig 0.21)."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)

    peft_type: str
    task_type: str | None = None
    base_model_name_or_path: str | None = None
    revision: str | None = None
    r: Annotated[int, Field(ge=1, le=LARGEST)] = 8
    lora_alpha: Number = 8
    lora_dropout: Annotated[int | float, Field(ge=0, le=1)] = 0.0
    use_rslora: bool = False
    use_dora: bool = False
    lora_bias: bool = False
    bias: Literal["none", "all", "lora_only"] = "none"
    fan_in_fan_out: bool = False
    target_modules: Names = None
    exclude_modules: Names = None
    modules_to_save: list[str] | None = None
    target_parameters: list[str] | None = None
    layers_to_transform: Count | list[Count] | None = None
    layers_pattern: Names = None
    rank_pattern: dict[str, Annotated[int, Field(ge=1, le=LARGEST)]] | None = None
    alpha_pattern: dict[str, Number] | None = None
    init_lora_weights: bool | str | None = True

    @property
    def kind(self) -> str:
        """How people call this kind of adapter."""
        if self.peft_type != "LORA":
            return KINDS.get(self.peft_type, self.peft_type)
        name = "rsLoRA" if self.use_rslora else "LoRA"
        return name if not self.use_dora else "DoRA" if name == "LoRA" else f"{name} + DoRA"

    def find_scale(self, alpha: float, rank: int) -> float:
        """What lora_B @ lora_A is multiplied by (rsLoRA: arXiv 2312.03732)."""
        return alpha / (rank**0.5 if self.use_rslora else rank)

    @property
    def blocks(self) -> set[int] | None:
        """Numbers of the blocks that get an update; None for all."""
        chosen = self.layers_to_transform
        return {chosen} if isinstance(chosen, int) else set(chosen) if chosen else None


PLAIN = {
    "auto_mapping", "peft_version", "inference_mode", "megatron_core", "qalora_group_size", "eva_config",
    "ensure_weight_tying",
}  # fmt: skip
"""Further settings of PEFT that say nothing of the update."""
SPECIAL = {
    "megatron_config": "imports a module that it names",
    "alora_invocation_tokens": "is on for a part of a text alone",
    "layer_replication": "repeats blocks of the base",
    "target_parameters": "changes parameters that are no layers",
    "trainable_token_indices": "changes single tokens",
    "loftq_config": "goes with a quantised base",
    "corda_config": "takes a part out of the base",
    "lora_ga_config": "takes a part out of the base",
    "use_qalora": "goes with a quantised base",
    "use_bdlora": "has updates of another form",
    "arrow_config": "chooses among adapters by the text",
    "kasa_config": "has updates of another form",
    "velora_config": "has updates of another form",
    "monteclora_config": "has updates of another form",
    "runtime_config": "is no property of an adapter",
}
"""Settings of PEFT by which the update is another than scale * lora_B @ lora_A, and how."""


def parse_adapter_settings(config: Mapping[str, Any]) -> AdapterSettings:
    """The values of an adapter_config.json.

    Raises:
        ValueError: naming the first settings of a wrong type or out of range.
    """
    try:
        return AdapterSettings.model_validate(dict(config))
    except ValidationError as problem:
        places = dict.fromkeys(
            f"{error['loc'][0] if error['loc'] else 'value'}: {error['msg']}" for error in problem.errors()
        )
        raise ValueError(name_some(list(places))) from None
    except RecursionError:
        raise ValueError("values nested too deep") from None


def list_unknown(config: Mapping[str, Any]) -> list[str]:
    """Settings with a value that this project does not know as PEFT's."""
    known = {*AdapterSettings.model_fields, *PLAIN, *SPECIAL}
    return sorted(name for name, value in config.items() if name not in known and value)
