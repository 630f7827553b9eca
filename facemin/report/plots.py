"""Figures of a verification as PNG: the ROC, and how the scores lie."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from facemin.metrics import roc

if TYPE_CHECKING:
    from torch import Tensor

BINS = 80
DPI = 120


def plot_verification(genuine: Tensor, impostor: Tensor, *, title: str) -> bytes:
    """Draw the ROC with a logarithmic FAR, and histograms of both kinds of scores, side by side.

    Args:
        genuine: cosine of same-person pairs, (P,).
        impostor: cosine of different people's pairs, (N,); the ROC is drawn from FAR 1/N on, where it begins to
            mean anything.
        title: over both.

    Returns:
        A PNG file's bytes.

    Raises:
        ValueError: matplotlib is missing (it comes with the extra `bench`), or scores as in `roc`.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("plot: expected matplotlib, which comes with: pip install 'facemin[bench]'") from error
    curve = roc(genuine, impostor)
    # half a pair: 1/N itself is lost to rounding
    shown = curve.far > 0.5 / len(impostor)
    # no pyplot: its figures are global and its backend may want a display
    figure = Figure(figsize=(10, 4.2), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    left, right = figure.subplots(1, 2)
    # the curve rises from its first value on: below it there is nothing to see
    floor = max(0.0, float(curve.tar[shown].min()) - 0.02)
    left.semilogx(curve.far[shown].numpy(), curve.tar[shown].numpy())
    left.set(
        xlabel="false accept rate",
        ylabel="true accept rate",
        xlim=(1 / len(impostor), 1),
        ylim=(floor, 1.0 + 0.02 * (1 - floor)),
    )
    left.grid(visible=True, which="both", alpha=0.3)
    low, high = _range(genuine, impostor)
    for scores, label in ((impostor, "impostor"), (genuine, "genuine")):
        label = f"{label} ({len(scores):,})"
        right.hist(scores.numpy(), bins=BINS, range=(low, high), density=True, alpha=0.6, label=label)
    right.set(xlabel="cosine", ylabel="density", xlim=(low, high))
    right.legend()
    file = BytesIO()
    # without the library's version in it, the same scores give the same file for longer
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _range(*scores: Tensor) -> tuple[float, float]:
    """Where scores lie, with a margin."""
    low, high = min(float(each.min()) for each in scores), max(float(each.max()) for each in scores)
    margin = max(0.03 * (high - low), 0.01)
    return max(-1.0, low - margin), min(1.0, high + margin)
