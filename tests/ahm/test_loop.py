"""AHM's training: the same weights whether or not it was interrupted, baselines, and what a run leaves behind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from facemin.ahm import AHMConfig, MixedQueries, load_trained, read_ahm_config, train_ahm
from facemin.ahm.data import find_mask, read_people
from facemin.ahm.masking.frequency import DC
from facemin.ahm.masking.mask import decode_mask
from facemin.ahm.mixing import COUNTS, Mixture, draw_partners, draw_weights
from facemin.ahm.model import Pair, Sight
from facemin.autograd.pixels import to_unit
from facemin.train import Watch, log
from tests.ahm.conftest import Make, configuration
from tests.pictures import decode_tensor

STEPS = 9


def weights(out: Path) -> dict[str, torch.Tensor]:
    found = torch.load(out / "checkpoint.pt", weights_only=True)
    states = [*found["optimiser"]["recogniser"]["state"].values(), *found["optimiser"]["strategy"]["state"].values()]
    momenta = {f"{at}.{name}": value for at, state in enumerate(states) for name, value in state.items()}
    return found["weights"] | momenta  # type: ignore[no-any-return]


def without_times(out: Path) -> list[dict[str, object]]:
    return [
        {name: value for name, value in line.items() if name not in ("seconds", "images_per_second")}
        for line in log.read(out / "log.jsonl")
    ]


@pytest.fixture(scope="module")
def trained(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ahm") / "whole"
    train_ahm(configuration(people), out=out, device="cpu")
    return out


@pytest.fixture
def whole(trained: Path, tmp_path: Path) -> Path:
    """A run that was not interrupted; a copy, which a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "whole"))


@pytest.mark.parametrize("after", [1, 4, 5])
def test_interrupted_and_resumed_ends_on_the_same_weights(
    after: int, make_ahm: Make, whole: Path, tmp_path: Path
) -> None:
    out, seen = tmp_path / "parts", []

    def stop() -> bool:
        seen.append(1)
        return len(seen) == after

    stopped = train_ahm(make_ahm(), out=out, device="cpu", watch=Watch(stop=stop))
    assert (stopped.step, stopped.finished) == (after, False)
    resumed = train_ahm(make_ahm(), out=out, device="cpu", resume=True)
    assert (resumed.step, resumed.finished) == (STEPS, True)
    one, two = weights(whole), weights(out)
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert without_times(whole) == without_times(out)
    assert (whole / "recogniser.safetensors").stat().st_size == (out / "recogniser.safetensors").stat().st_size


def test_strategy_and_recogniser_both_move(whole: Path, make_ahm: Make, tmp_path: Path) -> None:
    train_ahm(make_ahm(), out=tmp_path / "short", device="cpu", watch=Watch(stop=lambda: True))
    early, late = weights(tmp_path / "short"), weights(whole)
    moved = {name.partition(".")[0] for name in early if not torch.equal(early[name], late[name])}
    assert {"network", "head", "policy"} <= moved


def test_log_has_reward_entropy_and_counts(whole: Path) -> None:
    lines = [line for line in log.read(whole / "log.jsonl") if "loss" in line]
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 9]
    assert all(sum(line["k"].values()) == 8 * (1 if line["step"] == 9 else 2) for line in lines)
    assert all(set(line["k"]) == {str(count) for count in COUNTS} for line in lines)
    with_strategy = [line for line in lines if "reward" in line]
    assert [line["step"] for line in with_strategy] == [2, 4, 6, 8]
    assert all({"entropy", "baseline"} <= line.keys() for line in with_strategy)
    assert all(0 <= line["entropy"] <= 1.61 for line in with_strategy)


@pytest.mark.parametrize(
    ("mixing", "counts"),
    [
        ({"kind": "none"}, set()),
        *(({"kind": "fixed", "count": count}, {count}) for count in COUNTS),
        ({"kind": "random", "partners": "between"}, set(COUNTS)),
        ({"kind": "policy", "partners": "any"}, set(COUNTS)),
    ],
)
def test_baselines_mix_their_own_numbers_of_faces(
    mixing: dict[str, object], counts: set[int], make_ahm: Make, tmp_path: Path
) -> None:
    train_ahm(make_ahm(mixing=mixing, evaluate={"every": 100, "pairs": 10}), out=tmp_path, device="cpu")
    lines = [line for line in log.read(tmp_path / "log.jsonl") if "loss" in line]
    used = {int(count) for line in lines for count, number in line.get("k", {}).items() if number}
    assert used == counts or (len(counts) > 1 and used <= counts and len(used) > 2)


