"""The report: a page of records alone, with what is missing said to be so."""

import re
from pathlib import Path

import pytest

from facemin.experiments import measures, read_records
from facemin.experiments.findings import RecordsOf, Shortfall
from facemin.experiments.layouts.groups import grouped
from facemin.experiments.layouts.pictures import Painter, picture_path
from facemin.experiments.layouts.places import CLAIMS
from facemin.experiments.layouts.report import LAYOUTS, as_section, write_report
from facemin.experiments.layouts.sections import laid_out
from facemin.experiments.store.records import read_header
from facemin.metrics import wilson
from tests.experiments.conftest import TOML, Measure, measured
from tests.html_page import HtmlPage

ALL_LAYOUTS = sorted(LAYOUTS)
FULL = TOML.replace("[data]", 'distance = "apart"\n[noise]\nbounds = [0, 0.1]\nkappa = [0.2, 0.4, 0.6, 0.8]\n[data]')


class Page(HtmlPage):
    """With its tables by caption, as rows of text."""

    def __init__(self, text: str) -> None:
        self.tables: dict[str, list[list[str]]] = {}
        self._caption = ""
        super().__init__(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        super().handle_starttag(tag, attrs)
        if tag == "h3":
            self._caption = ""
        elif tag == "table":
            self.tables[self._caption] = []
        elif tag == "tr":
            self.tables[self._caption].append([])
        elif tag in ("td", "th"):
            self.tables[self._caption][-1].append("")

    def handle_data(self, data: str) -> None:
        super().handle_data(data)
        if "h3" in self._open:
            self._caption += data
        elif {"td", "th"} & set(self._open):
            self.tables[self._caption][-1][-1] += (" | " if "small" in self._open else "") + data


@pytest.fixture(scope="module")
def records(world: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of `FULL`, which is a matrix; the layout changes nothing that is measured."""
    return measured(world, tmp_path_factory.mktemp("records"), FULL).file.read_text(encoding="utf-8")


@pytest.mark.parametrize("layout", ALL_LAYOUTS)
def test_every_layout_is_whole_and_alone(records: str, tmp_path: Path, layout: str) -> None:
    assert '"layout":"matrix"' in records
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "small.jsonl").write_text(records.replace('"layout":"matrix"', f'"layout":"{layout}"'), encoding="utf-8")
    written = write_report(folder)
    text = written.file.read_text(encoding="utf-8")
    page = Page(text)
    assert written.experiments == ("small on faces",)
    assert not page.all("script", "link", "iframe", "object")
    assert all(link.startswith("#") for link in page.values("href"))
    sources = page.values("src")
    assert all(source.startswith("data:image/") for source in sources)
    assert sources or layout in ("matrix", "rows")
    assert re.findall("https?://", text) == []
    for rows in page.tables.values():
        assert len({len(row) for row in rows}) == 1
        assert len(rows) > 1
    assert "A small matrix" in page.words
    assert "On patterns." in page.words
    assert str(tmp_path) not in text
    # the same records give the same page
    assert write_report(folder, out=tmp_path / "again.html").file.read_bytes() == written.file.read_bytes()


def test_a_matrix_shows_ours_beside_the_papers(measure: Measure) -> None:
    done = measure()
    one, both = read_records(done.file)
    page = Page(write_report(done.file.parent).file.read_text(encoding="utf-8"))
    head, clean, first, second = page.tables["acc (PMT, equation 10) at each judge's own threshold"]
    assert head[:5] == ["authorised", "one", "two", "mean of others", "worst other"]
    assert head[5:] == ["authorised, paper (LFW)", "mean of others, paper (LFW)", "n", "steps", "residual"]
    found = measures.strict(one, "one")
    assert first[1] == f"{found.value:.3f} | {found.low:.3f} to {found.high:.3f}"
    low, high = wilson(103, 104)
    assert first[5] == f"0.990 | {low:.3f} to {high:.3f}"
    assert first[7] == "11"
    assert clean[1].startswith(f"{measures.clean_strict(one, 'one').value:.3f}")
    # both are authorised, so there is nobody else
    assert second[3:5] == ["not run", "not run"]
    assert second[5:7] == ["-", "-"]
    assert second[-1] == ", ".join(f"{measures.mean_residual(both, key):.3f}" for key in (0, 1))
    assert page.tables["The paper's own figures (LFW)"][1] == ["Clean", "0.994"]
    operations = page.tables["TAR after what a provider or an adversary does to the image"]
    assert operations[0] == ["cell", "judge", "clean", "none", "blur-1", "jpeg-75"]


def test_what_was_not_run_is_not_zero(measure: Measure) -> None:
    file = measure().file
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    page = Page(write_report(file.parent).file.read_text(encoding="utf-8"))
    for caption in ("TAR, raw", "acc at the paper's threshold, 0.2"):
        last = page.tables[caption][-1]
        assert last[0] == "both"
        assert set(last[1:]) <= {"not run", "-"}
    assert "1 of 2 cells measured" in page.words


def test_without_impostor_pairs_there_is_no_accuracy(measure: Measure) -> None:
    genuine = TOML.replace("impostor = 5", "impostor = 0")
    rows = Page(
        write_report(measure(genuine.replace('"matrix"', '"rows"')).file.parent).file.read_text(encoding="utf-8")
    ).tables["Accuracy (PMT, equation 10) and TAR"]
    first = dict(zip(rows[0], rows[1], strict=True))
    assert first["authorised: acc at own threshold"] == "not run"
    assert first["authorised: TAR, raw"] != "not run"
    page = Page(write_report(measure(genuine, name="m").file.parent).file.read_text(encoding="utf-8"))
    assert "TAR, raw" in page.tables


def test_up_stands_in_rows(measure: Measure) -> None:
    text = FULL.replace('"matrix"', '"rows"').replace("unauthorised = 0.077", "up = 1.848")
    done = measure(text)
    rows = Page(write_report(done.file.parent).file.read_text(encoding="utf-8")).tables[
        "Accuracy (PMT, equation 10) and TAR"
    ]
    first = dict(zip(rows[0], rows[1], strict=True))
    record = read_records(done.file)[0]
    trade = measures.trades(record, "one", kappa=0.2)[-1]
    both = measures.utility_privacy(record, "one", bound=0.1, kappa=0.2)
    assert first["UP, paper (LFW)"] == "1.848"
    assert first["UP (0.1, 0.2)"] == f"{trade.total:.3f} | {both.low:.3f} to {both.high:.3f}"
    assert first["utility (0.1, 0.2)"].startswith(f"{trade.utility.value:.3f} | ")


def test_best_points_of_a_sweep(measure: Measure) -> None:
    sweep = TOML.replace('"matrix"', '"selectivity"').replace(
        "[[cell]]", '[sweep]\n"method.steps" = [1, 30]\n[[cell]]', 1
    )
    done = measure(sweep)
    page = Page(write_report(done.file.parent).file.read_text(encoding="utf-8"))
    best, every = page.tables["Best operating points, one a series"], page.tables["All points"]
    assert len(every) == 5
    assert len(best) == 3
    by_cell = {record.cell: record for record in read_records(done.file)}
    for row in best[1:]:
        series = row[0].partition(",")[0]
        rivals = [measures.selectivity(r) for r in by_cell.values() if r.cell.startswith(f"{series},")]
        own = measures.selectivity(by_cell[row[0]])
        assert not any(rival > own for rival in rivals)


def test_groups_by_faces_and_latest_settings(measure: Measure) -> None:
    measure()
    done = measure(TOML.replace("steps = 8", "steps = 9"))
    quick = measure(quick=True)
    (group,) = grouped(read_records(done.file))
    assert [row.record and row.record.resolved["method"]["steps"] for row in group.rows] == [25, 9]
    assert group.superseded == 1
    assert "1 earlier records" in laid_out(as_section(group, done.file.parent))
    (rough,) = grouped(read_records(quick.file))
    assert rough.quick
    assert "A quick run: too few" in laid_out(as_section(rough, quick.file.parent))
    assert "A quick run" not in laid_out(as_section(group, done.file.parent))
    twice = grouped([*read_records(done.file), *read_records(done.file)])
    assert twice[0].superseded == 4


def test_the_page_has_the_experiment_as_its_file_is_now(measure: Measure) -> None:
    measure()
    last = TOML.rindex("[[cell]]")
    done = measure(TOML[:last].replace('title = "', 'title = "Anew: '))
    assert not done.measured
    page = Page(write_report(done.file.parent).file.read_text(encoding="utf-8"))
    assert "Anew: " in page.words
    (group,) = grouped(read_records(done.file), read_header(done.file))
    assert len(group.rows) == TOML.count("[[cell]]") - 1
    assert group.superseded == 1


def test_thresholds_that_mean_nothing_are_said_to(measure: Measure) -> None:
    done = measure(TOML.replace("far = 0.02", "far = 1e-6"))
    page = Page(write_report(done.file.parent).file.read_text(encoding="utf-8"))
    assert "Too few impostor pairs for FAR 1e-06, so these thresholds admit none: one, two." in page.words


def test_pictures_only_when_asked(measure: Measure) -> None:
    from facemin.experiments import Watch
    from tests.pictures import decode_tensor

    done = measure()
    folder = done.file.parent
    record = read_records(done.file)[0]
    asked = write_report(folder, pictures=True)
    assert asked.file.name == "report.with-pictures.html"
    assert "No faces were drawn" in asked.file.read_text(encoding="utf-8")
    done.file.unlink()
    measure(watch=Watch(on_faces=Painter(folder, 4)))
    grid = decode_tensor(picture_path(folder, record))
    assert tuple(grid.shape) == (3, 3 * 112, 4 * 112)
    assert "data:image/png" not in write_report(folder).file.read_text(encoding="utf-8")
    assert write_report(folder, pictures=True).file.read_text(encoding="utf-8").count("data:image/png") == 2


def test_lists_records_of_unknown_kinds(measure: Measure) -> None:
    folder = measure().file.parent
    (folder / "deep").mkdir()
    (folder / "deep" / "lfw.jsonl").write_text('{"model": "dlib-resnet29"}\n')
    (folder / "empty.jsonl").write_text("")
    written = write_report(folder)
    assert written.passed_over == (folder / "deep" / "lfw.jsonl", folder / "empty.jsonl")
    assert len(written.experiments) == 1
    words = Page(written.file.read_text(encoding="utf-8")).words
    listed = words.partition("Without a section here, and their number of records")[2]
    assert listed.startswith("\n\ndeep/lfw.jsonl: 1\nempty.jsonl: 0\n")


def test_escapes_what_a_file_says(measure: Measure) -> None:
    text = TOML.replace("A small matrix", "<script>alert(1)</script>").replace('name = "both"', 'name = "<b>&"')
    page = write_report(measure(text).file.parent).file.read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (False, "expected a folder of records, found none"),
        (True, "expected records of experiments, found none in 0 files of JSON"),
    ],
)
def test_refuses_nothing_to_report(tmp_path: Path, make: bool, message: str) -> None:
    if make:
        (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path / "none")


def test_no_place_of_a_table_is_empty(records: str, tmp_path: Path) -> None:
    for layout in ALL_LAYOUTS:
        text = records.replace('"layout":"matrix"', f'"layout":"{layout}"')
        # one cell has no record
        (tmp_path / f"{layout}.jsonl").write_text(text.splitlines()[0] + "\n", encoding="utf-8")
    page = Page(write_report(tmp_path).file.read_text(encoding="utf-8"))
    assert page.tables
    assert [row for rows in page.tables.values() for row in rows if not all(map(str.strip, row))] == []


def test_sections_stand_in_the_order_of_the_paper(measure: Measure) -> None:
    sources = ["PMT, Table X", "PMT, Figure 4", "PMT, section 6.1", "PMT, Table IV", "Ours", "PMT, Table IX"]
    for place, source in enumerate(sources):
        text = TOML.replace("PMT, Table VII", source).replace('"A small matrix"', f'"Number {place}"')
        folder = measure(text, name=f"experiment{place}").file.parent
    page = write_report(folder).file.read_text(encoding="utf-8")
    headings = re.findall(r"<h2 id=.*?>(.*?) - faces</h2>", page)
    first = ["PMT, Table IV: Number 3", "PMT, Figure 4: Number 1", "PMT, Table IX: Number 5", "PMT, Table X: Number 0"]
    assert headings == [*first, "Number 2", "Number 4"]


def test_each_section_says_how_to_repeat_it(measure: Measure) -> None:
    folder = measure().file.parent
    measure(quick=True)
    words = Page(write_report(folder).file.read_text(encoding="utf-8")).words
    command = f"facemin bench run experiments/{folder.name}/small.toml --data faces --models DIR"
    assert f"Repeat it: {command}\n" in words
    assert f"Repeat it: {command} --quick\n" in words


class TestItOpensWithWhatWasFound:
    def test_in_words_made_of_the_records(self, measure: Measure) -> None:
        done = measure()
        one, both = read_records(done.file)
        page = Page(write_report(done.file.parent).file.read_text(encoding="utf-8"))
        opening = {row[0]: row[1:] for row in page.tables["PMT's tables and figures"]}
        claim, here = opening["Table VII"]
        assert claim == CLAIMS["Table VII"]
        kept = [measures.weakest(record, measures.authorised(record), ("none",)) for record in (one, both)]
        shares = sorted(named.share.value for named in kept if named is not None)
        span = f"{shares[0]:.2f} to {shares[1]:.2f}" if shares[0] != shares[1] else f"{shares[0]:.2f}"
        assert here.startswith(f"Of 6 people the authorised that keeps least, of several keys, accepts {span} (")
        worst = measures.worst(one, ("two",))
        assert worst is not None
        assert f"after any operation {worst.share.value:.2f} (two" in here
        assert f"any other's highest AUC {max(area.auc for *_, area in measures.areas(one, ['two'])):.2f} (" in here
        assert page.words.index(here) < page.words.index("On patterns.")

    def test_and_with_what_has_no_record(self, measure: Measure) -> None:
        page = Page(write_report(measure().file.parent).file.read_text(encoding="utf-8"))
        opening = page.tables["PMT's tables and figures"][1:]
        assert [row[0] for row in opening] == list(CLAIMS)
        assert {row[0] for row in opening if row[2] == "not run"} == set(CLAIMS) - {"Table VII"}

    def test_figures_have_up_in_place_of_tar(self, measure: Measure) -> None:
        done = measure(FULL.replace('"matrix"', '"noise"').replace("Table VII", "Figure 10"))
        page = Page(write_report(done.file.parent).file.read_text(encoding="utf-8"))
        here = {row[0]: row[2] for row in page.tables["PMT's tables and figures"]}["Figure 10"]
        record = read_records(done.file)[0]
        for kappa in (0.4, 0.8):
            first, last = measures.trades(record, "one", kappa=kappa)
            assert f"At the threshold {kappa:g}: one UP {first.total:.2f}, then {last.total:.2f}" in here
        assert "accepts" not in here

    def test_and_with_what_is_missing_or_was_made_by_changed_code(self, measure: Measure) -> None:
        done = measure()
        one = done.file.read_text(encoding="utf-8").splitlines()[0]
        done.file.write_text(one.replace('"dirty":false', '"dirty":true') + "\n")
        assert '"dirty":true' in done.file.read_text(encoding="utf-8")
        written = write_report(done.file.parent)
        text = Page(written.file.read_text(encoding="utf-8")).words
        assert "1 of 2 cells are measured, 1 of them by changed code" in text
        assert written.shortfall == Shortfall(2, ("small: both",), ("small: one",))
        assert "small: both" in text
        assert "small: one" in text

    def test_and_with_what_every_file_says_of_the_code(self, measure: Measure) -> None:
        done = measure()
        folder = done.file.parent
        done.file.write_text(done.file.read_text(encoding="utf-8").replace('"dirty":true', '"dirty":false'))
        (folder / "attacks").mkdir()
        (folder / "attacks" / "linkage.jsonl").write_text('{"dirty": true}\n{"dirty": false}\n{"n": 5}\n')
        (folder / "fit.json").write_text('{\n "dirty": true\n}\n')
        (folder / "parity.json").write_text('{"conditions": {"dirty": true}}\n')
        written = write_report(folder)
        assert written.files == (
            RecordsOf("attacks/linkage.jsonl", 3, 1, 1, shown=False),
            RecordsOf("fit.json", 1, 1, 0, shown=False),
            RecordsOf("parity.json", 1, 1, 0, shown=False),
            RecordsOf("small.jsonl", 2, 0, 0, shown=True),
        )
        text = Page(written.file.read_text(encoding="utf-8")).words
        assert "Of all 7 records in 4 files 3 say that changed code made them, and 1 say nothing of it." in text
        assert "attacks/linkage.jsonl: 1 of 3" in text

    def test_and_with_core_hours_each_run_once(self, measure: Measure) -> None:
        folder = measure().file.parent
        (folder / "deep").mkdir()
        shared = '{"spent": {"seconds": 7200.000123}}\n'
        for name in ("one", "two"):
            (folder / "deep" / f"{name}.jsonl").write_text(shared)
        (folder / "deep" / "silent.json").write_text("{}\n")
        text = Page(write_report(folder).file.read_text(encoding="utf-8")).words
        assert "Core-hours that the records state, each run counted once: 2.0 (deep 2.0, this folder 0.0)." in text
        assert "Files that state no time\n\ndeep/silent.json\n" in text
