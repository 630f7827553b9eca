"""A folder job by several processes, one model each; whatever ends one of them, no photo is lost or done twice.

The processes share nothing but files: the results and their records, which say what is done, and a person's captures
and enrolled face, which are locked. Photos are handed out as workers ask for them. Those that a worker had when it died
are handed out again, one at a time, so that one which kills its worker is found; it becomes a failure.
"""

from __future__ import annotations

import os
import signal
import warnings
from collections import Counter, deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Self

from facemin.protection.folder.run import done_before, protect_each
from facemin.protection.folder.worker import work
from facemin.protection.result import Failure
from facemin.runtime.files import remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from pathlib import Path

    from facemin.protection.contract import OnStep
    from facemin.protection.folder.job import FolderJob
    from facemin.protection.folder.run import FolderResult, Plan

MOST_WORKERS = 256
DEATHS = 3
"""Workers that may die at a photo which they had alone; what they had with others says nothing of either."""
STARTS = 3
"""Workers in a row that may die before they are ready; from then on those that are left go on alone."""
TICK = 0.2
"""Seconds after which the driver looks up, at the latest."""
PATIENCE = 30.0
"""Seconds that workers have to end the step at hand."""
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

Photo = tuple["Path", "Path"]


def protect_by_workers(
    plan: Plan, job: FolderJob, *, workers: int, on_step: OnStep | None = None
) -> Iterator[FolderResult | Failure]:
    """Protect a plan's photos by several processes; the results are those that one process would have made.

    Under a secret whose person is not known yet, this process protects photos until one shows them: whose face that is
    must not depend on which worker is first.

    Args:
        plan: what there is to do.
        job: how.
        workers: processes, 1 to 256; no more are begun than there are photos.
        on_step: told, a few times a second, of the faces in work of all workers; what it raises ends the job, after
            the step at hand and once everything that is finished was yielded.

    Yields:
        As `protect_each`.

    Raises:
        ValueError: workers out of range; or, as `protect_each`, settings that a worker refuses.
        OSError: workers die before they are ready.
    """
    check_workers(workers)
    job = job.in_workers()
    todo = deque(plan.todo.items())
    if not job.person_is_known:
        yield from protect_each(until_known(todo, job), job, on_step=on_step)
    if not todo:
        return
    with _Pool(job, todo, min(workers, len(todo))) as pool:
        yield from pool.run(on_step)


def check_workers(workers: int) -> None:
    """Refuse a number of workers that is none.

    Raises:
        ValueError: out of range.
    """
    if not 1 <= workers <= MOST_WORKERS:
        raise ValueError(f"workers: expected 1 to {MOST_WORKERS}, got {workers}")


def until_known(todo: deque[Photo], job: FolderJob) -> Iterator[Photo]:
    """Take photos until one has shown whose secret it is."""
    while todo and not job.person_is_known:
        yield todo.popleft()


@dataclass(eq=False)
class _Hand:
    """A worker, as its driver sees it."""

    process: SpawnProcess
    line: Connection
    ready: bool = False
    alone: bool = False
    """Whether it has a suspect."""
    idle: bool = True
    """Whether it waits outside a stream."""
    waits: bool = False
    """Whether it asked for photos and got none yet."""
    photos: dict[str, Photo] = field(default_factory=dict)
    """Those that it was given and said nothing of."""
    taken: list[int] = field(default_factory=list)

    def bury(self) -> None:
        """Wait for the end of its process, and remove what that was writing."""
        self.process.join()
        self.line.close()
        if self.process.pid is not None:
            remove_leftovers((target.parent for _, target in self.photos.values()), self.process.pid)


