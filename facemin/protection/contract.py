"""Contract of protectors: what they are given, and what they make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NotRequired, Protocol, TypedDict

import numpy as np

from facemin.runtime.compute import DEFAULT_COMPUTE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeAlias, Unpack

    from numpy.typing import NDArray

    from facemin.keys.key import Key
    from facemin.runtime.compute import Compute

    Pixels: TypeAlias = NDArray[np.uint8]
    Targets: TypeAlias = Sequence[NDArray[np.float32]]
    """Unit vectors, one a key, float32 of that key's dimension."""
    Product: TypeAlias = Literal["face", "photo"]
    """What a method makes: a face of 112 x 112 to be sent, or a change of the photo, which stays a photo."""
    OnStep: TypeAlias = Callable[[list[int]], None]
    """Told, now and then, how many steps each image in work has taken; what it raises ends the run."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """How close an image comes to what each of its keys asks for.

    Attributes:
        residuals: relative feature distance that remains to each key, measured on what is sent.
        limits: what each may be at most.
    """

    residuals: tuple[float, ...]
    limits: tuple[float, ...]

    @property
    def unmet(self) -> tuple[int, ...]:
        """Positions of the keys whose residual is above its limit; those providers may not recognise the person."""
        pairs = enumerate(zip(self.residuals, self.limits, strict=True))
        # whatever is not a number is not met
        return tuple(number for number, (residual, limit) in pairs if not residual <= limit)

    @property
    def reached(self) -> bool:
        """Whether every key's residual is met."""
        return not self.unmet


@dataclass(frozen=True, kw_only=True)
class PhotoFile:
    """The file to send, where a method makes it itself.

    Attributes:
        data: its bytes.
        suffix: how its name ends, ".png" or ".jpg".
        told: what it is and which networks it is made for, for records.
    """

    data: bytes = field(repr=False)
    suffix: str
    told: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Protected:
    """A protected image and what was spent on it.

    Attributes:
        index: place of its face, or of its targets, from 0.
        pixels: (112, 112, 3) uint8, RGB: what is sent and what was checked; None where the target itself is sent. Of a
            carrier (S, S, 3).
        seconds: wall time; images of a batch share it, so these do not add up to the run's time.
        steps: gradient steps taken.
        check: how close it comes to its keys.
        file: what is sent, where it is not the pixels as PNG.
    """

    index: int
    pixels: Pixels | None = field(repr=False)
    seconds: float
    steps: int = 0
    check: Check
    file: PhotoFile | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        residuals = ", ".join(f"{value:.3f}" for value in self.residuals)
        return f"<Protected {self.index}: {self.steps} steps, residual {residuals}, unmet {list(self.unmet)}>"

    @property
    def residuals(self) -> tuple[float, ...]:
        """Relative feature distance that remains to each key."""
        return self.check.residuals

    @property
    def unmet(self) -> tuple[int, ...]:
        """Positions of the keys whose residual is not met."""
        return self.check.unmet

    @property
    def reached(self) -> bool:
        """Whether every key's residual is met."""
        return self.check.reached


class RunOptions(TypedDict):
    """How a protector runs, whatever it makes: keywords of `Protector.stream` and `TargetProtector.aim`.

    Attributes:
        seed: of all randomness, in [0, 2^128).
        compute: where, in which precision of gradients, and how many images at once; no result depends on the last.
            The best device that is there when not given.
        on_step: see `OnStep`; nothing is told when not given.
    """

    seed: int
    compute: NotRequired[Compute]
    on_step: NotRequired[OnStep | None]


def run_options(
    *, seed: int, compute: Compute = DEFAULT_COMPUTE, on_step: OnStep | None = None
) -> tuple[int, Compute, OnStep | None]:
    """The values of `RunOptions`, with defaults; what is missing or unknown is a TypeError, as in every call."""
    return seed, compute, on_step


