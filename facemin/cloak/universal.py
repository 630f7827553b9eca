"""Universal masks: one bounded change for all photos of a person, by sign gradients, faded so that no edge shows."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.cloak.mask_file import Mask
from facemin.cloak.surrogates import Team
from facemin.face import SIDE
from facemin.protection.contract import cloak_options

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Unpack

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.models import Recogniser
    from facemin.protection.contract import CloakOptions

_SHAPE = (SIDE, SIDE, 3)


@dataclass(frozen=True, kw_only=True, eq=False)
class PersonSeen:
    """A person's photos, as a team of surrogates sees them.

    Attributes:
        plain: aligned faces (N, 3, 112, 112) in [0, 1], and their mirror images where those are learnt from too.
        team: the surrogates.
        features: unit embeddings (N, D) by each.
    """

    plain: Tensor
    team: Team
    features: list[Tensor]


class UniversalMask(ABC):
    """A method that learns one change for all photos of a person.

    Attributes:
        epsilon: bound of every value, grey levels.
        step: of the gradient's sign, grey levels.
        taper: pixels over which the mask fades at the crop's border.
        mirrored: learn from each photo's mirror image too.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    epsilon: int
    step: float
    taper: int
    mirrored: bool

    def fit(
        self,
        faces: NDArray[np.uint8],
        surrogates: Sequence[Recogniser],
        **run: Unpack[CloakOptions],
    ) -> Mask:
        """Learn a person's mask.

        Args:
            faces: aligned, of one person, uint8 RGB (N, 112, 112, 3); many different ones carry over better.
            surrogates: recognisers to be led astray.
            **run: see `contract.CloakOptions`.

        Raises:
            ValueError: no face or surrogate, or another shape or type.
        """
        seed, compute, on_step = cloak_options(**run)
        plain = person_faces(faces)
        plain = torch.cat([plain, plain.flip(3)]) if self.mirrored else plain
        team = Team.on(surrogates, compute)
        seen = PersonSeen(plain=plain.to(team.device), team=team, features=plain_embeddings(team, plain))
        change = self._learnt(
            seen,
            started(self.step / 255, seed).to(team.device),
            window(self.taper).to(team.device),
            seed,
            on_step or (lambda *_: None),
        )
        return Mask.make(
            grey_levels(change),
            method=self.name,
            epsilon=self.epsilon,
            photos=len(faces),
            surrogates=team.described,
            settings=asdict(self),  # type: ignore[call-overload]
        )

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the method, for the mask's manifest."""

    @abstractmethod
    def _learnt(
        self, seen: PersonSeen, change: Tensor, weight: Tensor, seed: int, on_step: Callable[[int, int], None]
    ) -> Tensor:
        """The faded change (1, 3, 112, 112), of one that is started and of the weights that fade it."""


def person_faces(faces: NDArray[np.uint8]) -> Tensor:
    """Aligned faces of one person, uint8 (N, 112, 112, 3), as (N, 3, 112, 112) in [0, 1].

    Raises:
        ValueError: no face, or another shape or type.
    """
    if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != _SHAPE or not len(faces):
        raise ValueError(f"faces: expected uint8 (N, {SIDE}, {SIDE}, 3) with N >= 1, got {faces.dtype} {faces.shape}")
    return to_unit(to_tensor(faces))


def window(taper: int) -> Tensor:
    """Weights (1, 1, 112, 112) in [0, 1] that fade to 0 within `taper` pixels of the border (half a cosine).

    A change that ends in a step would show as a square around the face.
    """
    places = torch.arange(SIDE, dtype=torch.float32)
    inwards = torch.minimum(places, SIDE - 1 - places) + 0.5
    line = torch.where(inwards < taper, 0.5 - 0.5 * torch.cos(math.pi * inwards / max(taper, 1)), 1.0)
    return (line[:, None] * line)[None, None]


def started(step: float, seed: int) -> Tensor:
    """A change (1, 3, 112, 112) drawn evenly from [-step, step], the same for the same seed."""
    drawn = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).uniform(-step, step, (1, 3, SIDE, SIDE))
    return torch.from_numpy(drawn.astype(np.float32))


def plain_embeddings(team: Team, faces: Tensor) -> list[Tensor]:
    """Unit embeddings (N, D) of plain faces by each of a team, without gradients."""
    with torch.no_grad():
        return team(faces.to(team.device))


def climb(change: Tensor, value: Tensor, *, step: float, bound: float) -> Tensor:
    """One sign-gradient step that raises `value`, clipped to the bound.

    Args:
        change: (1, 3, 112, 112) that `value` was computed from, with `requires_grad`.
        value: a number.
        step: of each value.
        bound: largest magnitude of any value.
    """
    (slope,) = torch.autograd.grad(value, change)
    return (change.detach() + step * slope.sign()).clamp(-bound, bound)


def grey_levels(change: Tensor) -> NDArray[np.int8]:
    """A change (1, 3, 112, 112) in units of [0, 1] as whole grey levels (112, 112, 3)."""
    levels = (change[0].detach().cpu() * 255).round().to(torch.int8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())
