"""Builder for sums of products written with a letter for each axis."""

from functools import partial
from string import ascii_letters

import torch
from torch import Tensor

from facemin.autograd.operator_api import BatchMovedError, Lowered, Node, Value
from facemin.models.onnx.analysis.batch_axis import EQUATION


def _einsum(*tensors: Tensor, equation: str) -> Tensor:
    return torch.einsum(equation, *tensors)


def einsum(node: Node) -> Lowered:
    """One to four tensors; a letter for each axis, and the result's axes named."""
    equation = node.text("equation", "").replace(" ", "")
    if not EQUATION.fullmatch(equation):
        raise ValueError(
            "expected an equation like 'bic,bcj->bij', a letter for each axis and the result named, "
            f"got {equation!r:.80}"
        )
    left, result = equation.split("->")
    terms, values = left.split(","), [node.value(i) for i in range(len(node.inputs))]
    if [len(term) for term in terms] != [len(value.written) for value in values]:
        raise ValueError(f"{equation}: expected axes as of {[value.written for value in values]}")
    if len({*result}) != len(result) or not {*result} <= {*left}:
        raise ValueError(f"{equation}: expected each of the result's axes once, and on the left")
    sizes: dict[str, int] = {}
    for letter, n in (
        (each, n)
        for term, value in zip(terms, values, strict=True)
        for each, n in zip(term, value.written, strict=True)
    ):
        if sizes.setdefault(letter, n) != n:
            raise ValueError(f"{equation}: axis {letter} is {sizes[letter]} and {n} long")
    taps = 1
    for letter in {*left} - {*result, ","}:
        taps *= sizes[letter]
    batch = _batch_letter(equation, terms, values)
    if batch is None:
        return Lowered(partial(_einsum, equation=equation), node.present(), taps=taps)
    if not any(value.lifted for value in values):
        if result[0] != batch:
            raise BatchMovedError(f"{equation} moves the batch axis from the front")
        # a constant has one row, which all share
        terms = [term if value.batched else term.replace(batch, "") for term, value in zip(terms, values, strict=True)]
        held = tuple(
            i
            if value.constant is None or len(term) == value.rank
            else value.constant.reshape(
                [n for letter, n in zip(left.split(",")[i], value.shape, strict=True) if letter != batch]
            )
            for i, (term, value) in enumerate(zip(terms, values, strict=True))
        )
        return Lowered(partial(_einsum, equation=f"{','.join(terms)}->{result}"), held, taps=taps)
    row = next(letter for letter in ascii_letters if letter not in equation)
    terms = [row + term if value.batched else term for term, value in zip(terms, values, strict=True)]
    run = partial(_einsum, equation=f"{','.join(terms)}->{row}{result}")
    return Lowered(run, node.present(), taps=taps, place=result.index(batch))


def _batch_letter(equation: str, terms: list[str], values: list[Value]) -> str | None:
    """The letter of the batch axis; None where nothing depends on the image."""
    batched = [(term, value.place) for term, value in zip(terms, values, strict=True) if value.batched]
    if not batched:
        return None
    letters = {term[place] for term, place in batched if place is not None}
    if len(letters) != 1 or None in {place for _, place in batched} or not letters <= {*equation.split("->")[1]}:
        raise ValueError(f"{equation} works across the batch axis, so images would not be independent of each other")
    letter = letters.pop()
    if any(term.count(letter) != 1 for term, _ in batched):
        raise ValueError(f"{equation} works across the batch axis, so images would not be independent of each other")
    return letter
