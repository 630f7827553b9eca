"""MobileNet (version 1): depthwise separable convolutions all the way."""

from torch import nn

from facemin.train.families.layers import Scale, chain, channels_at, check_embedding, convolve, initialise

STEM = 32
LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))
"""Channels and stride of the 13 separable convolutions; table 1 of the paper.

The table gives the last one stride 2, but the sizes beside it, 7 x 7 before and after, say 1.
"""


def mobilenet(*, embedding_size: int = 512, width: float = 1.0, faces: bool = True) -> nn.Sequential:
    """Faces (B, 3, 112, 112), RGB in [0, 1], to embeddings (B, embedding_size), not normalised.

    For faces the first convolution keeps the resolution, so every later map has the size that it has in the paper,
    and the embedding ends in batch normalisation.

    Stages: scaled, conv1, separable1 to separable13, pooled, embedding.

    Source: Howard et al. 2017 (arXiv 1704.04861), table 1 and figure 3: 4.2 million parameters with 1000 classes.

    Args:
        embedding_size: length of an embedding.
        width: the paper's width multiplier; not on the embedding.
        faces: False for the network as published: (B, 3, 224, 224) to `embedding_size` classes' logits.

    Raises:
        ValueError: a setting outside its range.
    """
    check_embedding(embedding_size)
    stem, *rest = channels_at(width, STEM, *(count for count, _ in LAYERS))
    stages: dict[str, nn.Module] = {"scaled": Scale(), "conv1": _activated(3, stem, 3, stride=1 if faces else 2)}
    before = stem
    for number, (after, (_, stride)) in enumerate(zip(rest, LAYERS, strict=True), start=1):
        stages[f"separable{number}"] = chain(
            depthwise=_activated(before, before, 3, stride=stride, groups=before),
            pointwise=_activated(before, after, 1),
        )
        before = after
    stages["pooled"] = chain(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    linear = nn.Linear(before, embedding_size)
    stages["embedding"] = chain(linear=linear, bn=nn.BatchNorm1d(embedding_size)) if faces else linear
    return initialise(chain(**stages))


def _activated(fan_in: int, fan_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return chain(
        conv=convolve(fan_in, fan_out, kernel, stride=stride, groups=groups),
        bn=nn.BatchNorm2d(fan_out),
        relu=nn.ReLU(),
    )
