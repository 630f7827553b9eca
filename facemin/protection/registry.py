"""Protection by name: ours, the paper's two algorithms, and frequency masking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facemin.ahm.masking.frequency_mask import FrequencyMask
from facemin.cloak.makeup.method import Makeup
from facemin.cloak.opom import OPOM
from facemin.cloak.p3_mask import P3Mask
from facemin.protection.pmt.degradations import ProviderOperations
from facemin.protection.pmt.gradient_kernel import Kernel
from facemin.protection.pmt.initialisation import GaussianNoise
from facemin.protection.pmt.method import PMT
from facemin.protection.pmt.step_rules import L1, Sign
from facemin.protection.pmt.transforms import RandomNoise

if TYPE_CHECKING:
    from facemin.protection.contract import Cloak

PROTECTORS: dict[str, Any] = {
    "robust": PMT(transform=ProviderOperations()),
    "pmt": PMT(rule=Sign(), start=GaussianNoise(mean=0, deviation=1)),
    "pmt-enhanced": PMT(
        rule=L1(),
        start=GaussianNoise(mean=0, deviation=1),
        transform=RandomNoise(),
        target="same",
        kernel=Kernel(),
    ),
    "frequency-mask": FrequencyMask(),
}
"""Methods that are given faces, each a `Protector`, by name; vary one with `dataclasses.replace`.

A new one is a file and a row: contract tests, `facemin protect --method`, audits and experiments take it from here.

`robust` withstands what providers do to an image (docs/decisions/007). `pmt` is Algorithm 1 with the step that its
text describes. `pmt-enhanced` is Algorithm 2 as section 6.2 configures it; its layer aggregation is a matter of the
key's layers, its pooling is left out since the paper gives no size. Both stop at the key's residual, where the paper
has an unknown number of steps. `frequency-mask` needs no gradient; only a recogniser that was trained on its images can
read them.
"""

CLOAKS: dict[str, Cloak] = {
    "p3-mask": P3Mask(),
    "opom-fi-uap": OPOM(model="fi-uap"),
    "opom-class-centre": OPOM(model="class-centre"),
    "opom-affine-hull": OPOM(model="affine-hull"),
    "opom-convex-hull": OPOM(model="convex-hull"),
    "makeup": Makeup(),
}
"""Methods whose product is a photo (docs/cloaks.md), by name.

A new one is a file in `facemin/cloak/` and a row here."""

DEFAULT_PROTECTOR = "robust"
