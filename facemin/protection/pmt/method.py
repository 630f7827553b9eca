"""PMT: noise becomes the image whose shallow features are the face's.

Source: "Facial Data Minimization: Shallow Model as Your Privacy Filter", sections 5.2 to 5.4: Eq. 7 and Algorithm 1,
the enhanced perturbation of Algorithm 2, and several keys at once (MR-PMT, Eq. 8).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch

from facemin.models.recogniser import FACE_SHAPE
from facemin.protection.contract import run_options
from facemin.protection.pmt.initialisation import STARTS, GaussianNoise, Initialisation, image_seed
from facemin.protection.pmt.objective import FeatureMatching, Target
from facemin.protection.pmt.optimise import Job, OptimisedImage, descend
from facemin.protection.pmt.step_rules import RULES, Adam, StepRule
from facemin.protection.pmt.transforms import TRANSFORMS
from facemin.runtime.compute import DEFAULT_COMPUTE
from facemin.runtime.device import choose_device, choose_precision
from facemin.runtime.seeds import target_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.protection.contract import RunOptions
    from facemin.protection.pmt.gradient_kernel import Kernel
    from facemin.protection.pmt.transforms import Transform
    from facemin.runtime.compute import Compute

PARTS: dict[str, dict[str, type]] = {"rule": RULES, "start": STARTS, "transform": TRANSFORMS}
"""Parts of a method that come in kinds, by name."""

UNIT_TOLERANCE = 1e-4
"""How far from 1 a target's length may be, float32 included."""


