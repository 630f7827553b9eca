"""Whole runs, small, in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from facemin.models import load_recogniser
from facemin.models.onnx.graph import Preprocess
from facemin.runtime.files import write_atomically
from facemin.train import Outcome, Progress, TrainingConfig, Watch, log, train
from facemin.train.training_module import build
from tests.train.conftest import Make, configuration, write_people

STEPS = 12  # 36 faces of 6 people in batches of 8, three times


def stop_at(step: int) -> Watch:
    seen: list[int] = []
    return Watch(on_step=lambda progress: seen.append(progress.step), stop=lambda: seen[-1] == step)


def weights(out: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(out / "checkpoint.pt", weights_only=True)["weights"]
    return found


def curve(out: Path) -> list[tuple[Any, ...]]:
    """The log but for its times."""
    return [
        (line["step"], line.get("loss"), line.get("lr"), line.get("evaluation")) for line in log.read(out / "log.jsonl")
    ]


def test_a_run_learns_and_leaves_what_it_says(make: Make, tmp_path: Path) -> None:
    told: list[Progress] = []
    config = make()
    state = torch.random.get_rng_state()
    done = train(config, out=tmp_path, device="cpu", watch=Watch(on_step=told.append))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert done[:3] == (STEPS, STEPS, True)

    lines = log.read(tmp_path / "log.jsonl")
    losses = [line["loss"] for line in lines if "loss" in line]
    assert len(losses) == STEPS
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert [line["step"] for line in lines if "evaluation" in line] == [0, 6, STEPS]
    assert [progress.step for progress in told if progress.validation is None] == list(range(1, STEPS + 1))
    assert all(line["images_per_second"] > 0 for line in lines if "loss" in line)
    assert lines[1]["epoch"] == 0.25
    assert lines[1]["lr"] == pytest.approx(0.05)

    record = json.loads((tmp_path / "record.json").read_text())
    assert record == done.record
    assert record["data"]["images"] == 36
    assert len(record["data"]["held_out_people"]) == 2
    assert record["evaluation"]["n"]["pairs"] == 40
    assert record["configuration"]["head"] == {"kind": "cosface", "scale": 16.0, "margin": 0.1}
    assert TrainingConfig.model_validate(record["configuration"]) == config


def test_the_graph_is_the_network(make: Make, tmp_path: Path) -> None:
    config = make()
    train(config, out=tmp_path, device="cpu")
    network = build(config.model).eval()
    network.load_state_dict(
        {
            name.removeprefix("network."): value
            for name, value in weights(tmp_path).items()
            if name.startswith("network.")
        }
    )
    recogniser = load_recogniser(tmp_path / "recogniser.onnx", preprocess=Preprocess())
    faces = torch.rand(3, 3, 112, 112)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(network(faces))
    torch.testing.assert_close(recogniser(faces), expected, rtol=1e-4, atol=1e-5)
    assert recogniser.embedding_size == 16


def uneven(people: Path) -> TrainingConfig:
    """9 steps with dropout, whose log lines, evaluations and checkpoints fall on different ones."""
    model = {"family": "ir18", "embedding_size": 16, "width": 0.0625, "dropout": 0.4}
    return configuration(people, model=model, batch=4, epochs=1, log_every=4, accumulate=2, checkpoint_every=3)


@pytest.fixture(scope="module")
def reference(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run."""
    out = tmp_path_factory.mktemp("reference")
    train(uneven(people), out=out, device="cpu")
    return out


def test_an_interrupted_run_ends_the_same(people: Path, tmp_path: Path, reference: Path) -> None:
    config = uneven(people)
    for step in (1, 5, 7):
        torch.manual_seed(step)
        stopped = train(config, out=tmp_path, device="cpu", resume=True, watch=stop_at(step))
        assert stopped == Outcome(step, 9, False, None)
        assert not (tmp_path / "recogniser.onnx").exists()
    assert train(config, out=tmp_path, device="cpu", resume=True).finished
    assert (tmp_path / "recogniser.onnx").read_bytes() == (reference / "recogniser.onnx").read_bytes()
    for name, weight in weights(reference).items():
        assert torch.equal(weights(tmp_path)[name], weight), name
    assert curve(tmp_path) == curve(reference)


def test_a_finished_run_finishes_again(make: Make, tmp_path: Path) -> None:
    train(make(epochs=1), out=tmp_path, device="cpu")
    before, graph = curve(tmp_path), (tmp_path / "recogniser.onnx").read_bytes()
    (tmp_path / "recogniser.onnx").unlink()
    assert train(make(epochs=1), out=tmp_path, device="cpu", resume=True).finished
    assert (tmp_path / "recogniser.onnx").read_bytes() == graph
    assert curve(tmp_path) == before


