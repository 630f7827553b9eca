"""Flags that say how an ONNX file wants its faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from facemin.models.preprocess import Preprocess

Channels = tuple[float, float, float]


@Parameter(name="*", group=Group("How a file's graph wants its faces: (scale * value - mean) / std"))
@dataclass(frozen=True, kw_only=True)
class PreprocessFlags:
    """The fields of `facemin.models.preprocess.Preprocess`, without loading it for every verb."""

    scale: Annotated[float, Parameter(help="The graph's own range; 1 for images in [0, 1].")] = 255.0
    mean: Annotated[Channels, Parameter(help="Per channel, in that range and channel order.")] = (0.0, 0.0, 0.0)
    std: Annotated[Channels, Parameter(help="Likewise.")] = (1.0, 1.0, 1.0)
    channels: Annotated[Literal["RGB", "BGR"], Parameter(help="The graph's channel order.")] = "RGB"
    size: Annotated[tuple[int, int] | None, Parameter(help="Height and width it takes, where not 112 112.")] = None

    layout: Annotated[Literal["NCHW", "NHWC"], Parameter(help="NHWC where the graph's channels come last.")] = "NCHW"
    output: Annotated[str | None, Parameter(help="The output that is the embedding, where it has several.")] = None

    def given(self) -> Preprocess | None:
        """The settings; None where no flag was given."""
        from facemin.models.preprocess import Preprocess

        if self == PreprocessFlags():
            return None
        return Preprocess(**asdict(self))


UNCHANGED = PreprocessFlags()
