"""IR-18 to IR-100: ArcFace's residual networks with the improved unit BN-conv-BN-PReLU-conv-BN."""

from torch import nn

from facemin.train.families.layers import (
    Residual,
    Scale,
    SqueezeExcite,
    chain,
    channels_at,
    check_embedding,
    convolve,
    embedding_of_map,
    initialise,
    unit_body,
)

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3)}
"""Residual units of the four groups by depth."""

CHANNELS = (64, 64, 128, 256, 512)
"""Of the stem and the four groups; the first unit of each group halves the resolution."""


def iresnet(
    *,
    depth: int = 50,
    embedding_size: int = 512,
    width: float = 1.0,
    squeeze_excite: bool = False,
    dropout: float = 0.4,
) -> nn.Sequential:
    """Faces (B, 3, 112, 112), RGB in [0, 1], to embeddings (B, embedding_size), not normalised.

    Stages: scaled, stem, block1_1 to block4_3 (IR-50), embedding.

    Source: Deng et al. 2019 (ArcFace), section 3.1: the stem keeps the resolution (L), the unit is the improved one
    (IR), the embedding is BN-dropout-FC-BN (E); the unit is Han et al. 2017 with PReLU. Hu et al. 2018 for SE.

    Args:
        depth: 18, 34, 50 or 100 layers.
        embedding_size: length of an embedding.
        width: factor on all channels but the embedding's; below 1 for a small network.
        squeeze_excite: gate each unit's branch (SE-IR).
        dropout: share of features dropped before the last matrix in training, in [0, 1); the paper's is 0.4.

    Raises:
        ValueError: a setting outside its range.
    """
    check_embedding(embedding_size)
    if depth not in BLOCKS:
        raise ValueError(f"depth: expected one of {', '.join(map(str, BLOCKS))}, got {depth!r}")
    stem, *groups = channels_at(width, *CHANNELS)
    stages: dict[str, nn.Module] = {
        "scaled": Scale(),
        "stem": chain(conv=convolve(3, stem, 3), bn=nn.BatchNorm2d(stem), prelu=nn.PReLU(stem)),
    }
    before = stem
    for group, (after, blocks) in enumerate(zip(groups, BLOCKS[depth], strict=True), start=1):
        for block in range(1, blocks + 1):
            stride = 2 if block == 1 else 1
            stages[f"block{group}_{block}"] = _unit(before, after, stride=stride, squeeze_excite=squeeze_excite)
            before = after
    stages["embedding"] = embedding_of_map(before, embedding_size, dropout=dropout)
    return initialise(chain(**stages))


def _unit(fan_in: int, fan_out: int, *, stride: int, squeeze_excite: bool) -> Residual:
    body = unit_body(fan_in, fan_out, stride=stride)
    if squeeze_excite:
        body.add_module("se", SqueezeExcite(fan_out))
    if stride == 1 and fan_in == fan_out:
        return Residual(body)
    return Residual(body, chain(conv=convolve(fan_in, fan_out, 1, stride=stride), bn=nn.BatchNorm2d(fan_out)))
