"""Worker process of a folder job: asks its driver for photos, protects and writes them, says what became of each.

It ends at once when its driver does: two must not write the same results.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from multiprocessing import connection as waiting
from multiprocessing import parent_process
from typing import TYPE_CHECKING, TextIO

from facemin.protection.folder.run import protect_each
from facemin.runtime.errors import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from pathlib import Path

    from facemin.protection.folder.job import FolderJob

Photos = list[tuple["Path", "Path"]]

SAID_EVERY = 0.3
"""Seconds between two messages on steps."""


class Worker:
    """One end of the talk with the driver.

    To the driver go pairs of a kind and a value: `begun`, which wants the job; `ready`; `hungry`, which wants photos;
    `result` with its `FolderResult` or `Failure`; `idle` after the end of a stream of photos; `step` with the steps of
    the faces in work; `warning` with its text and category; `refused` with the words of an error that ends the job.
    From it come the job, then lists of photos, where an empty one ends the stream, and None, which ends the work.

    Args:
        line: to the driver.
        job: what is to be done.
    """

    def __init__(self, line: Connection, job: FolderJob) -> None:
        self._line, self._job, self._said, self._ended = line, job, 0.0, False

    def run(self) -> None:
        """Work until there is nothing left, or the driver ends it."""
        self._say("ready")
        while (photos := self._heard()) is not None:
            for result in protect_each(self._supply(photos), self._job, on_step=self._step):
                self._say("result", result)
            if self._ended:
                return
            self._say("idle")

    def warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Take the place of `warnings.showwarning`."""
        del filename, lineno, file, line
        self._say("warning", (str(message), category))

    def refuse(self, error: Exception) -> None:
        """Tell of an error that no photo has to do with."""
        self._say("refused", in_words(error))

    def _supply(self, photos: Photos) -> Iterator[tuple[Path, Path]]:
        while photos:
            yield from photos
            self._say("hungry")
            given = self._heard()
            self._ended = given is None
            photos = given or []

    def _step(self, taken: list[int]) -> None:
        with _ending_with_the_driver():
            # nothing comes unasked but the end
            ended = self._line.poll()
        if ended:
            raise KeyboardInterrupt
        now = time.monotonic()
        if now - self._said >= SAID_EVERY:
            self._said = now
            self._say("step", taken)

    def _say(self, kind: str, value: object = None) -> None:
        with _ending_with_the_driver():
            self._line.send((kind, value))

    def _heard(self) -> Photos | None:
        with _ending_with_the_driver():
            given: Photos | None = self._line.recv()
        return given


def work(line: Connection) -> None:
    """The whole life of a worker process."""
    # Ctrl-C reaches every process of the terminal: the driver says when to end
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch_the_driver, daemon=True).start()
    with _ending_with_the_driver():
        line.send(("begun", None))
        job: FolderJob | None = line.recv()
    if job is None:
        return
    worker = Worker(line, job)
    warnings.showwarning = worker.warn
    try:
        worker.run()
    except KeyboardInterrupt:
        return
    # whatever a job can run into: settings, weights, memory; its driver has to know
    except Exception as error:  # noqa: BLE001
        worker.refuse(error)


@contextmanager
def _ending_with_the_driver() -> Iterator[None]:
    """Talk to the driver; one that is gone may be seen here before its watcher wakes, and is no error of the job."""
    try:
        yield
    except (EOFError, OSError):
        os._exit(1)


def _watch_the_driver() -> None:
    driver = parent_process()
    assert driver is not None
    waiting.wait([driver.sentinel])
    os._exit(1)
