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

    steps: int = 55
    first: float = 2.4
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
        resized: share of services that resize the photo, or their crop of it, down to 160 px.
        blurred: share of the others that blur it, which stands for other resamplers.
        blur: largest such blur, Gaussian, in cells of the canvas.
        encodings: shares of services that encode it no further time, once, and twice.
        webp: share of those encodings that are WebP; the others are JPEG.
        quality: lowest quality of either, of the photo at half its size.
        cropped: share of services that look at a crop with a margin of 0 to 40 % alone.
        noisy: share of photos with noise.
        noise: largest standard deviation of noise, in units of [0, 1].
        colour: standard deviation of each colour's gain, a third of it of its offset, three times it of the saturation.
    """

    rotation: float = 1.6
    scale: float = 0.03
    shift: float = 3.0
    shear: float = 0.003
    resized: float = 0.25
    blurred: float = 0.25
    blur: float = 1.0
    encodings: tuple[float, float, float] = (0.84, 0.1, 0.06)
    webp: float = 0.3
    quality: int = 70
    cropped: float = 0.15
    noisy: float = 0.2
    noise: float = 0.02
    colour: float = 0.03
