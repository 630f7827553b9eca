"""Frequency masking of one image for upload, in the manner of PPFR-FD: DC dropped, 36 channels a colour kept, shuffled.

What a recogniser trains on (facemin/ahm/masking/mask.py) are 108 channels of the face upsampled eightfold: 36 times the
numbers of an image, so no image holds them. An upload is an image. Its blocks are therefore 8 x 8 of the face's own
pixels: their DCT has as many numbers as the image; DC and the dropped frequencies become 0, the kept ones change
places, and the inverse DCT around mid-grey is the image that is sent. A recogniser trained on such images reads the
channels back from them exactly, up to 8-bit rounding and what was clipped.

It uses no key's gradients. A key decides the order of the channels, among those that show an eye nothing of the face
(`facemin.ahm.masking.order`), so that one provider's uploads are of no use to another's recogniser; whoever holds the
key knows the order, and whoever fits one linear map of the blocks undoes it, so that results are refused as revealing
(decision 014). To a recogniser that was trained on plain faces, also the key's own, the image says little, and what its
features are then away from the face's is reported as for any method.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from facemin.ahm.masking.frequency import CHANNELS, DC, FREQUENCIES, block_dct, inverse_block_dct, to_rgb, to_ycbcr
from facemin.ahm.masking.mask import KEPT, zigzag
from facemin.ahm.masking.order import hiding_order
from facemin.autograd.pixels import to_grid, to_unit
from facemin.protection.contract import run_options
from facemin.protection.pmt.method import check_faces
from facemin.protection.pmt.objective import FeatureMatching
from facemin.protection.pmt.optimise import ROWS_AT_LEAST, OptimisedImage
from facemin.runtime.compute import DEFAULT_COMPUTE
from facemin.runtime.device import choose_device
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.protection.contract import RunOptions
    from facemin.runtime.compute import Compute

_GREY = 0.5 - 128 / 255  # of Y - 128/255, so that a face without detail is mid-grey


@dataclass(frozen=True, kw_only=True)
@ranges({f"[1, {FREQUENCIES})": "kept", "(0, inf)": "gain"})
class FrequencyMask:
    """Mask faces in the frequency domain for a recogniser that was trained on such images.

    Source: Wang et al. 2022 (PPFR-FD), as far as public; blocks, places and gain are ours.

    Args:
        kept: channels a colour, the lowest in JPEG's order, without DC.
        hiding: exchange places of channels that show the face; False for the order as it was first drawn, which
            recognisers trained on such images may be bound to, and which shows the face for most keys.
        gain: factor on all coefficients: larger loses more to clipping, smaller more to rounding.

    Raises:
        ValueError: a setting out of its range.
    """

    takes_gradients: ClassVar[bool] = False
    product: ClassVar[Literal["face"]] = "face"
    steps: ClassVar[int] = 0
    residual: ClassVar[float | None] = None
    weights: ClassVar[tuple[float, ...] | None] = None

    kept: int = KEPT
    hiding: bool = True
    gain: float = 0.5

    def __call__(
        self, faces: Tensor, keys: Sequence[Key], *, seed: int, compute: Compute = DEFAULT_COMPUTE
    ) -> list[OptimisedImage]:
        """Mask aligned faces (B, 3, 112, 112), RGB in [0, 1]; one `OptimisedImage` a face, in order.

        Args:
            faces: left as they are.
            keys: they decide the order of the channels, all together.
            seed: changes nothing: the recogniser has to find the same order in every image.
            compute: where, and how many faces at once.

        Raises:
            ValueError: faces of another shape, type or range, or no keys.
        """
        check_faces(faces)
        return list(self.stream(iter(faces), keys, seed=seed, compute=compute))

    def stream(
        self,
        faces: Iterable[Tensor],
        keys: Sequence[Key],
        **run: Unpack[RunOptions],
    ) -> Iterator[OptimisedImage]:
        """The same for a stream of faces, see `contract.Protector.stream`; `on_step` is never told anything."""
        _, compute, _ = run_options(**run)
        device = choose_device(compute.device)
        # refuses where there is no key
        judge = FeatureMatching(keys, residual=None, device=device)
        order = self.order(keys)
        source, index = iter(faces), 0
        while part := list(islice(source, compute.batch)):
            began = time.perf_counter()
            plain = torch.stack(part).to(device)
            pixels = to_grid(self._masked(plain, order))
            residuals = _residuals(judge, plain, to_unit(pixels))
            seconds = time.perf_counter() - began
            for image, distances in zip(pixels.cpu(), residuals.cpu(), strict=True):
                unmet = (~(distances <= judge.limits.cpu())).nonzero()[:, 0]
                yield OptimisedImage(
                    index=index,
                    pixels=image.contiguous(),
                    steps=0,
                    residuals=tuple(distances.tolist()),
                    unmet=tuple(unmet.tolist()),
                    seconds=seconds,
                )
                index += 1

    def describe(self) -> dict[str, Any]:
        """Kind and settings."""
        return {"kind": "frequency-mask", **asdict(self)}

    def read(self, images: Tensor, keys: Sequence[Key]) -> Tensor:
        """The kept channels of uploads, as the recogniser takes them.

        Args:
            images: (B, 3, 112, 112) in [0, 1].
            keys: those that the images were masked for.

        Returns:
            (B, 3 x kept, 14, 14): each of `facemin.ahm.masking.mask.choose_channels`'s, in ascending order.
        """
        found = block_dct(to_ycbcr(images)) / self.gain
        return found[:, self.order(keys)]

    def order(self, keys: Sequence[Key]) -> list[int]:
        """Where each kept channel, in ascending order, goes among the kept ones' places."""
        digest = hashlib.sha256("\n".join(key.fingerprint for key in keys).encode()).digest()
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(int.from_bytes(digest, "big"))))
        places = self.channels
        if self.hiding:
            return hiding_order(places, generator)
        return [places[at] for at in generator.permutation(len(places)).tolist()]

    @property
    def channels(self) -> tuple[int, ...]:
        """Those kept, ascending."""
        return _lowest(self.kept)

    def _masked(self, faces: Tensor, order: list[int]) -> Tensor:
        coefficients = block_dct(to_ycbcr(faces))
        moved = coefficients.new_zeros(len(faces), CHANNELS, *coefficients.shape[2:])
        moved[:, order] = self.gain * coefficients[:, list(self.channels)]
        planes = inverse_block_dct(moved)
        planes[:, 0] += _GREY
        return to_rgb(planes).clamp(0, 1)


@lru_cache
def _lowest(kept: int) -> tuple[int, ...]:
    ranks = zigzag()
    lowest = sorted(place for place in range(FREQUENCIES) if 1 <= ranks[place] <= kept)
    return tuple(first + place for first in DC for place in lowest)


@torch.no_grad()
def _residuals(judge: FeatureMatching, faces: Tensor, images: Tensor) -> Tensor:
    """Relative feature distance of each image to its face, (B, M); the same in any batch."""
    count = len(faces)
    if count < ROWS_AT_LEAST:
        faces, images = (each.expand(ROWS_AT_LEAST, -1, -1, -1) for each in (faces, images))
    return judge.residuals(images, judge.targets(faces))[:count]
