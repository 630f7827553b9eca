"""SphereFace-20: twenty convolutions with PReLU and residual units, without batch normalisation."""

from torch import nn

from facemin.train.families.layers import (
    FACE,
    CentreCrop,
    Residual,
    Scale,
    chain,
    channels_at,
    check_embedding,
    convolve,
    initialise,
)

GROUPS = ((64, 1), (128, 2), (256, 4), (512, 1))
"""Channels and residual units of conv1 to conv4; table 2 of the paper, 20 layers."""

RESIDUAL_STD = 0.01
"""Of the weights inside a residual unit when training begins, so that without BN a unit begins near the identity."""


def sphereface20(
    *, embedding_size: int = 512, width: float = 1.0, input_size: tuple[int, int] = (FACE, FACE)
) -> nn.Sequential:
    """Faces (B, 3, 112, 112), RGB in [0, 1], to embeddings (B, embedding_size), not normalised.

    Stages: scaled, conv1, res1_1, conv2, res2_1, res2_2, conv3, res3_1 to res3_4, conv4, res4_1, embedding; before
    them, `cropped` where the input size is not the whole face.

    Source: Liu et al. 2017 (SphereFace), table 2 and section 4.1; which convolutions have biases, and the initial
    weights, are those of the authors' published training file.

    Args:
        embedding_size: length of an embedding.
        width: factor on all channels but the embedding's; below 1 for a small network.
        input_size: height and width, in pixels, of the middle of the face that the network sees, both even; the
            paper's (112, 96) sees what the paper's alignment shows.

    Raises:
        ValueError: a setting outside its range.
    """
    check_embedding(embedding_size)
    stages: dict[str, nn.Module] = {} if input_size == (FACE, FACE) else {"cropped": CentreCrop(input_size)}
    stages["scaled"] = Scale()
    before, (height, breadth) = 3, input_size
    for group, (count, units) in enumerate(GROUPS, start=1):
        (after,) = channels_at(width, count)
        stages[f"conv{group}"] = chain(conv=nn.Conv2d(before, after, 3, 2, 1), prelu=nn.PReLU(after))
        for unit in range(1, units + 1):
            stages[f"res{group}_{unit}"] = _unit(after)
        before, height, breadth = after, (height + 1) // 2, (breadth + 1) // 2
    linear = nn.Linear(before * height * breadth, embedding_size)
    stages["embedding"] = chain(flatten=nn.Flatten(), linear=linear)
    network = initialise(chain(**stages))
    _initialise_convolutions(network)
    return network


def _unit(channels: int) -> Residual:
    return Residual(
        chain(
            conv1=convolve(channels, channels, 3),
            prelu1=nn.PReLU(channels),
            conv2=convolve(channels, channels, 3),
            prelu2=nn.PReLU(channels),
        )
    )


def _initialise_convolutions(network: nn.Sequential) -> None:
    for stage in network.children():
        for module in stage.modules():
            if isinstance(module, nn.Conv2d) and isinstance(stage, Residual):
                nn.init.normal_(module.weight, std=RESIDUAL_STD)
            elif isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