@dataclass(frozen=True, kw_only=True)
class PMT:
    """Protect faces for the holders of one or more keys.

    Algorithm 1, line 9, adds the gradient of what Eq. 7 minimises, an ascent; here it is subtracted, as Eq. 7 and
    the text ("minimize the distance") want. The paper leaves K, the step and the end open; here an image ends
    once every key's residual is met. The defaults were measured: docs/decisions/005-steps-and-start.md.

    Args:
        rule: how a gradient becomes a step: `Adam`, or the paper's `Sign` and `L1`.
        start: where to begin; `GaussianNoise(mean=0, deviation=1)` is the paper's.
        transform: T of Algorithm 2, drawn anew for each image and step; None for Algorithm 1. With one, an image ends
            once its residual is met after each of `objective.CHECKS` too.
        target: "plain" compares T's result with the plain face's features, "same" applies T to the face as well, as
            Algorithm 2 has it, "apart" applies it to the face by an independent draw.
        kernel: W of Algorithm 2, with which gradients are smoothed; None for none.
        pool: side of the grid that each of a key's layers is averaged to before they are compared, Algorithm 2's
            AvgPool2d; None compares them whole. Which layers is the key's to say.
        weights: of the keys in the sum of Eq. 8, one a key; all alike when None.
        steps: most gradient steps an image may take (K).
        residual: relative feature distance at which an image is finished; each key's own when None, 0 for
            exactly `steps` steps.
    """

    takes_gradients: ClassVar[bool] = True
    product: ClassVar[Literal["face"]] = "face"

    rule: StepRule = field(default_factory=lambda: Adam(step=10, beta1=0.7, beta2=0.99))
    start: Initialisation = field(default_factory=GaussianNoise)
    transform: Transform | None = None
    target: Target = "plain"
    kernel: Kernel | None = None
    pool: int | None = None
    weights: tuple[float, ...] | None = None
    steps: int = 200
    residual: float | None = None

    def __call__(
        self, faces: Tensor, keys: Sequence[Key], *, seed: int, compute: Compute = DEFAULT_COMPUTE
    ) -> list[OptimisedImage]:
        """Protect aligned faces.

        Args:
            faces: (B, 3, 112, 112), RGB in [0, 1]; left as they are.
            keys: whose holders shall still recognise the people.
            seed: of all randomness, in [0, 2^128); see `image_seed`.
            compute: where, in which precision of gradients, and how many images at once.

        Returns:
            One `OptimisedImage` a face, in order; row i depends on face i alone.

        Raises:
            ValueError: on faces of another shape, type or range, no keys, or settings out of range.
        """
        check_faces(faces)
        return sorted(self.stream(iter(faces), keys, seed=seed, compute=compute), key=lambda done: done.index)

    def stream(
        self,
        faces: Iterable[Tensor],
        keys: Sequence[Key],
        **run: Unpack[RunOptions],
    ) -> Iterator[OptimisedImage]:
        """The same for a stream of faces, see `contract.Protector.stream`; each is drawn when a row is free."""
        seed, *_ = run_options(**run)
        seeded = ((face, image_seed(seed, face)) for face in faces)
        return self._descend((Job(face, self.start(face, own), own) for face, own in seeded), keys, run)

    def aim(
        self,
        targets: Iterable[Sequence[NDArray[np.float32]]],
        keys: Sequence[Key],
        **run: Unpack[RunOptions],
    ) -> Iterator[OptimisedImage]:
        """Make images for given targets, see `contract.TargetProtector.aim`; each is drawn when a row is free."""
        seed, *_ = run_options(**run)
        self.check_aim(keys)
        blank = torch.zeros(FACE_SHAPE)

        def job(one: Sequence[NDArray[np.float32]]) -> Job:
            check_targets(one, keys)
            own = target_seed(seed, one)
            return Job(tuple(torch.from_numpy(np.ascontiguousarray(each)) for each in one), self.start(blank, own), own)

        return self._descend((job(one) for one in targets), keys, run)

    def describe(self) -> dict[str, Any]:
        """Every setting, defaults included, as JSON has it; parts that come in kinds with their `kind`."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, kinds in PARTS.items():
            part = values[name]
            names = {kind: word for word, kind in kinds.items()}
            values[name] = None if part is None else {"kind": names[type(part)], **asdict(part)}
        values["kernel"] = None if self.kernel is None else asdict(self.kernel)
        return values

    def check_aim(self, keys: Sequence[Key]) -> None:
        """Refuse keys and settings that need the face itself.

        Raises:
            ValueError: naming them.
        """
        if self.start.needs_face or self.target != "plain":
            raise ValueError(
                f"method: expected a start and a target without the face, since a pseudonym's image may hold nothing "
                f"of it; got start {type(self.start).__name__} and target {self.target!r}"
            )
        for key in keys:
            if len(key.manifest.layers) != 1 or len(key.manifest.features) != 1:
                raise ValueError(
                    f"key {key.manifest.key_id}: expected one layer that is an embedding, "
                    f"got layers {key.manifest.layers} of features {key.manifest.features}"
                )

    def _descend(self, jobs: Iterator[Job], keys: Sequence[Key], run: RunOptions) -> Iterator[OptimisedImage]:
        _, compute, on_step = run_options(**run)
        device = choose_device(compute.device)
        objective = FeatureMatching(
            keys,
            residual=self.residual,
            device=device,
            weights=self.weights,
            transform=self.transform,
            target=self.target,
            pool=self.pool,
            precision=choose_precision(compute.precision, device),
        )
        return descend(
            jobs,
            objective,
            rule=self.rule if self.kernel is None else self.kernel.smoothed(self.rule),
            steps=self.steps,
            batch=compute.batch,
            device=device,
            on_step=on_step,
        )


def check_targets(targets: Sequence[NDArray[np.float32]], keys: Sequence[Key]) -> None:
    """Refuse what are not unit targets, one a key.

    Raises:
        ValueError: naming what was expected and what came.
    """
    if len(targets) != len(keys):
        raise ValueError(f"targets: expected {len(keys)}, one a key, got {len(targets)}")
    for target, key in zip(targets, keys, strict=True):
        if target.dtype != np.float32 or target.shape != key.manifest.features:
            raise ValueError(
                f"target for key {key.manifest.key_id}: expected float32 {key.manifest.features}, "
                f"got {target.dtype} {target.shape}"
            )
        length = float(np.linalg.norm(target.astype(np.float64)))
        if not abs(length - 1) < UNIT_TOLERANCE:
            raise ValueError(f"target for key {key.manifest.key_id}: expected length 1, got {length:.6g}")


def check_faces(faces: Tensor) -> None:
    """Refuse what is not a batch of aligned faces.

    Raises:
        ValueError: naming what was expected and what came.
    """
    if faces.dim() != 4 or tuple(faces.shape[1:]) != (3, 112, 112):
        raise ValueError(f"faces: expected shape (B, 3, 112, 112), got {tuple(faces.shape)}")
    if faces.dtype != torch.float32:
        raise ValueError(f"faces: expected float32 in [0, 1], got {faces.dtype}")
    if faces.numel() and not (faces.min() >= 0 and faces.max() <= 1):
        low, high = faces.min().item(), faces.max().item()
        raise ValueError(f"faces: expected values in [0, 1], got [{low}, {high}]")
