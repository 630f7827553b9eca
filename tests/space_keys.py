"""Keys that end in a small space, their untrained protectors, and people whom they tell apart."""

from datetime import UTC, datetime

import numpy as np
from onnx import ModelProto

from facemin.autograd.recogniser import Recogniser
from facemin.image import Pixels
from facemin.keys.key import Key, export_key
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import Isotropy, SpaceDeclaration
from facemin.models.space_fit import SpaceMap, append_space
from facemin.protection.one_pass.decoder_graph import DecoderSize, decoder_graph, weight_shapes
from facemin.protection.one_pass.protector_file import ProtectorFile
from tests.models.test_store import tiny_graph

D = 12


def person(number: int, photo: int = 0) -> Pixels:
    """An aligned face: one pattern a person, and some noise a photo."""
    pattern = np.random.default_rng(number).integers(40, 216, (4, 4, 3)).repeat(28, 0).repeat(28, 1)
    noise = np.random.default_rng((number, photo)).integers(-25, 26, (112, 112, 3))
    return (pattern + noise).clip(0, 255).astype(np.uint8)


def space_key(*, seed: int = 0, residual: float = 2.0, provider: str = "Acme") -> Key:
    """A key that ends in a space of twelve dimensions, views alike for a face and its mirror image."""
    graph = ModelProto.FromString(tiny_graph(seed=seed))
    grey = FaceRunner(graph.SerializeToString())(np.full((1, 112, 112, 3), 128, np.uint8))[0]
    fitted = SpaceMap(mean=grey / np.linalg.norm(grey), matrix=np.eye(D, 16, dtype=np.float32))
    isotropy = Isotropy(mean=0.1, last_over_first=0.5, effective_dimension=9.0, faces=100)
    declaration = SpaceDeclaration(dimension=D, isotropy=isotropy, fitted="noise", views="face")
    recogniser = Recogniser(append_space(graph, fitted), name="tiny-space", space=declaration)
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return export_key(recogniser, "space", provider=provider, residual=residual, created=created)


def protector_for(key: Key) -> ProtectorFile:
    size = DecoderSize(widths=(16, 8, 8, 4), blocks=(1, 1, 0, 0), style=16, layers=2)
    rng = np.random.default_rng(0)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(max(int(np.prod(shape[1:])), 1))).astype(np.float32)
        for name, shape in weight_shapes(size, target=D, noise=4).items()
    }
    assert key.space is not None
    return ProtectorFile.make(decoder_graph(size, weights, target=D, noise=4), size, space=key.space.id.hex())
