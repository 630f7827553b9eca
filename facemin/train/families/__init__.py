"""Native families: recognisers as plain torch modules, to be trained and then exported (`export`).

Each is an `nn.Sequential` of named stages from faces (B, 3, 112, 112), RGB in [0, 1], to embeddings (B, D) that are
not normalised. The stages' names are those of the cuts of the exported recogniser.
"""

from collections.abc import Callable
from functools import partial

from torch import nn

from facemin.train.families.iresnet import iresnet
from facemin.train.families.mobilefacenet import mobilefacenet
from facemin.train.families.mobilenet import mobilenet
from facemin.train.families.resnet import resnet50
from facemin.train.families.sphereface import sphereface20

__all__ = ["FAMILIES", "iresnet", "mobilefacenet", "mobilenet", "resnet50", "sphereface20", "stages"]

FAMILIES: dict[str, Callable[..., nn.Sequential]] = {
    "mobilefacenet": mobilefacenet,
    "ir18": partial(iresnet, depth=18),
    "ir34": partial(iresnet, depth=34),
    "ir50": partial(iresnet, depth=50),
    "ir100": partial(iresnet, depth=100),
    "irse50": partial(iresnet, depth=50, squeeze_excite=True),
    "resnet50": resnet50,
    "mobilenet": mobilenet,
    "sphereface20": sphereface20,
}
"""Constructors by name; all take the keywords `embedding_size` and `width`."""


def stages(network: nn.Sequential) -> tuple[str, ...]:
    """The names of a network's stages, from the input on: where it may be cut."""
    return tuple(name for name, _ in network.named_children())
