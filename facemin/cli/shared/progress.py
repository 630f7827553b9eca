"""Progress display of protection, and its summary."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn

from facemin.cli.shared.options import FAILED, INTERRUPTED
from facemin.cli.shared.output import foreign, print_json, say
from facemin.cli.shared.signals import interruptible
from facemin.image import describe as describe_skipped
from facemin.protection import Failure
from facemin.protection.one_pass.protector import torch_is_there
from facemin.runtime.errors import without_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from facemin.protection import Failure
    from facemin.protection.folder.run import FolderResult, Plan

EXPECTED_STEPS = 45
"""Steps that a face is thought to take until one is done; the default method's mean on plain faces."""

PATIENCE = 10.0
"""Seconds between two lines where there is no terminal to draw a bar on."""


class StepDisplay:
    """A bar that moves with every step; away from a terminal, a line every few seconds.

    Args:
        console: to draw on.
        total: photos there are.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._bar = Progress(
            TextColumn("Protecting"),
            BarColumn(),
            TextColumn("{task.fields[text]}"),
            console=console,
            disable=not console.is_terminal or not total,
            transient=True,
        )
        self._task = self._bar.add_task("", total=float(max(total, 1)), text="beginning")
        self._done, self._expected = 0, float(EXPECTED_STEPS)
        self._began = self._said = time.perf_counter()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def step(self, taken: list[int]) -> None:
        """Show that faces in work have taken so many steps each."""
        # a face beyond what is expected is nearly done, for all that anybody knows
        under_way = sum(min(steps / self._expected, 0.95) for steps in taken)
        completed = min(self._done + under_way, self._total - 0.05)
        text = f"{self._done}/{self._total} photos, step {max(taken, default=0)}{self._left(completed)}"
        self._bar.update(self._task, completed=completed, text=text)
        now = time.perf_counter()
        if not self._console.is_terminal and now - self._said >= PATIENCE:
            self._said = now
            say(self._console, text)

    def finished(self, steps: int | None) -> None:
        """Show that a photo is done, after so many steps, or failed (None)."""
        self._done += 1
        if steps is not None:
            self._expected += (max(steps, 1) - self._expected) / min(self._done, 20)
        self._bar.update(
            self._task, completed=self._done, text=f"{self._done}/{self._total} photos{self._left(self._done)}"
        )

    def _left(self, completed: float) -> str:
        spent = time.perf_counter() - self._began
        if completed <= 0 or spent < 1:
            return ""
        return f", {duration(spent * (self._total - completed) / completed)} left"


def duration(seconds: float) -> str:
    """A time in words, as exact as a guess deserves."""
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 90 else f"about {minutes / 60:.1f} h"


def follow(
    plan: Plan,
    start: Callable[[Callable[[list[int]], None]], Iterator[FolderResult | Failure]],
    *,
    device: str,
    keys: int,
    as_json: bool,
) -> int:
    """Draw results as they come.

    Args:
        plan: what there was to do.
        start: begins the work; told of each step.
        device: named in the output.
        keys: how many there are; several may conflict.
        as_json: one JSON document on standard output, nothing else there.

    Returns:
        0 when all was done and every key reached, 130 after Ctrl-C, else 1.
    """
    from facemin.protection import Failure

    console = Console(stderr=True)
    where = _device(device)
    say(console, f"Device: {escape(where)}")
    written: list[FolderResult] = []
    failures = list(plan.failures)
    began = time.perf_counter()
    stopped = False
    with interruptible() as interrupt, StepDisplay(console, len(plan.todo)) as display:

        def on_step(taken: list[int]) -> None:
            # whatever was finished has been written by now
            interrupt.check()
            display.step(taken)

        try:
            for result in start(on_step):
                if isinstance(result, Failure):
                    failures.append(result)
                    display.finished(None)
                else:
                    written.append(result)
                    display.finished(result.steps)
        except KeyboardInterrupt:
            stopped = True
    seconds = time.perf_counter() - began
    done = Outcome(plan, written, failures, seconds, stopped=stopped)
    if as_json:
        print_json(done.values(where))
    else:
        done.print(console, several=keys > 1)
    return done.status


def _device(name: str) -> str:
    if not torch_is_there():
        return name
    from facemin.runtime.device import choose_device, describe

    return describe(choose_device(name))


class Outcome:
    """What became of a plan."""

    def __init__(
        self, plan: Plan, written: list[FolderResult], failures: list[Failure], seconds: float, *, stopped: bool
    ) -> None:
        self.plan, self.written, self.failures, self.seconds, self.stopped = plan, written, failures, seconds, stopped

    @property
    def short(self) -> list[FolderResult]:
        """Photos, also of earlier runs, of which something was not done."""
        return [*self.plan.short, *(one for one in self.written if one.short)]

    @property
    def left(self) -> int:
        """Photos that nobody came to."""
        return len(self.plan.todo) - len(self.written) - (len(self.failures) - len(self.plan.failures))

    @property
    def status(self) -> int:
        """The exit status."""
        if self.stopped:
            return INTERRUPTED
        return FAILED if self.failures or self.short else 0

    def print(self, console: Console, *, several: bool) -> None:
        """Say it, a line for each thing that was not done."""
        faces = sum(result.faces for result in self.written)
        speed = f", {len(self.written) / self.seconds:.1f} images/s" if self.written else ""
        say(
            console,
            f"{len(self.written)} photos protected ({faces} faces), {len(self.plan.done)} done before, "
            f"{len(self.failures)} failed; {self.seconds:.1f} s{speed}",
        )
        for result in self.written:
            for remark in result.notes:
                say(console, f"[yellow]note:[/] {foreign(result.source)}: {foreign(remark)}")
        for line in describe_skipped(self.plan.skipped):
            say(console, f"[yellow]not protected:[/] {foreign(line)}")
        for result in self.short:
            source = foreign(result.source)
            for key, count in result.unreached.items():
                say(
                    console,
                    f"[yellow]weak:[/] {source}: {count} of {result.faces} faces did not reach the residual of key "
                    f"{foreign(key)}; its provider may not recognise them"
                    + ("; the keys may ask for features that no one image has" if several else ""),
                )
            if result.unfound:
                say(console, f"[yellow]weak:[/] {source}: its carrier is not found as one face, by a service maybe too")
            if result.at_edge:
                say(console, f"[yellow]left out:[/] {source}: {result.at_edge} faces at the edge of the photo")
            if result.others:
                say(
                    console,
                    f"[yellow]left out:[/] {source}: {result.others} faces of another person, who needs a secret of "
                    "their own",
                )
        for failure in self.failures:
            reason = without_name(failure.reason, failure.name)
            say(console, f"[red]failed:[/] {foreign(failure.name)}: {foreign(reason)}")
        if self.stopped:
            say(
                console,
                f"[yellow]stopped:[/] {self.left} of {len(self.plan.todo)} photos are not done; what is done is kept, "
                "and the same command goes on with the rest",
            )

    def values(self, device: str) -> dict[str, object]:
        """As JSON has it."""
        return {
            "device": device,
            "seconds": self.seconds,
            "images_per_second": len(self.written) / self.seconds if self.written else None,
            "protected": [_values(result) for result in self.written],
            "done_before": [str(path) for path in self.plan.done],
            "short_before": [_values(result) for result in self.plan.short],
            "failed": [{"source": failure.name, "reason": failure.reason} for failure in self.failures],
            "skipped": [{"source": str(item.path), "reason": item.reason} for item in self.plan.skipped],
            "stopped": self.stopped,
            "left": self.left,
        }


def _values(result: FolderResult) -> dict[str, object]:
    return {
        "source": str(result.source),
        "record": str(result.record),
        "faces": result.faces,
        "unreached": result.unreached,
        "at_edge": result.at_edge,
        "others": result.others,
        "unfound": result.unfound,
        "notes": result.notes,
    }
