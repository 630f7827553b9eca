"""Siblings: networks fine-tuned from a known one on a few people's plain faces (row T5).

A provider may have tuned a public network, and an attacker may have only the public one, or the other way round.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional as F

from facemin.attack.link.trainable import Trainable
from facemin.autograd.recogniser import Recogniser

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

BATCH = 16
SCALE = 16.0
"""Of the cosines in the loss."""


def fine_tuned(
    recogniser: Recogniser,
    faces: Tensor,
    people: Tensor,
    *,
    steps: int,
    rate: float = 1e-4,
    seed: int = 0,
    exportable: bool = False,
) -> Trainable:
    """Train a copy with cosines to a centre for each person, scaled, by Adam.

    Args:
        recogniser: to begin from; it stays.
        faces: plain, (N, 3, 112, 112) in [0, 1], at least two people's.
        people: who is on each, (N,), from 0 without a gap.
        steps: of 16 faces each, drawn with replacement.
        rate: of Adam.
        seed: of the centres and the faces drawn.
        exportable: leave weights as they are that the graph holds in another form, so that `as_recogniser` can follow.

    Raises:
        ValueError: sizes that do not fit.
    """
    if faces.ndim != 4 or people.shape != (len(faces),) or not len(faces) or int(people.max()) < 1:
        raise ValueError(
            f"faces, people: expected (N, 3, 112, 112), (N,) of at least two people, "
            f"got {tuple(faces.shape)}, {tuple(people.shape)}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Trainable(recogniser)
        places = _places(recogniser)
        trained = [weight for name, weight in network.weights.items() if not exportable or name in places]
        centres = torch.nn.Parameter(F.normalize(torch.randn(int(people.max()) + 1, recogniser.embedding_size)))
        optimiser = torch.optim.Adam([*trained, centres], rate)
        for _ in range(steps):
            rows = torch.randint(len(faces), (BATCH,))
            loss = F.cross_entropy(SCALE * network(faces[rows]) @ F.normalize(centres).T, people[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network


def as_recogniser(network: Trainable, original: Recogniser) -> Recogniser:
    """The original's graph with a trained copy's weights, under the original's cuts.

    Args:
        network: a copy of `original`, fine-tuned with `exportable`.
        original: what it was copied from.

    Raises:
        ValueError: a weight that changed has no place in the graph.
    """
    graph = onnx.ModelProto()
    graph.CopyFrom(original.graph)
    before, places = dict(original.module.named_buffers()), _places(original)
    arrays = {held.name: held for held in graph.graph.initializer}
    for name, weight in network.weights.items():
        after = weight.detach().cpu()
        if torch.equal(after, before[name]):
            continue
        if name not in places:
            raise ValueError(f"network: expected changes of weights that {original.name} holds, got one of {name}")
        held = arrays[places[name]]
        shape = tuple(held.dims)
        values = after.T if after.ndim == 2 and tuple(after.T.shape) == shape else after
        held.CopyFrom(numpy_helper.from_array(values.contiguous().numpy().reshape(shape), held.name))
    cuts = tuple(cut.name for cut in original.cuts)
    return Recogniser(graph, name=f"{original.name}, fine-tuned", cuts=cuts)


def _places(recogniser: Recogniser) -> dict[str, str]:
    """Constants of the module to those of the graph with the same numbers, transposed or in another shape."""
    found = {}
    known = {_digest(numpy_helper.to_array(held)): held.name for held in recogniser.graph.graph.initializer}
    for name, tensor in recogniser.module.named_buffers():
        for way in (tensor, tensor.T) if tensor.ndim == 2 else (tensor,):
            if (place := known.get(_digest(way.cpu().numpy()))) is not None:
                found[name] = place
    return found


def _digest(values: NDArray[np.generic]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest()
