"""Registry of the kinds of records, beside those of `facemin bench run`, that a report has sections for."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from facemin.experiments.kinds.adversaries import as_adversaries
from facemin.experiments.kinds.attributes import as_attributes
from facemin.experiments.kinds.linkers import as_linkers
from facemin.experiments.kinds.mixing import as_mixing
from facemin.experiments.kinds.networks import as_networks
from facemin.experiments.kinds.pairs import as_pairs
from facemin.experiments.kinds.reconstructions import as_reconstructions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.experiments.layouts.sections import Section
    from facemin.experiments.store.documents import Document


class Kind(NamedTuple):
    """What a file of records has, and how it is shown.

    Attributes:
        fields: that each of its records has; a file of the same name without them is of another kind.
        show: its sections, made of its records in their order.
    """

    fields: frozenset[str]
    show: Callable[[Sequence[dict[str, Any]]], list[Section]]


KINDS: dict[str, Kind] = {
    "table6": Kind(frozenset({"row", "column", "found"}), as_reconstructions),
    "table8": Kind(frozenset({"row", "set", "cells"}), as_attributes),
    "settled": Kind(frozenset({"variant", "seed", "masked", "rewards"}), as_mixing),
    "adversaries": Kind(frozenset({"protection", "words", "rows"}), as_adversaries),
    "pairs_curve": Kind(frozenset({"rows", "seconds"}), as_pairs),
    "taught_networks": Kind(frozenset({"network", "images", "p"}), as_networks),
    "linkers": Kind(frozenset({"experiment", "tables"}), as_linkers),
}
"""By the stem of the file's name: the scripts that write them give their records no format."""


_UNFIT = (AttributeError, IndexError, StopIteration, TypeError, ValueError, ZeroDivisionError)
"""What a layout meets in a part that is there, but empty, uneven, too small or of another type."""


def sections_of(document: Document) -> list[Section]:
    """A file's sections; none where no kind is known that it is of.

    Raises:
        ValueError: a record lacks a part that its kind has, or one that is of no use; the file is named.
    """
    kind = KINDS.get(PurePosixPath(document.name).stem)
    if kind is None or not document.records or not all(_has(record, kind.fields) for record in document.records):
        return []
    try:
        return kind.show(document.records)
    except KeyError as error:
        raise ValueError(f"{document.path}: expected whole records of its kind, found one without {error}") from error
    except _UNFIT as error:
        raise ValueError(f"{document.path}: expected whole records of its kind, got {error!r}") from error


def _has(record: Any, fields: frozenset[str]) -> bool:
    return isinstance(record, dict) and fields <= set(record)
