"""The server half: uploads of many requests become embeddings in common batches."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facemin.models.onnx.run import FloatRunner
from facemin.pseudonym.rotation import unit_rows
from facemin.service.api.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from facemin.models import RecogniserGraph

WHOLE = ""
"""In place of a cut's name: the input is a face, and the whole recogniser runs on it."""


@dataclass(frozen=True)
class _Job:
    cut: str
    value: NDArray[np.float32]
    done: Future[NDArray[np.float32]]


class Embedder:
    """One thread that runs the recogniser on whatever has come in meanwhile.

    While a batch computes, the next one gathers; where nobody else waits a request is delayed by `linger` at most.

    Args:
        recogniser: the provider's, whole.
        cuts: whose features are expected; the rest after another one is prepared when the first of them comes.
        batch: most inputs at once.
        waiting: most inputs that wait; more are refused, so that memory stays bounded.
        linger: seconds to wait for company.
        threads: that one run may use.
    """

    def __init__(
        self,
        recogniser: RecogniserGraph,
        cuts: Sequence[str],
        *,
        batch: int = 32,
        waiting: int = 256,
        linger: float = 0.002,
        threads: int = 1,
    ) -> None:
        self._recogniser, self._threads = recogniser, threads
        self._models = {cut: self._opened(cut) for cut in (WHOLE, *cuts)}
        self._batch, self._linger = batch, linger
        self._queue: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._run, name="embedder", daemon=True)
        self._thread.start()

    def __call__(self, inputs: Sequence[tuple[str, ArrayLike]]) -> NDArray[np.float32]:
        """Unit embeddings (N, D), float32, of N inputs in order.

        Args:
            inputs: pairs of `WHOLE` and a face (3, 112, 112) in [0, 1], or of a cut and a feature of its shape.

        Raises:
            ServiceError: too many inputs wait already (503), or an input has no embedding (422).
        """
        jobs = [_Job(cut, np.asarray(value, np.float32), Future()) for cut, value in inputs]
        for job in jobs:
            try:
                self._queue.put(job, timeout=1)
            except queue.Full:
                raise ServiceError(
                    503, "busy", "server: expected room for another upload, got a full queue", retry_after=2
                ) from None
        rows = np.stack([job.done.result() for job in jobs])
        try:
            return unit_rows(rows).astype(np.float32)
        except ValueError:
            raise ServiceError(
                422, "no_embedding", "upload: expected one with a finite embedding, got another"
            ) from None

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ending = False
        while not ending:
            first = self._queue.get()
            if first is None:
                return
            jobs, until = [first], time.monotonic() + self._linger
            while len(jobs) < self._batch and not ending:
                try:
                    job = self._queue.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
                if job is None:
                    ending = True
                else:
                    jobs.append(job)
            for cut in {job.cut for job in jobs}:
                self._compute(cut, [job for job in jobs if job.cut == cut])

    def _opened(self, cut: str) -> FloatRunner | None:
        """What runs on a cut's features; None where they are the embedding already."""
        graph = self._recogniser.graph if cut == WHOLE else self._recogniser.head_graph(cut)
        return None if graph is None else FloatRunner(graph.SerializeToString(), threads=self._threads)

    def _compute(self, cut: str, jobs: list[_Job]) -> None:
        try:
            if cut not in self._models:
                self._models[cut] = self._opened(cut)
            model, values = self._models[cut], np.stack([job.value for job in jobs])
            rows = (values if model is None else model(values)).reshape(len(jobs), -1)
        # whatever a device answers, the requests that wait for it must not wait for ever
        except Exception as error:  # noqa: BLE001
            for job in jobs:
                job.done.set_exception(error)
            return
        for job, row in zip(jobs, rows, strict=True):
            job.done.set_result(row)
