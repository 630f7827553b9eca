"""Settings of how a carrier's change is found, and of what it has to survive."""

from __future__ import annotations

from dataclasses import dataclass

from facemin.runtime.ranges import ranges


@dataclass(frozen=True, kw_only=True)
@ranges({"[1, inf)": "steps"})
class Descent:
    """How a change is found.

    Args:
        steps: gradient steps.
        first: step of Adam at the beginning, grey levels.
        last: at the end.
        anchor: weight of the root mean square of the change's coarse part, in units of [0, 1].
        fine: weight of that of the whole change.
    """

    steps: int = 80
    first: float = 2.0
    last: float = 0.25
    anchor: float = 3.0
    fine: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Pipelines:
    """Strengths of what services do.

    Args:
        rotation: standard deviation of an aligner's error, degrees.
        scale: of its size, as a share.
        shift: of its place, frame pixels.
        shear: of perspective, as a share.
        blur: largest Gaussian blur in cells of the canvas; stands for resizing down to a third and other resamplers.
        jpeg: lowest quality, of the photo at half its size.
        noise: largest standard deviation of noise, in units of [0, 1].
        colour: standard deviation of each colour's gain, and a third of it of its offset.
    """

    rotation: float = 1.6
    scale: float = 0.03
    shift: float = 3.0
    shear: float = 0.003
    blur: float = 1.0
    jpeg: int = 70
    noise: float = 0.02
    colour: float = 0.03
