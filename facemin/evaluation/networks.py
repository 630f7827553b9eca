"""The networks of an experiment, by name: recognisers that judge, and the distance of two images."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from facemin.autograd.module import OnnxModule
from facemin.autograd.opening import open_model
from facemin.evaluation.judge import BATCH
from facemin.models import MODELS, load_recogniser
from facemin.models.onnx.graph import read_graph
from facemin.models.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from facemin.models import Recogniser


def find_recogniser(name: str, folder: Path | None) -> Recogniser:
    """Open a recogniser: one that comes with facemin or is stored, else the ONNX file of that stem in a folder.

    Args:
        name: of it.
        folder: of ONNX files that take RGB in [0, 255]; None for none.

    Raises:
        ValueError: there is none of that name.
    """
    if name in MODELS or name in ModelStore():
        return open_model(name)
    return load_recogniser(_file(name, folder, f"one of {', '.join([*MODELS, *ModelStore().names()])}, or "))


class Distance:
    """A network that takes two images, RGB in [0, 255], and gives how far apart they look.

    Its figure bears its own name: only the published networks with their weights make an LPIPS.

    Args:
        name: stem of the ONNX file.
        folder: where it lies.
        device: where to compute.

    Raises:
        ValueError: no such file, or a graph of other inputs and outputs.
    """

    def __init__(self, name: str, folder: Path | None, device: torch.device | str = "cpu") -> None:
        file = _file(name, folder, "")
        self.name, self.device = name, device
        self.sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        self._network = OnnxModule(read_graph(file, inputs=2)).eval()
        shapes = self._network.input_shapes, self._network.output_shape
        if shapes != (((3, 112, 112),) * 2, ()):
            raise ValueError(f"{name}: expected a graph from two images (3, 112, 112) to a number, got {shapes}")
        self._network.to(device)

    def __call__(self, images: Tensor, reference: Tensor) -> Tensor:
        """Distances (N,) of images (N, 3, 112, 112) in [0, 1] from others."""
        with torch.inference_mode():
            parts = zip(torch.split(images, BATCH), torch.split(reference, BATCH), strict=True)
            return torch.cat([self._network(self._bytes(a), self._bytes(b)).cpu() for a, b in parts])

    def _bytes(self, images: Tensor) -> Tensor:
        return images.to(self.device) * 255


def _file(name: str, folder: Path | None, known: str) -> Path:
    if folder is None:
        raise ValueError(f"model {name!r}: expected {known}a folder of ONNX files (--models or --shared), got none")
    file = folder / f"{name}.onnx"
    if not file.is_file():
        raise ValueError(f"model {name!r}: expected {known}an ONNX file of that name in {folder}, found none")
    return file
