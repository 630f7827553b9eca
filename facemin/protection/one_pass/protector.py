"""One-pass protection as a method: the decoder of each key's space, and optimisation where it falls short."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from facemin.protection.contract import Check, Protected, as_protected, run_options
from facemin.protection.one_pass.painter import PAINTED_RESIDUAL, OnePass, Painter
from facemin.protection.one_pass.shipped import FOLDER, SHIPPED, shipped_protector
from facemin.protection.revealing.by_digest import ByDigest, by_graph, key_runner
from facemin.runtime.seeds import target_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from facemin.keys.key import Key
    from facemin.protection.contract import RunOptions, Targets
    from facemin.protection.one_pass.painter import Painted
    from facemin.protection.one_pass.protector_file import ProtectorFile

CORRECTIONS = 1
"""Paintings anew by default, for what an image missed: two painted images of a person are then accepted as often as a
painted one and a feature (decision 015)."""


@dataclass(frozen=True, kw_only=True)
class OnePassProtector:
    """Paint an image for each target in one forward pass; the key checks it.

    Args:
        residual: see `OnePass`; the key's own, or `PAINTED_RESIDUAL` where that is larger, when None.
        checks: see `OnePass`.
        tries: see `OnePass`.
        corrections: see `OnePass`.
        fallback: optimise an image whose residual is not met, beginning with what was painted, where torch is there.
        files: protectors that came with keys, beside the one that comes with facemin.
    """

    product: ClassVar[Literal["face"]] = "face"

    residual: float | None = None
    checks: tuple[str, ...] = ("blur-1",)
    tries: int = 4
    corrections: int = CORRECTIONS
    fallback: bool = True
    files: tuple[ProtectorFile, ...] = field(default=(), repr=False)

    def file_for(self, key: Key) -> ProtectorFile | None:
        """The protector of a key's space; None where there is none.

        Raises:
            ValueError: the one that comes with facemin is damaged.
        """
        space = key.space
        if space is None:
            return None
        for file in self.files:
            if file.manifest.space == space.id.hex():
                return file
        if space.name not in SHIPPED or not (FOLDER / SHIPPED[space.name]).is_file():
            return None
        shipped = shipped_protector(space.name)
        return shipped if shipped is not None and shipped.manifest.space == space.id.hex() else None

    def aim(
        self,
        targets: Iterable[Targets],
        keys: Sequence[Key],
        **run: Unpack[RunOptions],
    ) -> Iterator[Protected]:
        """Make an image for each target, of which it holds nothing but the target and fresh randomness.

        Args:
            targets: for each image one unit vector, float32.
            keys: one, with a space that there is a protector for.
            **run: see `contract.RunOptions`; `compute` says where the fallback computes.

        Yields:
            One `Protected` an image; those that were optimised after the others of their batch.

        Raises:
            ValueError: several keys, one without a protector, or targets of another shape or length.
        """
        seed, compute, on_step = run_options(**run)
        key, file = self._fitting(keys)
        limit = max(key.manifest.residual, PAINTED_RESIDUAL) if self.residual is None else self.residual
        settings = OnePass(
            residual=limit,
            checks=self.checks,
            tries=self.tries,
            corrections=self.corrections,
            batch=compute.batch,
        )
        painter = _painter(ByDigest(file, file.fingerprint), by_graph(key), settings)
        source, first = iter(targets), 0
        while part := [one[0] for one in islice(source, compute.batch)]:
            if on_step is not None:
                on_step([0] * len(part))
            seeds = [target_seed(seed, [target]) for target in part]
            painted = painter(np.stack(part), seeds)
            short = [one for one in painted if not one.reached]
            for one in painted:
                if one.reached or not self._optimises:
                    yield _protected(one, first + one.index, limit)
            if short and self._optimises:
                yield from self._optimised(short, part, seeds, key, first=first, run=run)
            first += len(part)

    def check_aim(self, keys: Sequence[Key]) -> None:
        """Refuse keys that nothing can be painted for.

        Raises:
            ValueError: several keys, one without a protector, or with one that takes targets of another dimension.
        """
        self._fitting(keys)

    def describe(self) -> dict[str, Any]:
        """What decides the result, for records and digests."""
        return {
            "method": "one-pass",
            "residual": self.residual,
            "checks": list(self.checks),
            "tries": self.tries,
            # none is what earlier versions did, and the name that their results have
            **({"corrections": self.corrections} if self.corrections else {}),
            "fallback": self.fallback,
            "files": [file.fingerprint for file in self.files],
        }

    def _fitting(self, keys: Sequence[Key]) -> tuple[Key, ProtectorFile]:
        if len(keys) != 1:
            raise ValueError(f"one-pass: expected one key, got {len(keys)}: an image for several needs --method robust")
        (key,) = keys
        file = self.file_for(key)
        if file is None:
            raise ValueError(
                f"one-pass: expected a protector for the space of key {key.manifest.key_id}, got none: ask "
                f"{key.manifest.provider} for it (--protector), or use --method robust"
            )
        assert key.space is not None
        dimension = key.space.declaration.dimension
        if file.manifest.target != dimension:
            raise ValueError(
                f"one-pass: expected a protector that takes targets of {dimension} dimensions, as the space of key "
                f"{key.manifest.key_id} has, got one that takes {file.manifest.target}"
            )
        return key, file

    @property
    def _optimises(self) -> bool:
        return self.fallback and torch_is_there()

    def _optimised(
        self,
        short: list[Painted],
        part: Sequence[Any],
        seeds: Sequence[int],
        key: Key,
        *,
        first: int,
        run: RunOptions,
    ) -> Iterator[Protected]:
        from facemin.protection.pmt.finish import finishing

        method = finishing({seeds[one.index]: one.pixels for one in short}, residual=self.residual)
        aims = [(part[one.index],) for one in short]
        for done in method.aim(aims, [key], **run):
            made, one = as_protected(done, [key], method), short[done.index]
            yield Protected(
                index=first + one.index,
                pixels=made.pixels,
                seconds=one.seconds + made.seconds,
                steps=made.steps,
                check=made.check,
            )


@lru_cache(maxsize=2)
def _painter(file: ByDigest[ProtectorFile], key: ByDigest[Key], settings: OnePass) -> Painter:
    return Painter(file.file, key_runner(key.file), settings)


def torch_is_there() -> bool:
    """Whether the extra `torch` is installed, found without importing it."""
    return importlib.util.find_spec("torch") is not None


def _protected(painted: Painted, index: int, limit: float) -> Protected:
    worst = max(painted.residuals.values())
    return Protected(
        index=index, pixels=painted.pixels, seconds=painted.seconds, check=Check(residuals=(worst,), limits=(limit,))
    )
