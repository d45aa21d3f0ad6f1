"""Work as a device sees it, and how long it takes: tokens that are read, trained on and decoded, in operations."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from harc.rehearsal.measured import (
    DECODE_KERNELS,
    DERIVED,
    LOADED,
    READ_KERNELS,
    START_SECONDS,
    TRAIN_KERNELS,
    Rates,
)
from harc.rehearsal.published import PublishedModel
from harc.rehearsal.shapes import count_body, count_cached, count_head, count_parameters

Kind = Literal["read", "train", "decode", "wait"]


@dataclass(frozen=True)
class Work:
    """Some work of one kind.

    Attributes:
        kind: what it is; `wait` is time that is none of the device's.
        flops: floating-point operations.
        kernels: that are started one after the other.
        moved: bytes of weights and cached states that pass through the device while decoding.
        seconds: of `wait`.
        least: share of it that is done at the least.
    """

    kind: Kind
    flops: float = 0.0
    kernels: float = 0.0
    moved: float = 0.0
    seconds: float = 0.0
    least: float = 1.0


@dataclass(frozen=True)
class Subject:
    """A model at work.

    Attributes:
        model: its shape.
        size: bytes of a weight.
        on_cpu: whether it runs on a CPU, where prompts' common beginnings are read once.
    """

    model: PublishedModel
    size: int
    on_cpu: bool

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights."""
        return count_parameters(self.model) * self.size

    def read(self, tokens: float, *, passes: float, length: float, logits: float = 0) -> Work:
        """Forward passes over tokens.

        Args:
            tokens: in all.
            passes: they are spread over.
            length: mean length of a sequence, which attention looks back over.
            logits: positions whose logits are made.
        """
        model = self.model
        own = 2 * count_body(model) + 2 * model.layers * model.hidden * length
        flops = tokens * own + 2 * logits * count_head(model)
        return Work("read", flops, passes * model.layers * READ_KERNELS)

    def train(self, body: float, head: float, *, passes: float, depth: float = 1.0) -> Work:
        """Forward and backward passes.

        Args:
            body, head: operations for each weight of the blocks, and of the head.
            passes: forward and backward, the teacher's among them.
            depth: share of the blocks that is run.
        """
        flops = body * count_body(self.model) * depth + head * count_head(self.model)
        return Work("train", flops, passes * self.model.layers * depth * TRAIN_KERNELS)

    def decode(
        self, rows: float, *, answer: float, longest: float, batch: int, context: float, least: float = 1.0
    ) -> Work:
        """Answers in batches, each batch as long as its longest answer.

        Args:
            rows: prompts.
            answer: mean tokens of an answer.
            longest: tokens of a batch's longest.
            batch: rows of a batch.
            context: mean tokens that a new one looks back over.
            least: share of it that is done at the least.
        """
        model, steps = self.model, ceil(rows / batch) * longest
        attention = 4 * model.layers * model.hidden * context
        flops = rows * answer * (2 * (count_body(model) + count_head(model)) + attention)
        cached = rows * answer * context * count_cached(model) * self.size
        moved = steps * self.weight_bytes + cached
        return Work("decode", flops, steps * model.layers * DECODE_KERNELS, moved, least=least)

    def load(self, times: int = 1) -> Work:
        """Starting a job, and bringing the weights in so many times."""
        return Work("wait", seconds=START_SECONDS + times * self.weight_bytes / LOADED)


def time_work(work: Work, rates: Rates) -> float:
    """Seconds: whatever takes longest of multiplying, moving and starting."""
    if work.kind == "wait":
        return work.seconds
    multiplying = work.flops / getattr(rates, work.kind)
    return max(multiplying, work.kernels * rates.launch, work.moved / rates.moved)


def bound_work(work: Work, rates: Rates, *, derived: bool = False) -> tuple[float, float]:
    """(least, most) seconds.

    Args:
        work: what is done.
        rates: of the device.
        derived: whether no kind of work was measured in this form, as on several devices.
    """
    seconds = time_work(work, rates)
    wide = DERIVED if derived or work.kind in rates.derived else 1.0
    return seconds * work.least * rates.low / wide, seconds * rates.high * wide
