"""A folder job on a Ray cluster: actors of Ray Data, one model each; our own records say what is left.

Ray carries paths and results, never a photo, and never a secret: actors find that in the store on their machine by its
fingerprint. Photos, results and facemin's home have to lie where every machine of the cluster sees them, since records,
captures and the enrolled face are files there.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import threading
import warnings
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import done_before, protect_each
from facemin.protection.folder.workers import until_known
from facemin.protection.result import Failure
from facemin.pseudonym import SecretStore
from facemin.runtime.errors import in_words
from facemin.runtime.files import remove_abandoned
from facemin.runtime.home import home

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from facemin.protection.contract import OnStep
    from facemin.protection.folder.run import FolderResult, Plan
    from facemin.pseudonym import Secret

    Photo = tuple[Path, Path]
    Result = FolderResult | Failure

ROUNDS = 3
"""How often photos without a result are handed out: in parts, then one by one, twice."""
PARTS, SMALLEST, LARGEST = 64, 4, 256
"""Parts an actor, where there are so many photos; and photos a part. A part is what an actor's death puts off, and what
the driver hears of at once."""
TICK = 0.2
"""Seconds after which the driver looks up, at the latest."""


def protect_on_ray(
    plan: Plan, job: FolderJob, *, address: str, workers: int | None = None, on_step: OnStep | None = None
) -> Iterator[Result]:
    """Protect a plan's photos on a Ray cluster; the results are those that one process would have made.

    Args:
        plan: what there is to do; paths that every machine sees.
        job: how; a secret has to lie in the store that every machine sees.
        address: as `ray.init` takes it: "local" begins a cluster on this machine, "auto" finds the one that runs here,
            "HOST:PORT" or "ray://HOST:PORT" names one.
        workers: actors, one core each; as many as the cluster has cores when None.
        on_step: told a few times a second; what it raises ends the job once everything that is finished was yielded.

    Yields:
        As `folder.protect_each`.

    Raises:
        ModuleNotFoundError: the extra `ray` is not installed.
        ValueError: a secret that is not in the store, a machine that does not see the folders, or as `protect_each`.
        OSError: no cluster at the address.
    """
    job = job.in_workers()
    _ray()
    sent = _Sent.of(job)
    todo = deque((source.absolute(), target.absolute()) for source, target in plan.todo.items())
    names = {str(source.absolute()): source for source in plan.todo}
    if not job.person_is_known:
        for result in protect_each(until_known(todo, job), job, on_step=on_step):
            yield _named(result, names)
    if not todo:
        return
    with _tidied(plan), _Cluster(address, workers) as cluster:
        left = dict(todo)
        for turn in range(ROUNDS):
            size = min(LARGEST, max(SMALLEST, math.ceil(len(left) / (PARTS * cluster.actors)))) if turn == 0 else 1
            try:
                for result in cluster.run(sent, list(left.items()), size=size, on_step=on_step):
                    left.pop(_source(result))
                    yield _named(result, names)
            except KeyboardInterrupt:
                cluster.close()
                for photo in left.items():
                    if (finished := done_before(*photo, job)) is not None:
                        yield _named(finished, names)
                raise
            if not left:
                return
    for source in left:
        reason = f"expected a photo that an actor can protect, {ROUNDS} ended at it (Ray's logs say how)"
        yield Failure(name=str(names[str(source)]), reason=reason)


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """What an actor is given."""

    settings: dict[str, Any]
    """Of the job, without its secret."""
    secret: str | None
    """The secret's fingerprint."""
    home: Path

    @classmethod
    def of(cls, job: FolderJob) -> _Sent:
        secret, _ = job.opened_secret if job.secret is not None else (None, False)
        if secret is not None:
            _stored(secret.fingerprint)
        settings = job.__getstate__() | {"out": job.out.absolute(), "secret": None}
        return cls(settings=settings, secret=None if secret is None else secret.fingerprint, home=home().absolute())

    @property
    def job(self) -> FolderJob:
        """The job, as an actor does it.

        Raises:
            ValueError: its machine does not see the folders, or has not the secret.
        """
        for path in (self.settings["out"].parent, *((self.home,) if self.secret else ())):
            if not path.is_dir():
                raise ValueError(f"{path}: expected a folder that every machine of the cluster sees, found none there")
        secret = None if self.secret is None else _stored(self.secret)
        return FolderJob(**self.settings | {"secret": secret})