def test_no_mask_keeps_dc_in_order(make_ahm: Make, tmp_path: Path) -> None:
    plain = {"every": 4, "kept": 3, "dc": True, "shuffle": False}
    train_ahm(make_ahm(mask=plain, mixing={"kind": "none"}, epochs=1), out=tmp_path, device="cpu")
    mask = decode_mask((tmp_path / "mask.safetensors").read_bytes())
    assert mask.channels == (0, 1, 8, 64, 65, 72, 128, 129, 136)
    assert set(DC) < set(mask.channels)


def test_learned_channels(make_ahm: Make, tmp_path: Path) -> None:
    learned = {"every": 4, "kept": 5, "choice": "learned", "secret": 1}
    train_ahm(make_ahm(mask=learned), out=tmp_path, device="cpu", watch=Watch(stop=lambda: True))
    channels = decode_mask((tmp_path / "mask.safetensors").read_bytes()).channels
    assert len(channels) == 15
    assert not set(channels) & set(DC)


def test_a_secret_of_its_own(make_ahm: Make, tmp_path: Path) -> None:
    masks = []
    for name in ("one", "two"):
        secretless = make_ahm(mask={"every": 4, "kept": 12}, epochs=1)
        train_ahm(secretless, out=tmp_path / name, device="cpu", watch=Watch(stop=lambda: True))
        masks.append(decode_mask((tmp_path / name / "mask.safetensors").read_bytes()))
    assert set(masks[0].channels) == set(masks[1].channels)
    assert masks[0].channels != masks[1].channels


def test_it_learns_and_is_read_back(make_ahm: Make, people: Path, tmp_path: Path) -> None:
    config = make_ahm(epochs=25, mixing={"kind": "fixed", "count": 2}, optimiser={"rate": 0.05})
    done = train_ahm(config, out=tmp_path, device="cpu")
    lines = [line for line in log.read(tmp_path / "log.jsonl") if "loss" in line]
    assert lines[-1]["loss"] < 0.6 * lines[0]["loss"]
    assert done.record is not None
    assert json.loads((tmp_path / "record.json").read_text()) == done.record
    assert set(done.record["queries"]) == {"masked", "mixed"}
    assert done.record["queries"]["masked"]["accuracy"] > 0.7
    trained = load_trained(tmp_path)
    assert trained.classes.shape == (4, 8)
    assert len(trained.people) == 4
    faces = torch.stack([to_unit(decode_tensor(people / name / "0.png")) for name in trained.people])
    rows = trained.recogniser(faces)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(4))
    assert (rows @ trained.classes.T).argmax(1).tolist() == [0, 1, 2, 3]


def test_refuses_anothers_checkpoint_and_a_used_folder(make_ahm: Make, whole: Path) -> None:
    with pytest.raises(ValueError, match=r"checkpoint\.pt"):
        train_ahm(make_ahm(), out=whole, device="cpu")
    with pytest.raises(ValueError, match=r"strategy\.every"):
        train_ahm(make_ahm(strategy={"every": 3}), out=whole, device="cpu", resume=True)


def test_refuses_damaged_weights(make_ahm: Make, whole: Path) -> None:
    path = whole / "recogniser.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="facemin-masked-recogniser-1"):
        load_trained(whole)


def test_mixed_queries_are_the_same_each_time_and_mostly_themselves(make_ahm: Make, whole: Path) -> None:
    recogniser = load_trained(whole).recogniser
    public = torch.randint(256, (5, 3, 112, 112), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    queries = MixedQueries(recogniser, public, count=3)
    faces = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    mixed = queries.mixed(faces)
    assert torch.equal(queries.mixed(faces.flip(0)).flip(0), mixed)
    torch.testing.assert_close(queries(faces), recogniser(mixed))
    flat = [each.flatten() - each.mean() for each in (mixed[0], faces[0], faces[1])]
    own, other = (torch.nn.functional.cosine_similarity(flat[0], each, dim=0) for each in flat[1:])
    assert own > 0.5 > abs(other) + 0.3
    with pytest.raises(ValueError, match="at least 5"):
        MixedQueries(recogniser, public[:4], count=6)


class TestConfiguration:
    def test_reads_toml(self, people: Path, make_ahm: Make, tmp_path: Path) -> None:
        (tmp_path / "run.toml").write_text(
            f"""epochs = 3
batch = 8
[data]
kind = "folder"
root = "{people}"
[mixing]
kind = "fixed"
count = 4
[head]
kind = "arcface"
[optimiser]
rate = 0.1
[schedule]
kind = "cosine"
"""
        )
        found = read_ahm_config(tmp_path / "run.toml")
        assert isinstance(found, AHMConfig)
        assert (found.mixing.count, found.mask.kept, found.data.root) == (4, 36, people)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"mixing": {"kind": "fixed"}}, "count"),
            ({"mixing": {"kind": "random", "count": 3}}, "count"),
            ({"mixing": {"kind": "fixed", "count": 7}}, "6"),
            ({"schedule": {"kind": "cosine", "warmup": 3.0}}, "warm-up"),
        ],
    )
    def test_refuses(self, changes: dict[str, object], words: str, make_ahm: Make) -> None:
        with pytest.raises(ValueError, match=words):
            make_ahm(**changes)

    def test_refuses_too_many_public_people(self, make_ahm: Make, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="at most 4"):
            train_ahm(make_ahm(query={"public": 5}), out=tmp_path, device="cpu")


