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
from facemin.cloak.visible_change import adapted, dsim, to_budget
from facemin.face import SIDE
from facemin.protection.contract import cloak_options
from facemin.runtime.ranges import check_ranges

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


@dataclass(frozen=True, kw_only=True)
class UniversalMask(ABC):
    """A method that learns one change for all photos of a person.

    Ours, and in none of the papers: mirror images among the photos (`mirrored`), since a mask of few photos holds on
    those few; the fading border (`taper`); and the end, where a mask is scaled, up or down, until its mean DSIM is
    `tau`, so that few steps leave nothing of the budget unused.

    Args:
        epsilon: bound of every value, grey levels.
        tau: structural dissimilarity, (1 - SSIM) / 2, that costs nothing, and that masks are scaled to in the end: 0.03
            is an SSIM of 0.94. 1: no budget, the bound alone.
        step: of the gradient's sign, grey levels.
        epochs: passes over the photos.
        together: photos a step; all, where there are fewer.
        taper: pixels over which the mask fades at the crop's border; 0 for the papers'.
        mirrored: learn from each photo's mirror image too; False for the papers'.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    epsilon: int = 16
    tau: float = 0.03
    step: float = 0.255
    epochs: int = 50
    together: int = 4
    taper: int = 6
    mirrored: bool = True

    def __post_init__(self) -> None:
        counted = {"[1, 32]": "epsilon", "[1, inf)": "epochs together", "[0, 56]": "taper"}
        check_ranges(self, counted | {"(0, 1]": "tau", "(0, inf)": "step"})

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
            settings=asdict(self),
        )

    @property
    @abstractmethod
    def name(self) -> str:
        """Of the method, for the mask's manifest."""

    @abstractmethod
    def _distances(self, moved: Sequence[Tensor], rows: Tensor, seen: PersonSeen, taken: int) -> Tensor:
        """How far cloaked photos have come from the person, which is raised.

        Args:
            moved: unit embeddings (B, D) of cloaked photos by each of the team.
            rows: (B,) which photos of `seen` they are.
            seen: the person.
            taken: steps so far.

        Returns:
            (B,).
        """

    def _learnt(
        self, seen: PersonSeen, change: Tensor, weight: Tensor, seed: int, on_step: Callable[[int, int], None]
    ) -> Tensor:
        """The faded change (1, 3, 112, 112), of one that is started and of the weights that fade it."""
        order = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1])))
        penalty, taken, bound, budgeted = 1.0, 0, self.epsilon / 255, self.tau < 1
        for epoch in range(self.epochs):
            on_step(epoch, self.epochs)
            visible = []
            for rows in torch.split(torch.from_numpy(order.permutation(len(seen.plain))), self.together):
                change.requires_grad_()
                plain = seen.plain[rows]
                cloaked = (plain + change * weight).clamp(0, 1)
                gain = self._distances(seen.team(cloaked), rows, seen, taken)
                if budgeted:
                    change_seen = dsim(cloaked, plain)
                    visible.append(change_seen.detach())
                    gain = gain - penalty * (change_seen - self.tau).clamp_min(0)
                change = climb(change, gain.mean(), step=self.step / 255, bound=bound)
                taken += 1
            if budgeted:
                penalty = adapted(penalty, float(torch.cat(visible).mean()), self.tau)
        faded = change * weight
        return to_budget(faded, seen.plain, tau=self.tau, bound=bound) if budgeted else faded


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
