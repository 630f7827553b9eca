"""Streams of photos: into what a method is given, and its results back into photos."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facemin.face import Face, Faces, align, align_unrounded, faces_in
from facemin.face.crop import the_aligned
from facemin.image.pixel_memory import pixel_memory_kept
from facemin.protection.contract import Check, Protected, as_protected
from facemin.protection.read_ahead import read_ahead, read_each
from facemin.protection.result import Failure
from facemin.protection.revealing.finding import RevealingKey, RevealingWarning
from facemin.runtime.errors import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.face import Detector
    from facemin.image import Photo
    from facemin.keys.key import Key
    from facemin.protection.contract import RunOptions
    from facemin.protection.result import Upload
    from facemin.protection.revealing.finding import Revealing
    from facemin.protection.sources import AnyPhoto
    from facemin.protection.targets import TargetMaker


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How photos are read.

    Args:
        detector: finds the faces.
        aligned: photos are aligned faces already.
        keep_photo: results hold their photo.
        keep_errors: a photo that cannot be protected becomes a `Failure`; raised otherwise.
        max_pixels: most pixels that a photo may have.
        ahead: decode the next photo on another core meanwhile.
    """

    detector: Detector
    aligned: bool
    keep_photo: bool
    keep_errors: bool
    max_pixels: int
    ahead: bool


@dataclass(kw_only=True)
class OpenPhoto:
    """A photo some of whose faces may still be in work."""

    name: str
    photo: Photo | None
    exif: bytes | None
    notes: tuple[str, ...]
    faces: list[Face] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)
    at_edge: tuple[Face, ...] = ()
    others: tuple[Face, ...] = ()
    expected: int = 0
    """Results that it waits for."""
    done: dict[int, Protected] = field(default_factory=dict)
    targets: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    revealing: dict[int, Revealing] = field(default_factory=dict)


class PhotoStream(ABC):
    """Reads photos, and collects what becomes of each."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.ready: deque[OpenPhoto | Failure] = deque()

    @abstractmethod
    def run(self, photos: Iterable[AnyPhoto]) -> Iterator[None]:
        """Work on photos; after each step, `ready` holds what is finished."""

    @abstractmethod
    def prepare(self, opened: OpenPhoto, photo: Photo, found: Faces) -> Sequence[Any]:
        """What a method is given of a photo's faces."""

    def draw(self, photos: Iterable[AnyPhoto]) -> Iterator[tuple[OpenPhoto, Sequence[Any]]]:
        """Each photo that can be read, with what a method is given of it; the others go to `ready`."""
        reader = read_ahead if self.reading.ahead else read_each
        with pixel_memory_kept():
            yield from self._drawn(reader(photos, max_pixels=self.reading.max_pixels))

    def _drawn(
        self, photos: Iterable[tuple[AnyPhoto, Callable[[], Photo]]]
    ) -> Iterator[tuple[OpenPhoto, Sequence[Any]]]:
        for source, read in photos:
            name = str(source) if isinstance(source, str | Path) else "photo"
            try:
                opened, given = self._open(name, read())
            # onnxruntime's own failures are RuntimeErrors
            except (ValueError, OSError, RuntimeError) as error:
                if not self.reading.keep_errors:
                    raise
                self.ready.append(Failure(name=name, reason=in_words(error)))
                continue
            if not given:
                if self.reading.keep_errors:
                    # many such photos may wait here until the next face is done: without their pixels
                    opened.photo = None
                self.ready.append(opened)
                continue
            yield opened, given

    def _open(self, name: str, photo: Photo) -> tuple[OpenPhoto, Sequence[Any]]:
        kept = photo if self.reading.keep_photo else None
        opened = OpenPhoto(name=name, photo=kept, exif=photo.exif, notes=photo.notes)
        if self.reading.aligned:
            found = the_aligned(photo.pixels, name=name)
        else:
            found = faces_in(photo.pixels, self.reading.detector)
        opened.faces, opened.inside, opened.at_edge = [*found.faces], [*found.inside], found.at_edge
        return opened, self.prepare(opened, photo, found) if found.faces else ()


