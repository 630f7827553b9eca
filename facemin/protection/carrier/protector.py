"""Carrier protector: bases drawn from a secret, changed until a key's network sees a pseudonym in them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from PIL import Image

from facemin.face import Detector, align
from facemin.image import decode, encode
from facemin.models.onnx.run import FaceRunner
from facemin.protection.carrier.base import MOST_DRAWS, Base, Look, draw_base, photo_of
from facemin.protection.carrier.components import FRAME, landmarks_in, landmarks_in_photo
from facemin.protection.carrier.detection import is_clear, is_clear_carrier
from facemin.protection.carrier.settings import Descent, Pipelines
from facemin.protection.carrier.target import PseudonymTarget, check_carried
from facemin.protection.contract import Check, PhotoFile, Protected, run_options
from facemin.protection.same_person import same_person_threshold
from facemin.protection.targets import space_of
from facemin.pseudonym.rotation import unit_rows
from facemin.runtime.seeds import target_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from facemin.image import Pixels
    from facemin.keys.key import Key
    from facemin.protection.contract import OnStep, RunOptions
    from facemin.runtime.compute import Compute

    Carried: TypeAlias = Sequence[PseudonymTarget]

SMALLEST, LARGEST = 256, 1024
QUALITY = 95
CARRIED = 0.75
"""Distance from its target, in the key's space and on the file itself, up to which a carrier passes. What dlib's own
users compare is bent on purpose (`networks.FLATTEN`), so that a perfect carrier is 0.2 away."""
TRIES = 2
"""Of one carrier, each nearer to its base, until the detector finds the face, and dlib's is expected to."""
FIRMER = 4.0
"""By which the anchor's weight grows from one try to the next."""
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg"}


