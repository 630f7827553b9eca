"""Figures and tables of AHM's experiment, from its records alone."""

from __future__ import annotations

import json
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facemin.ahm.mixing import COUNTS
from facemin.ahm.scores import RawScores, Scores, ahm_scores
from facemin.experiments.common import replace_section, table_head
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END = "<!-- records: begin, written by experiments/ahm/run.py report -->", "<!-- records: end -->"
INVERSIONS = ("white box", "white box, GAN", "black box, embedding", "black box, class")
DPI = 110


def write_report(results: Path, runs: Path, docs: Path) -> None:
    """Write figures into docs and its page's tables, and, with pictures of people, a page into runs."""
    training = {each["name"]: each for each in _read(results / "training.jsonl")}
    attacks = {each["name"]: each for each in _read(results / "attacks.jsonl")}
    masks = _read(results / "masks.jsonl")
    scores = {name: scores_of(training[name], attacks[name]) for name in training if name in attacks}
    write_atomically(docs / "ahm-tradeoff.png", _png(tradeoff(training, attacks, scores)))
    write_atomically(docs / "ahm-counts.png", _png(counts(training)))
    parts = [accuracy_table(training)]
    if scores:
        parts += [attack_table(attacks), score_table({marked(name, training[name]): scores[name] for name in scores})]
    if masks:
        parts.append(mask_table(masks[-1]))
    text = "\n\n".join(parts)
    replace_section(docs / "ahm.md", BEGIN, END, text)
    write_atomically(runs / "report.html", pictures(runs, text).encode())


def scores_of(training: dict[str, Any], attacks: dict[str, Any]) -> Scores:
    """The scores of one configuration: the best attack counts."""
    made = {name: found for name, found in attacks.items() if isinstance(found, dict) and "tar" in found}
    best = max(found["tar"] for name, found in made.items() if name != "floor: mean face")
    return ahm_scores(
        RawScores(
            ssim=made["shown"]["ssim"],
            psnr=made["shown"]["psnr"],
            identity=best,
            rank_one=max(made[name]["rank_one"] for name in INVERSIONS),
            accuracy=training["queries"]["masked"]["accuracy"],
        )
    )


def accuracy_table(training: dict[str, Any]) -> str:
    """How well people never seen are verified."""
    figures = ("last loss", "masked only: accuracy, %", "EER, %", "TAR at FAR 1 %, %", "mixed: accuracy, %")
    lines = table_head("configuration", *figures, "mean k, last third", "images/s")
    for name, each in training.items():
        masked, mixed = each["queries"]["masked"], each["queries"]["mixed"]
        last = [line["loss"] for line in each["log"] if "loss" in line][-1]
        lines.append(
            f"| {marked(name, each)} | {last:.2f} | {_percent(masked['accuracy'], masked['accuracy_interval'])} "
            f"| {100 * masked['eer']:.1f} | {_percent(masked['tar'], masked['tar_interval'])} "
            f"| {_percent(mixed['accuracy'], mixed['accuracy_interval'])} | {_mean_count(each)} "
            f"| {each['run']['images_per_second']:.0f} |"
        )
    return "\n".join(lines)