class Protect:
    """An actor of Ray Data: rows with the paths of photos become rows with their results.

    Args:
        held: a reference to what is to be done.
    """

    def __init__(self, held: list[Any]) -> None:
        self._sent: _Sent = pickle.loads(_ray().get(held[0]))  # noqa: S301 - from the driver, as all that Ray carries
        self._job: FolderJob | None = None
        os.environ["FACEMIN_HOME"] = str(self._sent.home)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Protect what is not done yet of a batch.

        Args:
            batch: paths as text, `source` and `target`.

        Returns:
            `result`: of each photo one, or of the batch one refusal; pickled.
        """
        photos = [(Path(source), Path(target)) for source, target in zip(batch["source"], batch["target"], strict=True)]
        try:
            results: list[Any] = [*self._protected(photos)]
        # whatever a job can run into; its driver has to know, and Ray would only try again
        except Exception as error:  # noqa: BLE001
            results = [_Refused(in_words(error))]
        return {"result": [pickle.dumps(result) for result in results]}

    def _protected(self, photos: Sequence[Photo]) -> Iterator[Result]:
        if self._job is None:
            self._job = self._sent.job
        job, left = self._job, []
        for photo in photos:
            # an actor that died may have done it
            finished = done_before(*photo, job)
            if finished is None:
                left.append(photo)
            else:
                yield finished
        yield from protect_each(left, job)


@contextmanager
def _tidied(plan: Plan) -> Iterator[None]:
    """Remove, once the actors are gone, what killed ones were writing."""
    try:
        yield
    finally:
        remove_abandoned(plan.folders)


@dataclass(frozen=True)
class _Refused:
    words: str


@dataclass
class _Cluster:
    """A connection to Ray; a cluster that was begun for it ends with it."""

    address: str
    workers: int | None
    actors: int = field(init=False, default=1)
    _mine: bool = field(init=False, default=False)

    def __enter__(self) -> Self:
        # it would tell its makers of every cluster
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray = _ray()
        self._mine = not ray.is_initialized()
        if self._mine:
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            if self.address == "local":
                options |= {"include_dashboard": False, "num_cpus": self.workers}
            try:
                ray.init(address=self.address, **options)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise OSError(f"--ray {self.address}: expected a Ray cluster there, got: {error}") from error
        cores = int(ray.cluster_resources().get("CPU", 1))
        self.actors = max(1, min(self.workers or cores, cores))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        # a part whose actor dies again and again is handed out once more by us, photo by photo
        context.max_errored_blocks = -1
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was begun."""
        if self._mine:
            self._mine = False
            _ray().shutdown()

    def run(self, sent: _Sent, photos: list[Photo], *, size: int, on_step: OnStep | None) -> Iterator[Result]:
        """Results of photos in parts of a size; of parts whose actors died there may be none."""
        ray = _ray()
        rows = [{"source": str(source), "target": str(target)} for source, target in photos]
        parts = math.ceil(len(rows) / size)
        held = ray.put(pickle.dumps(sent))
        with warnings.catch_warnings():
            # of max_task_retries, which has no other name yet
            warnings.simplefilter("ignore")
            made = ray.data.from_items(rows, override_num_blocks=parts).map_batches(
                Protect,
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=min(self.actors, parts)),
                num_cpus=1,
                # within a list it stays a reference, which an actor that begins again finds too
                fn_constructor_args=([held],),
                max_task_retries=1,
            )
        for row in _polled(made.iter_rows(), on_step):
            result = pickle.loads(row["result"])  # noqa: S301 - by our own actors
            if isinstance(result, _Refused):
                raise ValueError(f"actor: {result.words}")  # noqa: TRY004 - wrong input, found there
            yield result


def _polled(rows: Any, on_step: OnStep | None) -> Iterator[dict[str, Any]]:
    """Rows as they come, with a look up meanwhile: Ray waits without end."""
    come: SimpleQueue[Any] = SimpleQueue()
    end = object()

    def draw() -> None:
        try:
            for row in rows:
                come.put(row)
            come.put(end)
        # raised where it is read
        except BaseException as error:  # noqa: BLE001
            come.put(error)

    threading.Thread(target=draw, daemon=True).start()
    while True:
        if on_step is not None:
            on_step([])
        try:
            got = come.get(timeout=TICK)
        except Empty:
            continue
        if got is end:
            return
        if isinstance(got, BaseException):
            raise got
        yield got


def _ray() -> ModuleType:
    import ray
    import ray.data

    module: ModuleType = ray
    return module


def _stored(fingerprint: str) -> Secret:
    """The secret of that fingerprint in this machine's store."""
    store = SecretStore()
    for name in store.names():
        secret = store.load(name)
        if secret.fingerprint == fingerprint:
            return secret
    raise ValueError(
        f"secret {fingerprint}: expected it in the store {home()}, found it not: Ray's machines need a home that all "
        "of them see ($FACEMIN_HOME), since a secret is not sent through Ray"
    )


def _source(result: Result) -> Path:
    return Path(result.name) if isinstance(result, Failure) else result.source


def _named(result: Result, names: dict[str, Path]) -> Result:
    """A result by the path that the plan has, which may be a relative one."""
    source = names.get(str(_source(result)))
    if source is None:
        return result
    return replace(result, name=str(source)) if isinstance(result, Failure) else replace(result, source=source)
