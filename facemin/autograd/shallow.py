"""A key's shallow model as a differentiable module."""

from __future__ import annotations

import torch
from onnx import ModelProto

from facemin.autograd.module import OnnxModule


def shallow_module(data: bytes, layers: tuple[str, ...]) -> OnnxModule:
    """E_c of a checked key: faces (B, 3, 112, 112) in [0, 1] to the features of its layers.

    Args:
        data: the key's file.
        layers: names of its outputs, the cut last.
    """
    # tensors made in inference mode could never be differentiated through
    with torch.inference_mode(mode=False):
        return OnnxModule(ModelProto.FromString(data), outputs=layers).eval()