@dataclass(frozen=True, kw_only=True)
class FaceCarrier:
    """Make a photo of a face of nobody for each target; it takes `PseudonymTarget`s alone.

    Args:
        look: "photo", a mixture of principal components of many faces; or "drawing", an avatar.
        side: of the photo in pixels, 256 to 1024.
        format: "PNG" or "JPEG"; neither has EXIF.
        descent: how the change is found.
        pipelines: what it has to survive.

    Raises:
        ValueError: a setting out of range.
    """

    product: ClassVar[Literal["photo"]] = "photo"
    carries: ClassVar[bool] = True

    look: Look = "photo"
    side: int = FRAME
    format: Literal["PNG", "JPEG"] = "PNG"
    descent: Descent = field(default_factory=Descent)
    pipelines: Pipelines = field(default_factory=Pipelines)

    def __post_init__(self) -> None:
        if self.look not in ("photo", "drawing"):
            raise ValueError(f"look: expected 'photo' or 'drawing', got {self.look!r}")
        if not isinstance(self.side, int) or not SMALLEST <= self.side <= LARGEST:
            raise ValueError(f"side: expected {SMALLEST} to {LARGEST} pixels, got {self.side!r}")
        if self.format not in SUFFIXES:
            raise ValueError(f"format: expected PNG or JPEG, got {self.format!r}")

    def aim(
        self,
        targets: Iterable[Carried],
        keys: Sequence[Key],
        **run: Unpack[RunOptions],
    ) -> Iterator[Protected]:
        """Make a carrier for each list of targets, one target a key; one photo carries them all.

        Args:
            targets: drawn as they are needed.
            keys: each with a space, of a network that the service is known to run.
            **run: see `contract.RunOptions`; on the CPU whatever the device.

        Yields:
            One `Protected` a carrier, in order; its `file` is what is sent.

        Raises:
            CarrierRefused: targets that are no `PseudonymTarget`s.
            NoSpace: a key without a space.
            ValueError: another number of targets than keys, or of another space.
        """
        seed, compute, on_step = run_options(**run)
        spaces = [space_of(key) for key in keys]
        source, first = iter(targets), 0
        detector = Detector(threads=1)
        runners = [FaceRunner(key.graph) for key in keys]
        while part := list(islice(source, compute.batch)):
            for one in part:
                check_carried(one)
                wanted = [target.pseudonym.context.space for target in one]
                if wanted != [space.id for space in spaces]:
                    raise ValueError(
                        f"targets: expected one a key, of the keys' spaces {[space.id.hex()[:8] for space in spaces]}, "
                        f"got {[space.hex()[:8] for space in wanted]}"
                    )
            begun = time.perf_counter()
            bases = [self.base_for(one, keys[0], runners[0]) for one in part]
            seeds = [target_seed(seed, [target.vector for target in one]) for one in part]
            files: dict[int, tuple[Pixels, bytes]] = {}
            found: dict[int, bool] = {}
            method, waiting = self, list(range(len(part)))
            for _ in range(TRIES):
                made = method._carriers(
                    [bases[row] for row in waiting],
                    [part[row] for row in waiting],
                    [seeds[row] for row in waiting],
                    tuple(keys),
                    compute,
                    on_step,
                )
                for row, image in zip(waiting, made, strict=True):
                    files[row], found[row] = image, len(detector(_small(image[0]))) == 1
                # a drawing is not for every detector, and more anchoring makes it no photo
                waiting = [
                    row
                    for row in waiting
                    if self.look == "photo" and not (found[row] and is_clear_carrier(files[row][0]))
                ]
                if not waiting:
                    break
                firm = replace(method.descent, anchor=method.descent.anchor * FIRMER, fine=method.descent.fine * FIRMER)
                method = replace(method, descent=firm)
            seconds = time.perf_counter() - begun
            for row, one in enumerate(part):
                yield self._protected(first + row, files[row], one, keys, runners, bases[row], found[row], seconds)
            first += len(part)

    def base_for(self, targets: Carried, key: Key, run: FaceRunner) -> Base:
        """The base of the targets' secret, origins and purpose: the first draw that is clear and unlike its owner.

        That it is refused for a likeness is all that a base has to do with a face: it tells that its owner is not one
        of the about one in a hundred people who look like it to the key's network.

        Raises:
            ValueError: every draw is unclear or resembles the owner, which chance does not bring about.
        """
        space = space_of(key)
        limit = same_person_threshold(space)
        points = landmarks_in(FRAME).astype(np.float32)
        for attempt in range(MOST_DRAWS):
            base = draw_base([target.pseudonym for target in targets], look=self.look, attempt=attempt)
            if self.look == "photo" and not is_clear(base.frame):
                continue
            row = space.embed(run, align(base.pixels, points[None]))[0]
            if float((targets[0].of_owner @ row).max()) < limit:
                return base
        raise ValueError(f"base: expected one of {MOST_DRAWS} draws that are clear and unlike their owner, got none")

    def describe(self) -> dict[str, Any]:
        """What decides the result, for records and digests."""
        return {
            "method": "carrier",
            "look": self.look,
            "side": self.side,
            "format": self.format,
            "descent": vars(self.descent),
            "pipelines": vars(self.pipelines),
        }

    def _carriers(
        self,
        bases: Sequence[Base],
        targets: Sequence[Carried],
        seeds: Sequence[int],
        keys: tuple[Key, ...],
        compute: Compute,
        on_step: OnStep | None,
    ) -> list[tuple[Pixels, bytes]]:
        """Carriers as a service decodes them, each (side, side, 3), and their files."""
        import torch

        from facemin.protection.carrier.canvas import in_frame, of_frame
        from facemin.protection.carrier.optimise import find_changes
        from facemin.protection.carrier.services.networks import networks

        changes = find_changes(
            torch.stack([of_frame(base.frame) for base in bases]),
            [torch.from_numpy(np.stack([one[place].vector for one in targets])) for place in range(len(keys))],
            seeds,
            networks(keys, compute.precision),
            descent=self.descent,
            pipelines=self.pipelines,
            on_step=on_step,
        )
        images = []
        for base, change in zip(bases, changes, strict=True):
            frame = (base.frame + in_frame(change)).clip(0, 1)
            image = np.asarray(np.rint(255 * photo_of(frame, self.side)), np.uint8)
            data = encode(image, format=self.format, quality=QUALITY)
            images.append((decode(data).pixels, data))
        return images

    def _protected(
        self,
        index: int,
        made: tuple[Pixels, bytes],
        targets: Carried,
        keys: Sequence[Key],
        runners: Sequence[FaceRunner],
        base: Base,
        found: bool,
        seconds: float,
    ) -> Protected:
        pixels, data = made
        points = landmarks_in_photo(self.side).astype(np.float32)
        face = align(pixels, points[None])
        residuals = []
        for target, run in zip(targets, runners, strict=True):
            row = unit_rows(run(face), "embedding")[0]
            residuals.append(float(np.linalg.norm(row - target.vector)))
        told = {
            "look": self.look,
            "side": self.side,
            "networks": [{"name": space_of(key).name, "space": space_of(key).id.hex()} for key in keys],
            "draw": base.attempt,
            "found": found,
        }
        return Protected(
            index=index,
            pixels=pixels,
            seconds=seconds,
            steps=self.descent.steps,
            check=Check(residuals=tuple(residuals), limits=(CARRIED,) * len(keys)),
            file=PhotoFile(data=data, suffix=SUFFIXES[self.format], told=told),
        )


def _small(pixels: Pixels) -> Pixels:
    """A photo as detectors get it that take no longer than they must: of 256 px, like the smallest carrier."""
    return np.asarray(Image.fromarray(pixels).resize((SMALLEST, SMALLEST), Image.Resampling.BOX))
