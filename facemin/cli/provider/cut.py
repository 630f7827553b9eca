"""Flags that say where a recogniser is split, and how closely images have to match there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from facemin.models import RecogniserGraph


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CutFlags:
    """A cut and its stopping residual, by default as calibrated."""

    cut: Annotated[str, Parameter(help="Where to split the recogniser; by default its calibrated cut.")] = ""
    residual: Annotated[
        float | None, Parameter(help="Feature distance at which protecting stops; by default as calibrated.")
    ] = None

    def of(self, recogniser: RecogniserGraph, name: str) -> tuple[str, float]:
        """Both, of a recogniser.

        Args:
            recogniser: to be split.
            name: as it was asked for; one that ships has a calibrated cut.

        Raises:
            ValueError: a cut or a residual that has to be given, and is not.
        """
        from facemin.keys.default import stopping_residual
        from facemin.models import MODELS

        if not self.cut and name not in MODELS:
            raise ValueError(f"--cut: expected one of {', '.join(c.name for c in recogniser.cuts)}; got none")
        cut = self.cut or MODELS[name].default_cut
        return cut, stopping_residual(recogniser, cut) if self.residual is None else self.residual


CALIBRATED = CutFlags()