class _Pool:
    """The workers of a job and what they have in hand."""

    def __init__(self, job: FolderJob, todo: deque[Photo], workers: int) -> None:
        self.todo, self.suspects, self.deaths = todo, deque[Photo](), Counter[str]()
        self.workers, self.failed_starts = workers, 0
        self.batch = job.compute.batch
        self.job = job
        self.hands: list[_Hand] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for hand in self.hands:
            hand.process.kill()
        for hand in self.hands:
            hand.bury()

    def run(self, on_step: OnStep | None) -> Iterator[FolderResult | Failure]:
        """Results as they come, until every photo has one."""
        while self.todo or self.suspects or any(hand.photos for hand in self.hands):
            while len(self.hands) < min(self.workers, self.unfinished) and self.may_begin:
                self.hands.append(self._begin())
            self._feed()
            yield from self._listen(TICK)
            try:
                if on_step is not None:
                    on_step([steps for hand in self.hands for steps in hand.taken])
            except KeyboardInterrupt:
                yield from self._drain()
                raise

    @property
    def unfinished(self) -> int:
        """Photos that have no result."""
        return len(self.todo) + len(self.suspects) + sum(len(hand.photos) for hand in self.hands)

    @property
    def may_begin(self) -> bool:
        """Whether another worker is worth a try."""
        return self.failed_starts < STARTS or not self.hands

    def _begin(self) -> _Hand:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs,), daemon=True)
        with _ctrl_c_later(), _one_thread():
            process.start()
        # the worker's end is closed here, so that its death is heard
        theirs.close()
        return _Hand(process, ours)

    def _feed(self) -> None:
        """Give photos to whoever waits for them."""
        for hand in self.hands:
            if not hand.ready or not (hand.idle or hand.waits):
                continue
            given: list[Photo] = []
            if hand.idle and self.suspects:
                given, hand.alone = [self.suspects.popleft()], True
            elif not hand.alone:
                share = min(self.batch, max(1, len(self.todo) // (4 * self.workers)))
                given = [self.todo.popleft() for _ in range(min(share, len(self.todo)))]
            # an end of the stream is said to whoever is in one, so that its last faces are done
            if given or hand.waits:
                hand.photos |= {str(photo[0]): photo for photo in given}
                hand.idle, hand.waits = False, False
                self._send(hand, given)

    def _listen(self, seconds: float) -> Iterator[FolderResult | Failure]:
        lines = {hand.line: hand for hand in self.hands}
        for line in wait(list(lines), seconds):
            hand = lines[line]  # type: ignore[index]
            try:
                while hand.line.poll():
                    yield from self._heard(hand, *hand.line.recv())
            except (EOFError, OSError):
                yield from self._buried(hand)

    def _heard(self, hand: _Hand, kind: str, value: Any) -> Iterator[FolderResult | Failure]:
        if kind == "result":
            hand.photos.pop(value.name if isinstance(value, Failure) else str(value.source))
            yield value
        elif kind == "begun":
            # not among what it begins with: a process that dies before it reads that would be waited for without end
            self._send(hand, self.job)
        elif kind == "ready":
            hand.ready, self.failed_starts = True, 0
        elif kind == "hungry":
            hand.waits = True
        elif kind == "idle":
            hand.idle, hand.alone, hand.taken = True, False, []
        elif kind == "step":
            hand.taken = value
        elif kind == "warning":
            text, category = value
            warnings.warn(text, category, stacklevel=2)
        elif kind == "refused":
            raise ValueError(f"worker: {value}")

    def _buried(self, hand: _Hand) -> Iterator[FolderResult | Failure]:
        """Put what a dead worker had in hand back, or give it up."""
        hand.bury()
        self.hands.remove(hand)
        ended = _end_of(hand.process)
        if not hand.ready:
            self.failed_starts += 1
            if self.failed_starts >= STARTS and not self.hands:
                raise OSError(f"workers: expected processes that begin, {STARTS} in a row ended before: {ended}")
        for name, photo in hand.photos.items():
            self.deaths[name] += hand.alone
            # it may have died between the record and its word
            earlier = done_before(*photo, self.job)
            if earlier is not None:
                yield earlier
            elif self.deaths[name] >= DEATHS:
                reason = f"expected a photo that a worker can protect, {DEATHS} ended at it; the last: {ended}"
                yield Failure(name=name, reason=reason)
            else:
                self.suspects.append(photo)

    def _drain(self) -> Iterator[FolderResult | Failure]:
        """End every worker after the step at hand, and hear what they finished."""
        for hand in self.hands:
            self._send(hand, None)
        # to the end of each line, and not of each process: one that has ended may have said more than was heard
        while self.hands:
            lines = {hand.line: hand for hand in self.hands}
            heard = wait(list(lines), PATIENCE)
            if not heard:
                return
            for line in heard:
                hand = lines[line]  # type: ignore[index]
                try:
                    while hand.line.poll():
                        yield from self._heard(hand, *hand.line.recv())
                except (EOFError, OSError):
                    hand.bury()
                    self.hands.remove(hand)

    def _send(self, hand: _Hand, value: object) -> None:
        # that it died is heard where its line is read
        with suppress(OSError):
            hand.line.send(value)


def _end_of(process: SpawnProcess) -> str:
    code = process.exitcode or 0
    return f"its process was ended by signal {-code}" if code < 0 else f"its process ended with status {code}"


@contextmanager
def _ctrl_c_later() -> Iterator[None]:
    """Begin a process in which Ctrl-C never arrives: it reads this thread's mask. Here it arrives after the block."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # begun within the block it would take the mask away
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Begin a process whose libraries take one thread: as many workers as there are cores share them."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
