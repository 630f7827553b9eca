"""Report layout of an experiment over noise: both terms of UP, as curves, tables and a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.experiments import measures
from facemin.experiments.layouts import plots
from facemin.experiments.layouts.entries import UNRUN
from facemin.report.page import Entry, image, shown, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.experiments.layouts.groups import Group


def over_noise(group: Group) -> list[str]:
    """Both terms of UP over the bounds of noise, for each threshold (Figures 4, 5 and 8 to 11)."""
    kappas = group.header.noise_kappa
    shown_at: list[float | None] = [None, *kappas] if len(kappas) <= 3 else [None]
    parts = [_noise_part(group, kappa) for kappa in shown_at]
    if len(kappas) > 3 and _of_images(group):
        parts.append(_up_maps(group, kappas))
    return parts


def _of_images(group: Group) -> bool:
    """Whether noise was put on images: on features there is no distance to see, and no other network to read them."""
    return any(record.noise[0].distance is not None for record in group.records)


def _noise_part(group: Group, kappa: float | None) -> str:
    at = "the judge's own threshold" if kappa is None else f"kappa = {kappa:g}"
    of_images = _of_images(group)
    head = ["cell", "judge", "bound", "utility"]
    head += [*(["privacy", "UP", "highest utility of another"] if of_images else []), "n"]
    rows: list[list[Entry | str]] = []
    utility, privacy, total = [], [], []
    for entry, record in group.rows:
        if record is None:
            rows.append([entry.name, *[UNRUN] * (len(head) - 1)])
            continue
        judge = measures.authorised(record)[0]
        trades = measures.trades(record, judge, kappa=kappa)
        others = (
            [measures.trades(record, name, kappa=kappa) for name in measures.unauthorised(record)] if of_images else []
        )
        sums = [measures.utility_privacy(record, judge, bound=trade.bound, kappa=kappa) for trade in trades]
        for place, trade in enumerate(trades):
            figures = [shown(trade.utility, mark="own")]
            if of_images:
                highest = max((found[place].utility for found in others if found), default=measures.NONE)
                figures += [shown(trade.privacy), shown(sums[place]), shown(highest)]
            rows.append([entry.name, judge, f"{trade.bound:g}", *figures, str(trade.utility.n)])
        bounds = tuple(trade.bound for trade in trades)
        utility.append(plots.Curve(entry.name, bounds, tuple(trade.utility for trade in trades)))
        privacy.append(plots.Curve(entry.name, bounds, tuple(trade.privacy for trade in trades)))
        total.append(plots.Curve(entry.name, bounds, tuple(sums)))
    panels = [plots.Panel("utility", "share accepted", tuple(utility))]
    if of_images:
        panels += [plots.Panel("privacy", "distance", tuple(privacy)), plots.Panel("UP", "their sum", tuple(total))]
    drawn = plots.curves(panels, xlabel="bound of noise", title=f"{group.header.title}, at {at}")
    # the picture says it at a glance, the table exactly
    return image(drawn, media="image/svg+xml", alt=f"UP over noise at {at}", wide=True) + table(f"At {at}", head, rows)


def _up_maps(group: Group, kappas: Sequence[float]) -> str:
    panels = []
    for entry, record in group.rows:
        if record is not None:
            judge = measures.authorised(record)[0]
            rows = [[trade.total for trade in measures.trades(record, judge, kappa=kappa)] for kappa in kappas]
            panels.append((entry.name, rows))
    bounds = [noisy.bound for noisy in group.records[0].noise]
    drawn = plots.maps(panels, at=bounds, kappas=kappas, title=group.header.title)
    return image(drawn, media="image/svg+xml", alt="UP by bound of noise and threshold", wide=True)