def attack_table(attacks: dict[str, Any]) -> str:
    """What each attack makes of each configuration, as the judge sees it."""
    names = list(dict.fromkeys(name for each in attacks.values() for name, found in each.items() if _is_attack(found)))
    titles = [marked(name, each) for name, each in attacks.items()]
    lines = table_head("attack: TAR, % (rank one, %)", *titles)
    for name in names:
        cells = [
            f"{100 * each[name]['tar']:.0f} ({100 * each[name]['rank_one']:.0f})" if name in each else "-"
            for each in attacks.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    with_pixels = [name for name in names if any("ssim" in each.get(name, {}) for each in attacks.values())]
    lines += ["", *table_head("SSIM, PSNR in dB", *titles)]
    for name in with_pixels:
        cells = [
            f"{each[name]['ssim']:.2f}, {each[name]['psnr']:.1f}" if "ssim" in each.get(name, {}) else "-"
            for each in attacks.values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def score_table(scores: dict[str, Scores]) -> str:
    """Scores, raw values beside them."""
    shown = ("S1 (SSIM)", "S2 (PSNR, dB)", "S3 (best attack's TAR)", "S4 (inversion's rank one)")
    lines = table_head("configuration", *shown, "privacy", "classification (accuracy)")
    for name, each in scores.items():
        raw = each.raw
        lines.append(
            f"| {name} | {each.s1:.2f} ({raw.ssim:.2f}) | {each.s2:.2f} ({raw.psnr:.1f}) "
            f"| {each.s3:.2f} ({raw.identity:.2f}) | {each.s4:.2f} ({raw.rank_one:.2f}) | {each.privacy:.2f} "
            f"| {each.classification:.2f} ({raw.accuracy:.3f}) |"
        )
    return "\n".join(lines)


def mask_table(masks: dict[str, Any]) -> str:
    """What the mask alone hides."""
    lines = table_head(marked("what the judge is shown", masks), "SSIM", "PSNR, dB", "TAR, %", "rank one, %")
    for name, found in masks.items():
        if _is_attack(found):
            tar = _percent(found["tar"], found["tar_interval"])
            psnr = f"{found['psnr']:.1f}" if found["psnr"] < 100 else "-"
            lines.append(f"| {name} | {found['ssim']:.2f} | {psnr} | {tar} | {100 * found['rank_one']:.0f} |")
    return "\n".join(lines)


def tradeoff(training: dict[str, Any], attacks: dict[str, Any], scores: dict[str, Scores]) -> Figure:
    """Privacy against accuracy: the weighted sum; and TAR of who has one mix of a face, and of the best attack."""
    figure = Figure(figsize=(11, 4.2), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, each in scores.items():
        low, high = training[name]["queries"]["masked"]["accuracy_interval"]
        accuracy = each.raw.accuracy
        spread = [[100 * (accuracy - low)], [100 * (high - accuracy)]]
        one = attacks[name]["U-Net on the mix"]["tar"]
        for axes, value in ((left, each.privacy), (right, one)):
            axes.errorbar(100 * accuracy, value, xerr=spread, fmt="o", capsize=3, label=name)
        right.plot([100 * accuracy] * 2, [one, each.raw.identity], "k:", linewidth=1)
        right.plot(100 * accuracy, each.raw.identity, "kx", label="best attack" if name == next(iter(scores)) else None)
    left.set(xlabel="accuracy on people never seen, %", ylabel="privacy score (0.4 visual + 0.6 attack)", ylim=(0, 1))
    right.set(xlabel="accuracy on people never seen, %", ylabel="TAR of the U-Net on one mix", ylim=(-0.03, 1.08))
    if scores:
        figure.legend(*right.get_legend_handles_labels(), fontsize=8, loc="outside right center")
    for axes in (left, right):
        axes.grid(visible=True, alpha=0.3)
        axes.set_xlim(48, 86)
    return figure


def counts(training: dict[str, Any]) -> Figure:
    """How often each k was drawn over the training, and the strategy's entropy and reward."""
    shown = [name for name in training if training[name]["configuration"]["mixing"]["kind"] == "policy"]
    figure = Figure(figsize=(10, 3.6 * max(1, len(shown))), dpi=DPI, layout="constrained")
    grid = figure.subplots(max(1, len(shown)), 2, squeeze=False)
    for (left, right), name in zip(grid, shown, strict=False):
        lines = [line for line in training[name]["log"] if "k" in line]
        steps = [line["step"] for line in lines]
        shares = [[line["k"][str(count)] / sum(line["k"].values()) for line in lines] for count in COUNTS]
        left.stackplot(steps, shares, labels=[f"k = {count}" for count in COUNTS])
        left.set(title=name, xlabel="step", ylabel="share of the images", ylim=(0, 1), xlim=(steps[0], steps[-1]))
        left.legend(loc="lower left", fontsize=7)
        learnt = [line for line in lines if "reward" in line]
        right.plot([line["step"] for line in learnt], [line["reward"] for line in learnt], label="reward, nats")
        right.plot([line["step"] for line in learnt], [line["entropy"] for line in learnt], label="entropy, nats")
        right.set(title=name, xlabel="step")
        right.legend(fontsize=7)
        right.grid(visible=True, alpha=0.3)
    return figure


def pictures(runs: Path, text: str) -> str:
    """A page with what attackers saw; it shows people of LFW and stays where it is."""
    body = [f"<pre>{escape(text)}</pre>"]
    for folder in [*sorted(path for path in runs.glob("*/pictures") if path.is_dir()), runs / "masks"]:
        body.append(f"<h2>{escape(str(folder.relative_to(runs)))}</h2>")
        for file in sorted(folder.glob("*.png")):
            relative = escape(str(file.relative_to(runs)))
            body.append(f"<p>{escape(file.stem)}<br><img src='{relative}' alt=''></p>")
    return f"<!doctype html><meta charset='utf-8'><title>AHM</title>{''.join(body)}"


def marked(name: str, record: dict[str, Any]) -> str:
    """A name, with a word where changed code made its record."""
    return f"{name} (changed code)" if record["dirty"] else name


def _is_attack(found: object) -> bool:
    return isinstance(found, dict) and "tar" in found


def _mean_count(record: dict[str, Any]) -> str:
    lines = [line["k"] for line in record["log"] if "k" in line]
    late = lines[-max(1, len(lines) // 3) :]
    total = sum(number for line in late for number in line.values())
    if not total:
        return "1"
    return f"{sum(int(count) * number for line in late for count, number in line.items()) / total:.2f}"


def _percent(value: float, interval: list[float]) -> str:
    return f"{100 * value:.1f} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _png(figure: Figure) -> bytes:
    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
