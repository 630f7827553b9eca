"""What a newcomer meets: extras that are missing, places that cannot be written, Ctrl-C, exit statuses."""

import errno
import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from skimage import data

from facemin import cli
from facemin.cli import app, run
from facemin.cli.shared.extras import EXTRAS
from facemin.cli.shared.options import FAILED, INTERRUPTED, WRONG_INPUT
from facemin.cli.shared.output import print_json
from facemin.cli.shared.places import check_file, check_folder
from facemin.cli.shared.progress import Outcome, StepDisplay, duration, follow
from facemin.cli.shared.signals import interruptible
from facemin.protection import Failure
from facemin.protection.folder.run import FolderResult, Plan
from tests.cli.conftest import Call, picture
from tests.conftest import REPOSITORY

BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
from facemin.cli import run
statuses = [run(arguments) for arguments in {verbs!r}]
print(statuses)
"""


def test_verbs_name_the_extra_that_is_missing(tmp_path: Path) -> None:
    verbs = [
        ["serve", "--home", str(tmp_path)],
        ["provider", "init", "--provider", "A", "--home", str(tmp_path / "p")],
        ["provider", "keys", "--home", str(tmp_path)],
        ["provider", "token", "list", "--home", str(tmp_path)],
        ["provider", "backup", str(tmp_path / "b.tar"), "--home", str(tmp_path)],
        ["provider", "restore", str(tmp_path / "b.tar"), "--home", str(tmp_path / "r")],
        ["bench", "report", str(REPOSITORY / "results" / "pmt"), "--out", str(tmp_path / "r.html")],
        ["nonsense"],
    ]
    absent = {name for name in EXTRAS if name not in ("pillow_heif", "lightning_fabric", "torch")}
    done = subprocess.run(
        [sys.executable, "-c", BLOCK.format(names=absent, verbs=verbs)], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [WRONG_INPUT] * len(verbs)
    assert "Traceback" not in done.stderr
    assert done.stderr.count("pip install 'facemin[service]'") == 6
    assert done.stderr.count("pip install 'facemin[bench]'") == 1


def test_every_extra_is_one_of_the_projects() -> None:
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS.values()) == set(extras) - {"test", "dev"}


def test_a_package_that_no_extra_brings_is_no_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise ModuleNotFoundError("No module named 'facemin.lost'", name="facemin.lost")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ModuleNotFoundError, match="lost"):
        run([])


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["protect", "--nope"], ["protect", "a", "--out", "x", "--batch", "few"], ["verify", "a"]],
)
def test_a_line_that_cannot_be_parsed_has_the_status_of_wrong_input(arguments: list[str]) -> None:
    assert run(arguments) == WRONG_INPUT


def test_help_says_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Exit status of every verb: 0 when all was done, every key reached" in said
    assert run(["protect", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "a folder without photos" in said
    assert "2 on wrong input" in said


def test_every_verb_prints_json() -> None:
    def verbs(group: object) -> list[tuple[str, object]]:
        found: list[tuple[str, object]] = []
        for name in group:  # type: ignore[attr-defined]
            if name.startswith("-"):
                continue
            one = group[name]  # type: ignore[index]
            found += verbs(one) if one.default_command is None else [(name, one)]
        return found

    found = verbs(app)
    assert len(found) > 25
    lacking = [name for name, one in found if "--json" not in str(one.assemble_argument_collection())]  # type: ignore[attr-defined]
    assert not lacking


@pytest.mark.parametrize("file", ["missing.png", "a/b/missing.onnx"])
def test_missing_files_are_told_in_words(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key", "show", file]) == WRONG_INPUT
    assert capsys.readouterr().err == f"facemin: {file}: expected a file, found nothing there\n"


def test_places_are_checked_and_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    check_folder("--out", tmp_path / "new" / "deep")
    check_file("--plot", tmp_path / "new.png")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="--out: expected a folder, got the file"):
            check_folder("--out", wrong)
    with pytest.raises(ValueError, match="--plot: expected a file, got the folder"):
        check_file("--plot", tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="a link to something that is not there"):
        check_folder("--out", tmp_path / "link" / "x")
    with pytest.raises(ValueError, match="--out: /proc: "):
        check_folder("--out", Path("/proc/facemin"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["protect", "a.png", "--out"],
        ["demo", "--out"],
        ["audit", "a.png", "--out"],
        ["bench", "report", ".", "--out"],
        ["key", "export", "--provider", "A"],
        ["provider", "init", "--provider", "A", "--home"],
    ],
)
def test_the_output_folder_is_checked_before_any_work(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_bytes(b"kept")
    assert run([*arguments, str(tmp_path / "file" / "x")]) == WRONG_INPUT
    assert "expected a folder, got the file" in capsys.readouterr().err
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_the_first_ctrl_c_waits_and_the_second_does_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible() as interrupt:
        interrupt.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_anywhere_ends_in_words(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stop(*arguments: object, **settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", stop)
    assert run([]) == INTERRUPTED
    assert "stopped before it was done" in capsys.readouterr().err


def written(name: str, *, unreached: dict[str, int] | None = None, at_edge: int = 0) -> FolderResult:
    return FolderResult(
        source=Path(name),
        record=Path(f"{name}.json"),
        faces=2,
        unreached=unreached or {},
        at_edge=at_edge,
        seconds=1.0,
        steps=40,
    )


@pytest.mark.parametrize(
    ("result", "earlier", "status"),
    [
        (written("a"), [], 0),
        (written("a", unreached={"acme": 1}), [], FAILED),
        (written("a", at_edge=1), [], FAILED),
        (Failure(name="a", reason="a: no face found"), [], FAILED),
        (written("a"), [written("b", unreached={"acme": 2})], FAILED),
    ],
)
def test_statuses_of_protecting(
    result: FolderResult | Failure, earlier: list[FolderResult], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    todo = Plan(todo={Path("a"): Path("o/a")}, done=[], failures=[], short=earlier)
    assert follow(todo, lambda _: iter([result]), device="cpu", keys=1, as_json=False) == status
    said = capsys.readouterr().err
    short = [one for one in (result, *earlier) if isinstance(one, FolderResult) and one.unreached]
    assert ("weak:" in said) == bool(short)
    assert "a: a:" not in said


def test_ctrl_c_says_what_is_left_and_keeps_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    todo = Plan(todo={Path(name): Path(f"o/{name}") for name in "abc"}, done=[], failures=[])

    def start(on_step: Callable[[list[int]], None]) -> Iterator[FolderResult | Failure]:
        on_step([0, 0])
        yield written("a")
        os.kill(os.getpid(), signal.SIGINT)
        yield written("b")  # finished in the same step
        on_step([1])
        pytest.fail("went on")

    assert follow(todo, start, device="cpu", keys=1, as_json=True) == INTERRUPTED
    said = json.loads(capsys.readouterr().out)
    assert [one["source"] for one in said["protected"]] == ["a", "b"]
    assert (said["stopped"], said["left"]) == (True, 1)
    done = Outcome(todo, [written("a")], [], 1.0, stopped=True)
    console = Console(record=True, width=200)
    done.print(console, several=False)
    assert "2 of 3 photos are not done; what is done is kept, and the same command goes on" in console.export_text()


def test_progress_moves_within_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("facemin.cli.shared.progress.time.perf_counter", lambda: now[0])
    console = Console(record=True, width=200, file=StringIO())
    with StepDisplay(console, 4) as display:
        for step in range(31):
            now[0] += 1
            display.step([step, step])
        display.finished(30)
        now[0] += 10
        display.step([30])
    lines = console.export_text().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("0/4 photos, step 9, about ")
    assert lines[-1].startswith("1/4 photos, step 30, about ")
    assert all(line.endswith(" left") for line in lines)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "about 1 s"), (89, "about 89 s"), (600, "about 10 min"), (7200, "about 2.0 h")]
)
def test_times_are_guesses(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.filterwarnings("ignore::facemin.protection.RevealingWarning")
def test_a_rerun_knows_what_an_earlier_run_fell_short_of(call: Call, tmp_path: Path) -> None:
    """A key that was not reached is listed again, until it is reached."""
    (tmp_path / "me.png").write_bytes(picture(data.astronaut()))
    # frequency masking never reaches a key of plain faces, and takes no time; what it shows is not asked here
    arguments = (
        "protect",
        tmp_path / "me.png",
        "--out",
        tmp_path / "out",
        "--method",
        "frequency-mask",
        "--no-pseudonym",
        "--allow-revealing",
        "--json",
    )
    first = call(*arguments)
    assert first.returncode == FAILED
    assert list(json.loads(first.stdout)["protected"][0]["unreached"].values()) == [1]
    again = call(*arguments)
    assert again.returncode == FAILED
    said = json.loads(again.stdout)
    assert said["protected"] == []
    assert said["short_before"][0]["source"] == str(tmp_path / "me.png")


def test_frequency_masks_are_refused_with_the_option_that_keeps_them(call: Call, tmp_path: Path) -> None:
    (tmp_path / "me.png").write_bytes(picture(data.astronaut()))
    method = ("--method", "frequency-mask", "--no-pseudonym")
    done = call("protect", tmp_path / "me.png", "--out", tmp_path / "out", *method)
    assert done.returncode == FAILED
    assert "frequency-mask: results are refused, since a fitted inversion finds the face" in done.stderr
    assert "--allow-revealing" in done.stderr
    assert "got one that shows it" in done.stderr
    assert not list((tmp_path / "out").rglob("*.protected.*"))


@pytest.mark.parametrize("verb", [("train", "recogniser"), ("train", "ahm"), ("bench", "run")])
def test_endlessly_nested_settings_are_refused(call: Call, tmp_path: Path, verb: tuple[str, str]) -> None:
    (tmp_path / "deep.toml").write_text("a=" + "[" * 100_000)
    done = call(*verb, tmp_path / "deep.toml")
    assert done.returncode == WRONG_INPUT
    assert "nested too deeply" in done.stderr


@pytest.mark.parametrize("error", [RecursionError(), MemoryError(), BrokenPipeError(errno.EPIPE, "x")])
def test_no_verb_ends_in_a_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(cli, "_close_output", lambda: None)
    assert run([]) == (WRONG_INPUT if isinstance(error, RecursionError) else FAILED)


def test_whoever_has_read_enough_is_told_nothing_more() -> None:
    """`facemin licences | head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "facemin", "licences"], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert done.stderr == b""
    assert done.returncode in (0, FAILED)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no disk that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_finds_no_room_is_a_refusal(unbuffered: str) -> None:
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "facemin", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, env=environment, check=False)
    assert done.returncode == WRONG_INPUT
    assert done.stderr == b"facemin: expected room for the file, but the disk is full\n"


@pytest.mark.skipif(os.name != "posix", reason="closes a stream as a POSIX shell does")
def test_a_program_started_without_output_does_its_work() -> None:
    command = ["sh", "-c", f"'{sys.executable}' -m facemin --version >&-"]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_json_has_no_number_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": [float("nan"), (float("inf"), 1.5)], "b": Path("x")})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"a": [None, [None, 1.5]], "b": "x"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("enrol", "me"), "photos: expected at least one"),
        (("enrol", "me", "{tmp}/none.png"), "none.png: expected a photo, found nothing there"),
        (("verify", "me", "{tmp}"), "expected a photo, found no file"),
        (("identify", "{tmp}/none.png"), "found nothing there"),
        (("renew", "me", "{tmp}/me.png"), "photos: expected at least one"),
        (("enrol", "me", "{tmp}/me.png", "--url", "x"), "got no such address"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_makes_no_secret(
    call: Call, home: Path, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    (tmp_path / "me.png").write_bytes(picture(data.astronaut()))
    url = () if "--url" in arguments else ("--url", "http://127.0.0.1:1")
    done = call("client", *(part.format(tmp=tmp_path) for part in arguments), *url)
    assert done.returncode == WRONG_INPUT
    assert told in done.stderr
    assert not (home / "secrets").exists()
