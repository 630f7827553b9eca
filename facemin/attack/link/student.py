"""FaceLinkGen's attack (row T5): a student learns to read from a protected image whom a teacher saw in the plain one.

The attacker runs the protector on faces of their own and asks an ordinary recogniser who is on them; after training,
protected images link to plain photos, and to one another, at that recogniser's gallery.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facemin.attack.features import BATCH, KeyFeatures
from facemin.attack.link.trainable import Trainable
from facemin.attack.training import Fitting, fit, floating, weights_drawn_from
from facemin.train.families import mobilefacenet

if TYPE_CHECKING:
    from typing import Unpack

    from facemin.attack.training import FitOptions, Pairs
    from facemin.keys.key import Key
    from facemin.models import Recogniser

Body = Literal["recogniser", "scratch", "key"]


@dataclass(frozen=True, kw_only=True)
class StudentTraining:
    """What a student is and how it is trained.

    Args:
        body: "recogniser" begins from a trained recogniser's weights behind one more convolution (FaceLinkGen's choice,
            and the best with little data), "scratch" is a small MobileFaceNet, "key" is a tower on a key's features.
        width: of a body that begins from nothing.
        fitting: epochs, rate and so on.

    Raises:
        ValueError: an unknown body.
    """

    body: Body = "recogniser"
    width: float = 0.5
    fitting: Fitting = field(default_factory=lambda: Fitting(epochs=10, batch=32, rate=1e-3))

    def __post_init__(self) -> None:
        if self.body not in ("recogniser", "scratch", "key"):
            raise ValueError(f"body: expected recogniser, scratch or key, got {self.body!r}")


def teach(teacher: Recogniser, faces: Tensor) -> Tensor:
    """What the teacher sees in plain faces (N, 3, 112, 112), uint8 or in [0, 1]: unit rows (N, D) on the CPU."""
    device = next(iter(teacher.buffers()), faces).device
    with torch.no_grad():
        rows = [teacher(floating(part).to(device)).cpu() for part in faces.split(BATCH)]  # type: ignore[no-untyped-call]
    return torch.cat(rows)


def train_student(
    pairs: Pairs,
    *,
    teacher: Recogniser | None = None,
    key: Key | None = None,
    settings: StudentTraining | None = None,
    **run: Unpack[FitOptions],
) -> Student:
    """Train a student on pairs of (image, the teacher's embedding of the plain face), with the loss 1 - cosine.

    Source: FaceLinkGen, section 4: L = 1 - cos(f_s(T(x)), f_t(x)).

    Args:
        pairs: index to (image (3, 112, 112), embedding (D,)), such as `HeldPairs` of images and `teach`.
        teacher: whose weights body "recogniser" begins from; another recogniser will do as well.
        key: whose features body "key" reads. On pairs of plain faces this is a key-only linker with a teacher.
        settings: how.
        **run: see `FitOptions`.

    Raises:
        ValueError: no teacher or key where the body needs one, or as `fit` says.
    """
    settings = settings or StudentTraining()
    network = weights_drawn_from(settings.fitting.seed, lambda: _body(settings, pairs, teacher, key))
    fit(
        network,
        pairs,
        settings=settings.fitting,
        loss=lambda seen, told: 1 - F.cosine_similarity(seen, told),
        score=F.cosine_similarity,
        **run,
    )
    return Student(network)


class Student:
    """Images (B, 3, 112, 112) in [0, 1] to unit embeddings (B, D) in the teacher's space.

    Args:
        network: trained.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()

    def __call__(self, images: Tensor) -> Tensor:
        """Embed images; on the CPU, float32."""
        device = next(self.network.parameters()).device
        with torch.no_grad():
            rows = [self.network(part.to(device)).float().cpu() for part in images.split(BATCH)]  # type: ignore[no-untyped-call]
        return F.normalize(torch.cat(rows))


class _Tower(nn.Module):
    """A key's features, made smaller layer after layer, to an embedding."""

    def __init__(self, key: Key, size: int, width: int) -> None:
        super().__init__()
        self.front = KeyFeatures(key)
        channels, side = self.front.shape[0], min(self.front.shape[1:], default=1)
        layers: list[nn.Module] = [nn.BatchNorm2d(channels)]
        while side > 7:
            layers += _activated(channels, width, stride=2)
            channels, side, width = width, (side + 1) // 2, min(2 * width, 512)
        layers += _activated(channels, width) if side > 1 else []
        channels = width if side > 1 else channels
        rows, columns = (min(7, side), min(7, side))
        self.layers = nn.Sequential(
            *layers,
            nn.AdaptiveAvgPool2d((rows, columns)),
            nn.Flatten(),
            nn.Linear(channels * rows * columns, size),
        )

    def forward(self, images: Tensor) -> Tensor:
        features = self.front(images)
        maps = features if features.dim() == 4 else features[..., None, None]
        rows: Tensor = self.layers(maps)
        return rows


def _activated(fan_in: int, fan_out: int, *, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(fan_in, fan_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(fan_out),
        nn.PReLU(fan_out),
    ]


def _body(settings: StudentTraining, pairs: Pairs, teacher: Recogniser | None, key: Key | None) -> nn.Module:
    size = len(pairs[0][1])
    if settings.body == "scratch":
        return mobilefacenet(embedding_size=size, width=settings.width)
    if settings.body == "key":
        if key is None:
            raise ValueError("key: expected one for a student on a key, got none")
        return _Tower(key, size, max(8, round(128 * settings.width)))
    if teacher is None:
        raise ValueError("teacher: expected the recogniser that the student begins from, got none")
    first = nn.Conv2d(3, 3, 3, padding=1)
    nn.init.dirac_(first.weight)
    nn.init.zeros_(first.bias)  # type: ignore[arg-type]
    last = [] if teacher.embedding_size == size else [nn.Linear(teacher.embedding_size, size)]
    return nn.Sequential(first, Trainable(teacher), *last)