@pytest.mark.parametrize(
    "strategy",
    [
        {"every": 2, "reward": "excess"},
        {"every": 2, "standardised": True},
        {"every": 2, "frozen": 0.5},
        {"every": 2, "floor": 0.9, "floor_rate": 2.0},
    ],
    ids=["excess", "standardised", "frozen", "floor"],
)
def test_every_way_to_reward_is_resumed_to_the_same_weights(
    strategy: dict[str, object], make_ahm: Make, whole: Path, tmp_path: Path
) -> None:
    out, parts, seen = tmp_path / "out", tmp_path / "interrupted", []

    def stop() -> bool:
        seen.append(1)
        return len(seen) == 5

    config = make_ahm(strategy=strategy)
    train_ahm(config, out=out, device="cpu")
    train_ahm(config, out=parts, device="cpu", watch=Watch(stop=stop))
    train_ahm(config, out=parts, device="cpu", resume=True)
    one, two, plain = weights(out), weights(parts), weights(whole)
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    assert any(not torch.equal(value, plain[name]) for name, value in one.items() if name in plain)


def test_a_frozen_strategy_learns_after_its_share_of_the_steps(make_ahm: Make, tmp_path: Path) -> None:
    train_ahm(make_ahm(strategy={"every": 1, "frozen": 0.5}, log_every=1), out=tmp_path, device="cpu")
    lines = [line for line in log.read(tmp_path / "log.jsonl") if "loss" in line]
    assert ["entropy" in line for line in lines] == [line["step"] >= STEPS * 0.5 for line in lines]


def test_a_ramp_goes_from_two_faces_to_six(make_ahm: Make, tmp_path: Path) -> None:
    train_ahm(make_ahm(mixing={"kind": "ramp"}, log_every=1), out=tmp_path, device="cpu")
    lines = [line for line in log.read(tmp_path / "log.jsonl") if "loss" in line]
    drawn = [next(int(count) for count, number in line["k"].items() if number) for line in lines]
    assert drawn == [COUNTS[min(5 * step // STEPS, 4)] for step in range(STEPS)]


def test_a_floor_that_is_missed_is_in_the_log(make_ahm: Make, tmp_path: Path) -> None:
    train_ahm(
        make_ahm(strategy={"every": 1, "floor": 0.99, "floor_rate": 1.0}, log_every=1), out=tmp_path, device="cpu"
    )
    found = [line["multiplier"] for line in log.read(tmp_path / "log.jsonl") if "multiplier" in line]
    assert len(found) == STEPS
    assert found[-1] > found[0] > 0


def test_faces_masked_once_and_then_mixed_are_masked_mixtures(make_ahm: Make, tmp_path: Path) -> None:
    config = make_ahm()
    people = read_people(config, cache=tmp_path)
    mask = find_mask(config, people.pool, people.labels, tmp_path / "mask.safetensors", resumed=False)
    pair = Pair(config, mask, len(people.names))
    sight = Sight(pair, mask, people, batch=8, device=torch.device("cpu"), dtype=torch.float32)
    assert sight.held is not None
    generator = np.random.default_rng(0)
    places, counts = torch.arange(8), torch.tensor([1, 2, 3, 4, 5, 6, 2, 3])
    partners = draw_partners(places, people.labels, counts, generator)
    mixture, flips = Mixture(partners, draw_weights(counts, generator)), torch.arange(8) % 2 == 0
    once = sight.masked(mixture, flips).clone()
    sight.held = None
    torch.testing.assert_close(once, sight.masked(mixture, flips), atol=1e-4, rtol=1e-4)