class PlainStream(PhotoStream):
    """Protects every face of each photo, and looks at what the results show of it.

    Args:
        reading: how photos are read.
        method: takes faces.
        keys: for whose holders.
        upload: what is sent.
        allowed: keep what shows the plain face.
        run: of the method.
    """

    def __init__(
        self,
        reading: Reading,
        *,
        method: Any,
        keys: tuple[Key, ...],
        upload: Upload,
        allowed: bool,
        run: RunOptions,
    ) -> None:
        super().__init__(reading)
        self.method, self.keys, self.upload, self.allowed, self._run = method, keys, upload, allowed, run
        self._owners: dict[int, tuple[OpenPhoto, int, Tensor]] = {}

    def run(self, photos: Iterable[AnyPhoto]) -> Iterator[None]:
        """See `PhotoStream`."""
        for done in self.method.stream(self._faces(photos), self.keys, **self._run):
            opened, position, face = self._owners.pop(done.index)
            opened.done[position] = as_protected(done, self.keys, self.method)
            self._look(opened, position, face)
            if len(opened.done) == opened.expected:
                self._finish(opened)
            yield

    def prepare(self, opened: OpenPhoto, photo: Photo, found: Faces) -> Sequence[Tensor]:
        """See `PhotoStream`."""
        from facemin.autograd.pixels import to_tensor, to_unit

        opened.expected = len(found.faces)
        if self.reading.aligned:
            return [to_unit(to_tensor(photo.pixels))]
        return list(to_tensor(align_unrounded(photo.pixels, found.points)))

    def _faces(self, photos: Iterable[AnyPhoto]) -> Iterator[Tensor]:
        numbers = count()
        for opened, given in self.draw(photos):
            for position, face in enumerate(given):
                self._owners[next(numbers)] = (opened, position, face)
                yield face

    def _look(self, opened: OpenPhoto, position: int, plain: Tensor) -> None:
        """Note what a result shows of its face: the image, and where the feature is sent, what that gives back."""
        from facemin.autograd.pixels import to_array, to_tensor
        from facemin.protection.revealing.check import check_revealing
        from facemin.protection.revealing.feature_inversion import check_revealing_feature
        from facemin.protection.upload import feature_of

        face, pixels = to_array(plain), opened.done[position].pixels
        assert pixels is not None
        found = check_revealing(pixels, face, self.keys)
        if found is None and self.upload == "features":
            found = check_revealing_feature(feature_of(to_tensor(pixels), self.keys[0]).numpy(), face, self.keys[0])
        if found is None:
            return
        if not (self.allowed or self.reading.keep_errors):
            raise RevealingKey(found)
        opened.revealing[position] = found

    def _finish(self, opened: OpenPhoto) -> None:
        if not opened.revealing:
            self.ready.append(opened)
        elif self.allowed:
            for found in opened.revealing.values():
                warnings.warn(
                    f"{opened.name}: kept although it shows the face. {found}", RevealingWarning, stacklevel=2
                )
            self.ready.append(opened)
        else:
            # one face that shows is enough: a result is the whole photo
            found = min(opened.revealing.items())[1]
            self.ready.append(Failure(name=opened.name, reason=str(found), revealing=found))


class PseudonymStream(PhotoStream):
    """Makes the person's targets of each photo, and an image for them; no method is given anything else of a face.

    Args:
        reading: how photos are read.
        maker: of the targets.
        method: takes targets; None where the targets themselves are sent.
        groups: keys that share an image.
        run: of the method.
    """

    def __init__(
        self,
        reading: Reading,
        *,
        maker: TargetMaker,
        method: Any,
        groups: Sequence[tuple[Key, ...]],
        run: RunOptions,
    ) -> None:
        super().__init__(reading)
        self.maker, self.method, self.groups, self._run = maker, method, groups, run

    def run(self, photos: Iterable[AnyPhoto]) -> Iterator[None]:
        """See `PhotoStream`."""
        if self.method is None:
            return self._features(photos)
        return self._images(photos)

    def prepare(self, opened: OpenPhoto, photo: Photo, found: Faces) -> Sequence[list[NDArray[np.float32]]]:
        """See `PhotoStream`; one list of targets, of the one face that is the person's."""
        faces = photo.pixels[None] if self.reading.aligned else align(photo.pixels, found.points)
        place, targets = self.maker(faces)
        opened.others = tuple(face for number, face in enumerate(found.faces) if number != place)
        opened.faces, opened.inside = [found.faces[place]], [found.inside[place]]
        opened.expected = len(self.groups)
        return [targets]

    def _features(self, photos: Iterable[AnyPhoto]) -> Iterator[None]:
        exact = Check(residuals=(0.0,), limits=(0.0,))
        for opened, (targets,) in self.draw(photos):
            for number, target in enumerate(targets):
                opened.done[number] = Protected(index=number, pixels=None, seconds=0.0, check=exact)
                opened.targets[number] = target
            self.ready.append(opened)
            yield

    def _images(self, photos: Iterable[AnyPhoto]) -> Iterator[None]:
        drawn = self.draw(photos)
        waiting: list[deque[tuple[OpenPhoto, list[NDArray[np.float32]]]]] = [deque() for _ in self.groups]
        owners: list[dict[int, OpenPhoto]] = [{} for _ in self.groups]
        counts = [count() for _ in self.groups]

        def targets(group: int) -> Iterator[list[NDArray[np.float32]]]:
            start = sum(map(len, self.groups[:group]))
            while True:
                if not waiting[group]:
                    try:
                        opened, (made,) = next(drawn)
                    except StopIteration:
                        return
                    for queue in waiting:
                        queue.append((opened, made))
                opened, made = waiting[group].popleft()
                owners[group][next(counts[group])] = opened
                yield made[start : start + len(self.groups[group])]

        streams = {group: self.method.aim(targets(group), keys, **self._run) for group, keys in enumerate(self.groups)}
        # by turns, so that no group runs ahead of the others and photos pile up
        while streams:
            for group in list(streams):
                done = next(streams[group], None)
                if done is None:
                    del streams[group]
                    continue
                opened = owners[group].pop(done.index)
                opened.done[group] = as_protected(done, self.groups[group], self.method)
                if len(opened.done) == opened.expected:
                    self.ready.append(opened)
                yield