@pytest.mark.parametrize("change", ["accumulate", "seed"])
def test_parts_add_up_to_the_batch(make: Make, tmp_path: Path, change: str) -> None:
    """Without batch normalisation a gradient computed in parts is the batch's; another seed gives others."""
    model = {"family": "sphereface20", "embedding_size": 8, "width": 0.0625}
    plain = {"model": model, "epochs": 1, "optimiser": {"rate": 0.01}, "schedule": {"kind": "step", "milestones": [1]}}
    train(make(**plain), out=tmp_path / "a", device="cpu", watch=stop_at(2))
    train(make(**plain, **{change: 4}), out=tmp_path / "b", device="cpu", watch=stop_at(2))
    first, second = weights(tmp_path / "a"), weights(tmp_path / "b")
    near = all(torch.allclose(first[name], second[name], rtol=1e-4, atol=1e-5) for name in first)
    assert near == (change == "accumulate")


def test_clipping_bounds_the_step(make: Make, tmp_path: Path) -> None:
    """With one step, no momentum and no decay all weights together move by rate times the clipped length."""
    optimiser = {"rate": 0.5, "momentum": 0.0, "weight_decay": 0.0, "clip": 0.01}
    config = make(
        batch=36, epochs=1, optimiser=optimiser, schedule={"kind": "step", "milestones": [1]}, checkpoint_every=1
    )
    moved = []
    for rate in (0.5, 1e-9):
        out = tmp_path / str(rate)
        changed = config.model_copy(update={"optimiser": config.optimiser.model_copy(update={"rate": rate})})
        train(changed, out=out, device="cpu")
        moved.append(torch.cat([w.flatten() for name, w in weights(out).items() if "running" not in name]).double())
    assert float((moved[0] - moved[1]).norm()) == pytest.approx(0.5 * 0.01, rel=1e-3)


def test_bf16_learns_too(make: Make, tmp_path: Path) -> None:
    train(make(precision="bf16-mixed", epochs=1), out=tmp_path, device="cpu")
    assert all(weight.dtype != torch.bfloat16 for weight in weights(tmp_path).values())
    half = curve(tmp_path)
    train(make(epochs=1), out=tmp_path / "full", device="cpu")
    full = curve(tmp_path / "full")
    assert half != full
    assert half[1][1] == pytest.approx(full[1][1], rel=0.05)


def test_a_folder_holds_one_run(make: Make, tmp_path: Path) -> None:
    train(make(), out=tmp_path, device="cpu", watch=stop_at(2))
    with pytest.raises(ValueError, match=r"expected a folder without a run, found checkpoint\.pt; resume it"):
        train(make(), out=tmp_path, device="cpu")
    with pytest.raises(ValueError, match=r"another seed"):
        train(make(seed=4), out=tmp_path, device="cpu", resume=True)


def test_refuses_to_go_on_with_other_people(make: Make, tmp_path: Path) -> None:
    train(make(), out=tmp_path / "run", device="cpu", watch=stop_at(2))
    other = write_people(tmp_path / "people", 9, 6)
    data = make().data.model_copy(update={"root": other})
    with pytest.raises(ValueError, match="same faces and people"):
        train(make(data=data), out=tmp_path / "run", device="cpu", resume=True)


def broken_face(make: Make, tmp_path: Path) -> TrainingConfig:
    root = write_people(tmp_path / "people", 4, 3)
    write_atomically(root / "person01" / "1.png", b"\x89PNG broken")
    return make(data={"kind": "folder", "root": str(root), "aligned": True, "workers": 0}, batch=4)


def diverging(make: Make, tmp_path: Path) -> TrainingConfig:
    return make(optimiser={"rate": 1e30}, data=make().data.model_copy(update={"held_out": 0}))


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (broken_face, r"1\.png: expected a whole"),
        (diverging, r"step \d+: expected a? ?finite (loss|weights).*lower optimiser\.rate"),
        (lambda make, path: make(batch=37), r"batch: expected at most 36"),
        (lambda make, path: make(data={"kind": "folder", "root": str(path / "none")}), "none: expected a folder"),
    ],
    ids=["broken face", "diverging", "batch", "no folder"],
)
def test_fails_in_words(make: Make, tmp_path: Path, config: Callable[[Make, Path], TrainingConfig], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        train(config(make, tmp_path), out=tmp_path / "out", device="cpu")
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "out" / "recogniser.onnx").exists()


def test_refuses_a_device_that_is_not_there(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="device: expected auto, cpu or a device"):
        train(make(), out=tmp_path, device="warp")