class Protector(Protocol):
    """A method that protects faces themselves.

    Attributes:
        takes_gradients: whether images depend on the precision of gradients, which records then say.
    """

    takes_gradients: ClassVar[bool]

    def stream(
        self,
        faces: Iterable[Any],
        keys: Sequence[Key],
        **run: Unpack[RunOptions],
    ) -> Iterator[Any]:
        """Protect faces.

        Args:
            faces: tensors (3, 112, 112) in [0, 1], drawn as they are needed.
            keys: whose holders shall still recognise the people.
            **run: see `RunOptions`.

        Yields:
            An `OptimisedImage` or `Protected` a face, in order of finishing.

        Raises:
            ValueError: faces of another shape, type or range, no keys, or settings out of range.
        """

    def describe(self) -> dict[str, Any]:
        """What decides the images, as JSON has it: records, digests and resuming go by this alone."""


class Cloaked(Protocol):
    """What a cloak is once it knows its person."""

    def changes(self, faces: Pixels) -> NDArray[Any]:
        """What to add to each of the person's aligned faces (N, 112, 112, 3), grey levels, a signed type."""


class CloakOptions(TypedDict, total=False):
    """How a cloak is fitted, whatever it learns: keywords of `Cloak.fit`.

    Attributes:
        seed: of all randomness, in [0, 2^128); 0 when not given.
        compute: where, and in which precision; the best device that is there when not given.
        on_step: told before each round how many were taken, and of how many.
    """

    seed: int
    compute: Compute
    on_step: Callable[[int, int], None] | None


def cloak_options(
    *, seed: int = 0, compute: Compute = DEFAULT_COMPUTE, on_step: Callable[[int, int], None] | None = None
) -> tuple[int, Compute, Callable[[int, int], None] | None]:
    """The values of `CloakOptions`, as `run_options` gives those of `RunOptions`."""
    return seed, compute, on_step


class Cloak(Protocol):
    """A method whose product is a photo that still looks like its photo, and that strangers' recognisers mistake."""

    @property
    def product(self) -> Product:
        """Always "photo"."""

    def fit(
        self,
        faces: Pixels,
        surrogates: Sequence[Any],
        **run: Unpack[CloakOptions],
    ) -> Cloaked:
        """Learn what it has to know of a person from aligned faces (N, 112, 112, 3), against recognisers."""


class TargetProtector(Protocol):
    """A method that makes images for given targets, of which they hold nothing but the targets and fresh randomness."""

    def aim(
        self,
        targets: Iterable[Targets],
        keys: Sequence[Key],
        **run: Unpack[RunOptions],
    ) -> Iterator[Any]:
        """Make an image for each target, of which it holds nothing but the target and fresh randomness.

        Args:
            targets: for each image one unit vector a key, float32 of that key's dimension; drawn as they are needed.
            keys: each with one layer, a unit-length embedding.
            **run: see `RunOptions`.

        Yields:
            An `OptimisedImage` or `Protected` a target, in order of finishing.

        Raises:
            ValueError: keys or settings that need the face itself, or a target of another shape or length.
        """


def as_protected(done: Any, keys: Sequence[Key], method: Any) -> Protected:
    """A result of any method in the contract's form.

    Args:
        done: `Protected`, or an optimisation's `OptimisedImage`, whose pixels are a tensor (3, 112, 112).
        keys: those it was made for.
        method: that made it; its own `residual`, where it has one, stands for the keys'.
    """
    if isinstance(done, Protected):
        return done
    own = getattr(method, "residual", None)
    # float32, as an optimisation compares them
    limits = tuple(float(np.float32(key.manifest.residual if own is None else own)) for key in keys)
    return Protected(
        index=done.index,
        pixels=np.ascontiguousarray(done.pixels.permute(1, 2, 0).numpy()),
        seconds=done.seconds,
        steps=done.steps,
        check=Check(residuals=done.residuals, limits=limits),
    )
