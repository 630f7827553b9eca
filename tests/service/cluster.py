"""A private PostgreSQL cluster for the tests: made, started and stopped here, on a Unix socket only."""

import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.conftest import PATIENCE

NUMBERS = itertools.count()


class Cluster:
    """A running cluster; `url()` makes a fresh database in it."""

    def __init__(self, binaries: Path, folder: Path, account: str | None) -> None:
        self.binaries, self.folder, self.account = binaries, folder, account

    def run(self, program: str, *arguments: object) -> None:
        command = [str(self.binaries / program), *map(str, arguments)]
        done = subprocess.run(
            command,
            user=self.account,
            cwd=self.folder,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            check=False,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off -c max_connections=200"
        self.run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-o", options, "-w", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://facemin@/{database}?host={self.folder}"

    def fresh(self) -> str:
        name = f"d{next(NUMBERS)}"
        engine = create_engine(self.url().replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self.url(name)


def find_binaries() -> Path | None:
    """PostgreSQL with pgvector from the package `pgserver`, else Debian's newest, which may have none."""
    spec = importlib.util.find_spec("pgserver")
    places = [Path(place) / "pginstall" / "bin" for place in (spec.submodule_search_locations or ())] if spec else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").is_file()), None)


@contextmanager
def cluster() -> Iterator[Cluster | str]:
    """A cluster, or the reason why there is none."""
    binaries = find_binaries()
    if binaries is None:
        yield "needs PostgreSQL: pip install pgserver, or Debian's postgresql"
        return
    account = None
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root
        account = next(
            (name for name in ("postgres", "nobody") if any(e.pw_name == name for e in pwd.getpwall())), None
        )
    # a socket's path may have 107 bytes, so pytest's own folder is too deep
    folder = Path(tempfile.mkdtemp(prefix="fm-pg-"))
    try:
        if account is not None:
            shutil.chown(folder, account)
        made = Cluster(binaries, folder, account)
        try:
            made.run("initdb", "-D", folder / "data", "-U", "facemin", "-A", "trust", "-E", "UTF8", "--no-sync")
            made.start()
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            yield f"needs a PostgreSQL that starts: {error}"
            return
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
