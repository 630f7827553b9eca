"""MobileFaceNet: inverted residuals, and a global depthwise convolution in place of pooling."""

from torch import nn

from facemin.train.families.layers import Residual, Scale, chain, channels_at, check_embedding, convolve, initialise

GROUPS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion, channels, blocks, and the first block's stride; table 1 of the paper."""

LAST_SIDE = 7


def mobilefacenet(*, embedding_size: int = 128, width: float = 1.0) -> nn.Sequential:
    """Faces (B, 3, 112, 112), RGB in [0, 1], to embeddings (B, embedding_size), not normalised.

    Stages: scaled, conv1, dwconv1, bottleneck1_1 to bottleneck5_2, conv2, gdconv, embedding.

    Source: Chen et al. 2018 (arXiv 1804.07573), table 1: 0.99 million parameters.

    Args:
        embedding_size: length of an embedding.
        width: factor on all channels but the embedding's; below 1 for a small network.

    Raises:
        ValueError: a setting outside its range.
    """
    check_embedding(embedding_size)
    stem, last = channels_at(width, 64, 512)
    stages: dict[str, nn.Module] = {
        "scaled": Scale(),
        "conv1": _activated(3, stem, 3, stride=2),
        "dwconv1": _activated(stem, stem, 3, groups=stem),
    }
    before = stem
    for group, (expansion, count, blocks, stride) in enumerate(GROUPS, start=1):
        (after,) = channels_at(width, count)
        for block in range(1, blocks + 1):
            stages[f"bottleneck{group}_{block}"] = _bottleneck(
                before, after, expansion=expansion, stride=stride if block == 1 else 1
            )
            before = after
    stages["conv2"] = _activated(before, last, 1)
    stages["gdconv"] = chain(
        conv=convolve(last, last, LAST_SIDE, groups=last, padding=0),
        bn=nn.BatchNorm2d(last),
    )
    # over one pixel the paper's linear 1 x 1 convolution is a matrix
    stages["embedding"] = chain(
        flatten=nn.Flatten(),
        linear=nn.Linear(last, embedding_size, bias=False),
        bn=nn.BatchNorm1d(embedding_size),
    )
    return initialise(chain(**stages))


def _activated(fan_in: int, fan_out: int, kernel: int, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return chain(
        conv=convolve(fan_in, fan_out, kernel, stride=stride, groups=groups),
        bn=nn.BatchNorm2d(fan_out),
        prelu=nn.PReLU(fan_out),
    )


def _bottleneck(fan_in: int, fan_out: int, *, expansion: int, stride: int) -> nn.Module:
    hidden = expansion * fan_in
    body = chain(
        expand=_activated(fan_in, hidden, 1),
        depthwise=_activated(hidden, hidden, 3, stride=stride, groups=hidden),
        project=chain(conv=convolve(hidden, fan_out, 1), bn=nn.BatchNorm2d(fan_out)),
    )
    return Residual(body) if stride == 1 and fan_in == fan_out else body
