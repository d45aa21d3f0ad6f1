"""A sequence classifier of transformers, from the hub or a folder: blocks where the labels that mean so are likely.

A text that is longer than the model reads is cut into windows that overlap by half, and the likeliest one decides:
nothing of it goes unread.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from harc.core.errors import ConfigError
from harc.evaluation.policy.base import Decision, Item, LayerKind, LayerSettings

MOST_TOKENS = 512
"""Of a window, where neither settings nor model say another number."""


class ClassifierLayerSettings(LayerSettings):
    """A layer of kind `classifier`."""

    kind: Literal["classifier"] = Field(description="A sequence classifier of transformers.")
    model: str = Field(min_length=1, description="Folder, relative to this file, or hub id (owner/name).")
    revision: str = Field("main", description="Commit or branch of a hub model.")
    block_labels: tuple[str, ...] = Field(min_length=1, description="Labels of the model that mean block.")
    threshold: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Probability of those labels from which on it blocks; of several exclusive ones their sum.",
    )
    exclusive: bool | None = Field(
        None,
        description="Whether a text has one label alone (softmax) or may have several (sigmoid); none: as config.json "
        "says.",
    )
    max_tokens: int | None = Field(
        None, ge=8, description="Longest window, tokens; none: what the model reads, 512 at most."
    )
    batch_size: int = Field(16, ge=1, description="Windows read together; changes speed alone.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Precision of the weights."
    )
    device: str = Field("cpu", description="cpu, cuda or cuda:1.")


class ClassifierLayer:
    """Blocks what a model labels so."""

    def __init__(self, settings: ClassifierLayerSettings, name: str, folder: Path) -> None:
        """Take the settings; the model is loaded by `prepare`."""
        self.settings, self.name, self.where = settings, name, settings.where
        self.at_once = settings.batch_size
        self.source = str(folder / settings.model) if (folder / settings.model).is_dir() else settings.model

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are, fetched where need be."""
        from harc.model.weights import find_folder

        return find_folder(self.source, self.settings.revision)

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        """Model and tokenizer.

        Raises:
            ModelError: if they cannot be loaded whole.
        """
        from harc.model.classifiers import load_classifier

        return load_classifier(self.folder, self.settings.dtype, self.settings.device)

    @cached_property
    def wanted(self) -> list[int]:
        """Places of the labels that mean block.

        Raises:
            ConfigError: for a label that the model does not have.
        """
        labels = {str(label): int(place) for place, label in self.loaded[0].config.id2label.items()}
        unknown = [label for label in self.settings.block_labels if label not in labels]
        if unknown:
            raise ConfigError(
                f"layer {self.name}: block_labels",
                expected=f"labels of the model: {', '.join(labels)}",
                found=repr(unknown[0]),
                fix="take the labels that mean block from the model's card",
            )
        if len({*self.settings.block_labels}) == len(labels):
            raise ConfigError(
                f"layer {self.name}: block_labels",
                expected="some of the model's labels",
                found="all of them, which would block everything",
                fix="name those that mean block",
            )
        return [labels[label] for label in self.settings.block_labels]

    @cached_property
    def window(self) -> int:
        """Tokens that are read at a time, the tokenizer's own marks included."""
        model, tokenizer = self.loaded
        known = (tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None))
        limits = [value for value in known if isinstance(value, int) and value > 0]
        return min([self.settings.max_tokens or MOST_TOKENS, *limits])

    def describe(self) -> dict[str, Any]:
        """See `Layer.describe`."""
        from harc.model.handle import hash_weights

        told = self.settings.model_dump(mode="json", exclude={"batch_size", "device", "model", "revision"})
        return told | {"weights": hash_weights(self.folder)}

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """See `Layer.prepare`."""
        _ = self.wanted
        return []

    def decide(self, items: Sequence[Item]) -> list[Decision]:
        """See `Layer.decide`."""
        texts = [
            (place, text)
            for place, item in enumerate(items)
            for text in item.list_texts(self.where)
            if text.strip()
        ]
        windows = [(place, ids) for place, text in texts for ids in self.cut(text)]
        scores = [0.0] * len(items)
        for start in range(0, len(windows), self.settings.batch_size):
            part = windows[start : start + self.settings.batch_size]
            for (place, _), score in zip(part, self.score([ids for _, ids in part]), strict=True):
                scores[place] = max(scores[place], score)
        threshold, labels = self.settings.threshold, ", ".join(self.settings.block_labels)
        return [Decision(score >= threshold, score, labels if score >= threshold else "") for score in scores]

    def cut(self, text: str) -> list[list[int]]:
        """Token ids of a text, in windows that overlap by half where it is longer than one."""
        _, tokenizer = self.loaded
        room = max(1, self.window - tokenizer.num_special_tokens_to_add())
        cut = {"truncation": True, "max_length": self.window, "stride": room // 2}
        return tokenizer(text, return_overflowing_tokens=True, **cut)["input_ids"]

    def score(self, windows: Sequence[list[int]]) -> list[float]:
        """Probability of the labels that mean block, of each window."""
        import torch

        model, tokenizer = self.loaded
        longest = max(map(len, windows))
        padding = tokenizer.pad_token_id or 0
        ids = torch.tensor([window + [padding] * (longest - len(window)) for window in windows])
        mask = torch.tensor([[1] * len(window) + [0] * (longest - len(window)) for window in windows])
        device = model.device
        with torch.no_grad():
            logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits.float().cpu()
        several = model.config.problem_type == "multi_label_classification"
        exclusive = not several if self.settings.exclusive is None else self.settings.exclusive
        if logits.shape[1] == 1 or not exclusive:
            return [float(value) for value in logits.sigmoid()[:, self.wanted].max(dim=1).values]
        return [float(value) for value in logits.softmax(dim=1)[:, self.wanted].sum(dim=1)]

    def close(self) -> None:
        """Let go of the model."""
        self.__dict__.pop("loaded", None)


LAYER = LayerKind("classifier", ClassifierLayerSettings, ClassifierLayer)
