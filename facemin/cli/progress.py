"""Shows a folder being protected, and closes with what was done and what failed."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facemin.image import describe as describe_skipped
from facemin.protection import Failure
from facemin.runtime.device import choose_device, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facemin.protection.folder import Plan, Written


def follow(plan: Plan, results: Iterator[Written | Failure], *, device: str, keys: int, as_json: bool) -> int:
    """Draw results as they come.

    Args:
        plan: what there was to do.
        results: of its photos.
        device: named in the output.
        keys: how many there are; several may conflict.
        as_json: one JSON document on standard output, nothing else there.

    Returns:
        0 when nothing failed, else 1.
    """
    console = Console(stderr=True)
    where = describe(choose_device(device))
    console.print(f"Device: {where}", highlight=False)
    written: list[Written] = []
    failures = list(plan.failures)
    began = time.perf_counter()
    with Progress(
        TextColumn("Protecting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal or not plan.todo,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=len(plan.todo), speed="")
        for result in results:
            if isinstance(result, Failure):
                failures.append(result)
            else:
                written.append(result)
            speed = (len(written) + len(failures) - len(plan.failures)) / (time.perf_counter() - began)
            progress.update(task, advance=1, speed=f"{speed:.1f} images/s")
    seconds = time.perf_counter() - began
    if as_json:
        print(json.dumps(_summary(plan, written, failures, where, seconds), indent=1))
    else:
        _close(console, plan, written, failures, seconds, several=keys > 1)
    return 1 if failures else 0


def _close(
    console: Console, plan: Plan, written: list[Written], failures: list[Failure], seconds: float, *, several: bool
) -> None:
    speed = f", {len(written) / seconds:.1f} images/s" if written else ""
    faces = sum(result.faces for result in written)
    console.print(
        f"{len(written)} photos protected ({faces} faces), {len(plan.done)} done before, "
        f"{len(failures)} failed; {seconds:.1f} s{speed}",
        highlight=False,
    )
    for result in written:
        for key, count in result.unreached.items():
            console.print(
                f"[yellow]weak:[/] {escape(str(result.source))}: {count} of {result.faces} faces did not reach the "
                f"residual of key {escape(key)}; its provider may not recognise them"
                + ("; the keys may ask for features that no one image has" if several else ""),
                soft_wrap=True,
                highlight=False,
            )
        for remark in result.notes:
            console.print(
                f"[yellow]note:[/] {escape(str(result.source))}: {escape(remark)}", soft_wrap=True, highlight=False
            )
        if result.at_edge:
            console.print(
                f"[yellow]left out:[/] {escape(str(result.source))}: {result.at_edge} faces at the edge of the photo",
                soft_wrap=True,
                highlight=False,
            )
    for line in describe_skipped(plan.skipped):
        console.print(f"[yellow]not protected:[/] {escape(line)}", soft_wrap=True, highlight=False)
    for failure in failures:
        console.print(
            f"[red]failed:[/] {escape(failure.name)}: {escape(failure.reason)}", soft_wrap=True, highlight=False
        )


def _summary(
    plan: Plan, written: list[Written], failures: list[Failure], device: str, seconds: float
) -> dict[str, object]:
    return {
        "device": device,
        "seconds": seconds,
        "images_per_second": len(written) / seconds if written else None,
        "protected": [
            {
                "source": str(result.source),
                "record": str(result.record),
                "faces": result.faces,
                "unreached": result.unreached,
                "at_edge": result.at_edge,
                "notes": result.notes,
            }
            for result in written
        ],
        "done_before": [str(path) for path in plan.done],
        "failed": [{"source": failure.name, "reason": failure.reason} for failure in failures],
        "skipped": [{"source": str(item.path), "reason": item.reason} for item in plan.skipped],
    }
