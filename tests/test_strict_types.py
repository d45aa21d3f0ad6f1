"""The suite's type checks are on, and tell shapes, plain types and what only type checkers know apart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import strict_types
import torch
from jaxtyping import Float
from torch import Tensor

from harc.core.files import sha256_text
from harc.geometry.directions import compare_slots

if TYPE_CHECKING:
    from harc.nowhere import Thing


def check(part):
    return strict_types.decorate(part, typechecker=strict_types.check)


def refuses(call, *arguments) -> bool:
    """Whether a call ends in an error of the type checks; any other error is raised."""
    try:
        call(*arguments)
    except Exception as problem:
        assert type(problem).__module__.partition(".")[0] in ("jaxtyping", "beartype"), problem
        return True
    return False


def test_functions_of_the_package_are_checked():
    assert not refuses(sha256_text, "text")
    assert refuses(sha256_text, 3)


def test_shapes_of_the_package_are_checked():
    rows = torch.ones(2, 3)
    assert not refuses(compare_slots, rows, rows)
    assert refuses(compare_slots, rows, torch.ones(2, 4))


def test_sizes_agree_within_a_call():
    @check
    def multiply(a: Float[Tensor, "n k"], b: list[Float[Tensor, "k m"]]) -> Float[Tensor, "n m"]:
        return a @ b[0] if len(b) == 1 else a

    left, right = torch.ones(2, 3), torch.ones(3, 4)
    assert not refuses(multiply, left, [right])
    assert refuses(multiply, left, [left])
    assert refuses(multiply, left, [right, right])  # what it returns


def test_arguments_and_returned_values_are_checked():
    @check
    def double(value: int) -> str:
        return "2" if value == 1 else value

    assert not refuses(double, 1)
    assert refuses(double, "1")
    assert refuses(double, 2)


def test_fields_of_dataclasses_are_checked():
    @check
    @dataclass
    class Point:
        x: int

    assert not refuses(Point, 1)
    assert refuses(Point, "1")


def test_methods_of_every_kind_are_checked():
    class Holder:
        @check
        @staticmethod
        def give(value: int) -> int:
            return value

        @check
        @property
        def value(self) -> int:
            return "1"

    assert not refuses(Holder.give, 1)
    assert refuses(Holder.give, "1")
    assert refuses(lambda: Holder().value)


def test_what_only_type_checkers_import_is_anything_and_the_rest_is_checked():
    @check
    def hold(thing: "Thing", count: int) -> None: ...

    assert not refuses(hold, object(), 1)
    assert refuses(hold, object(), "1")


@pytest.mark.parametrize("hint", [Float[Tensor, "n"], list[Float[Tensor, "n"]], Float[Tensor, "n"] | None])
def test_a_shape_is_found_wherever_it_stands(hint):
    assert strict_types.names_shape(hint)
    assert not strict_types.names_shape(list[int] | None)
