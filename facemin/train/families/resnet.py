"""ResNet-50, for faces of 112 x 112 pixels or as it was published."""

from torch import nn

from facemin.train.families.layers import Residual, Scale, chain, channels_at, check_embedding, convolve, initialise

GROUPS = ((64, 3), (128, 4), (256, 6), (512, 3))
"""Inner channels and blocks of conv2 to conv5; table 1 of the paper."""

EXPANSION = 4


def resnet50(*, embedding_size: int = 512, width: float = 1.0, faces: bool = True) -> nn.Sequential:
    """Faces (B, 3, 112, 112), RGB in [0, 1], to embeddings (B, embedding_size), not normalised.

    For faces the 7 x 7 convolution with stride 2 and the pooling give way to a 3 x 3 convolution with stride 1 and a
    stride of 2 in conv2_1, so every later map has the size that it has in the paper; the embedding ends in batch
    normalisation. As in the paper it is the first convolution of a block that halves the resolution.

    Stages: scaled, conv1, conv2_1 to conv5_3, pooled, embedding.

    Source: He et al. 2015 (arXiv 1512.03385), table 1 and figure 5.

    Args:
        embedding_size: length of an embedding.
        width: factor on all channels but the embedding's; below 1 for a small network.
        faces: False for the network as published: (B, 3, 224, 224) to `embedding_size` classes' logits.

    Raises:
        ValueError: a setting outside its range.
    """
    check_embedding(embedding_size)
    (stem,) = channels_at(width, 64)
    stages: dict[str, nn.Module] = {"scaled": Scale()}
    if faces:
        stages["conv1"] = chain(conv=convolve(3, stem, 3), bn=nn.BatchNorm2d(stem), relu=nn.ReLU())
    else:
        conv = convolve(3, stem, 7, stride=2)
        stages["conv1"] = chain(conv=conv, bn=nn.BatchNorm2d(stem), relu=nn.ReLU(), pool=nn.MaxPool2d(3, 2, 1))
    before = stem
    for group, (count, blocks) in enumerate(GROUPS, start=2):
        (inner,) = channels_at(width, count)
        for block in range(1, blocks + 1):
            halves = block == 1 and (group > 2 or faces)
            stages[f"conv{group}_{block}"] = _bottleneck(before, inner, stride=2 if halves else 1)
            before = EXPANSION * inner
    stages["pooled"] = chain(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    linear = nn.Linear(before, embedding_size)
    stages["embedding"] = chain(linear=linear, bn=nn.BatchNorm1d(embedding_size)) if faces else linear
    return initialise(chain(**stages))


def _bottleneck(fan_in: int, inner: int, *, stride: int) -> nn.Sequential:
    fan_out = EXPANSION * inner
    body = chain(
        conv1=convolve(fan_in, inner, 1, stride=stride),
        bn1=nn.BatchNorm2d(inner),
        relu1=nn.ReLU(),
        conv2=convolve(inner, inner, 3),
        bn2=nn.BatchNorm2d(inner),
        relu2=nn.ReLU(),
        conv3=convolve(inner, fan_out, 1),
        bn3=nn.BatchNorm2d(fan_out),
    )
    shortcut = None
    if stride > 1 or fan_in != fan_out:
        shortcut = chain(conv=convolve(fan_in, fan_out, 1, stride=stride), bn=nn.BatchNorm2d(fan_out))
    return chain(sum=Residual(body, shortcut), relu=nn.ReLU())
