"""The server half: uploads of many requests become embeddings in common batches."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from facemin.service.api.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from facemin.models import Recogniser

WHOLE = ""
"""In place of a cut's name: the input is a face, and the whole recogniser runs on it."""


@dataclass(frozen=True)
class _Job:
    cut: str
    value: Tensor
    done: Future[Tensor]


class Embedder:
    """One thread that runs the recogniser on whatever has come in meanwhile.

    While a batch computes, the next one gathers; where nobody else waits a request is delayed by `linger` at most.

    Args:
        recogniser: the provider's, whole.
        cuts: whose features are expected; the rest after another one is prepared when the first of them comes.
        batch: most inputs at once.
        waiting: most inputs that wait; more are refused, so that memory stays bounded.
        linger: seconds to wait for company.
        device: where to compute.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        cuts: Sequence[str],
        *,
        batch: int = 32,
        waiting: int = 256,
        linger: float = 0.002,
        device: str = "cpu",
    ) -> None:
        self._device, self._recogniser = torch.device(device), recogniser
        self._models: dict[str, nn.Module] = {WHOLE: recogniser.to(self._device)}
        self._models |= {cut: recogniser.after(cut).to(self._device) for cut in cuts}
        self._batch, self._linger = batch, linger
        self._queue: queue.Queue[_Job | None] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._run, name="embedder", daemon=True)
        self._thread.start()

    def __call__(self, inputs: Sequence[tuple[str, Tensor]]) -> NDArray[np.float32]:
        """Unit embeddings (N, D), float32, of N inputs in order.

        Args:
            inputs: pairs of `WHOLE` and a face (3, 112, 112) in [0, 1], or of a cut and a feature of its shape.

        Raises:
            ServiceError: too many inputs wait already (503), or an input has no embedding (422).
        """
        jobs = [_Job(cut, value, Future()) for cut, value in inputs]
        for job in jobs:
            try:
                self._queue.put(job, timeout=1)
            except queue.Full:
                raise ServiceError(
                    503, "busy", "server: expected room for another upload, got a full queue", retry_after=2
                ) from None
        rows = torch.stack([job.done.result() for job in jobs])
        lengths = rows.norm(dim=1)
        if not bool(((lengths - 1).abs() < 1e-3).all()):
            raise ServiceError(422, "no_embedding", "upload: expected one with a finite embedding, got another")
        found: NDArray[np.float32] = rows.float().numpy()
        return found

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

    def _compute(self, cut: str, jobs: list[_Job]) -> None:
        try:
            if cut not in self._models:
                self._models[cut] = self._recogniser.after(cut).to(self._device)
            with torch.inference_mode():
                rows = self._models[cut](torch.stack([job.value for job in jobs]).to(self._device)).cpu()
        # whatever a device answers, the requests that wait for it must not wait for ever
        except Exception as error:  # noqa: BLE001
            for job in jobs:
                job.done.set_exception(error)
            return
        for job, row in zip(jobs, rows, strict=True):
            job.done.set_result(row)
