"""Commands `model`: add, list, show, remove, cuts, isotropic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from facemin.cli.shared.options import Json, Landmarks
from facemin.cli.shared.output import answer, print_json, tell
from facemin.cli.shared.preprocess import UNCHANGED, PreprocessFlags

if TYPE_CHECKING:
    from facemin.models.store import StoredModel

app = App(name="model", help="Recognisers: those that come with facemin, and your own.")

Name = Annotated[str, Parameter(help="Its name.")]


@app.command(name="add")
def model_add(
    file: Annotated[Path, Parameter(help="An ONNX graph, or a .pt or .pth checkpoint of a native family.")],
    /,
    *,
    licence: Annotated[str, Parameter(help="Under which its weights may be used, say MIT, or 'none stated'.")],
    name: Annotated[str, Parameter(help="What to call it; by default the file's name.")] = "",
    source: Annotated[str, Parameter(help="Where it comes from, in words.")] = "",
    family: Annotated[str | None, Parameter(help="The native family that a checkpoint is of.")] = None,
    force: Annotated[bool, Parameter(negative="", help="Replace a stored model of that name.")] = False,
    preprocess: PreprocessFlags = UNCHANGED,
    as_json: Json = False,
) -> int:
    """Copy a recogniser into the store on this machine, after checking that it is one.

    The store lies in $FACEMIN_HOME, or in the user's data folder.
    """
    from facemin.models.store import ModelStore

    entry = ModelStore().add(
        file,
        name=name or file.stem.lower(),
        licence=licence,
        preprocess=preprocess.given(),
        source=source,
        family=family,
        force=force,
    )
    _print_values(_stored(entry), as_json=as_json)
    return 0


@app.command(name="list")
def model_list(*, as_json: Json = False) -> int:
    """List the recognisers that can be named."""
    from facemin.models import DEFAULT_MODEL, MODELS
    from facemin.models.store import ModelStore

    entries: list[dict[str, Any]] = [
        {
            "name": name,
            "default": name == DEFAULT_MODEL,
            "default_cut": entry.default_cut,
            "licence": entry.licence,
            "source": entry.source,
        }
        for name, entry in MODELS.items()
    ]
    store = ModelStore()
    stored = (store.entry(name) for name in store.names())
    entries += [
        {"name": entry.name, "default": False, "default_cut": None, "licence": entry.licence, "source": entry.source}
        for entry in stored
    ]
    if as_json:
        print_json(entries)
        return 0
    for entry in entries:
        mark = " (default)" if entry["default"] else ""
        cut = f"cut {entry['default_cut']}, " if entry["default_cut"] else ""
        tell(f"{entry['name']}{mark}", f"  {cut}{entry['licence']}, {entry['source']}")
    return 0


@app.command(name="show")
def model_show(name: Name, /, *, as_json: Json = False) -> int:
    """Show what is known of a recogniser; a stored one's file is compared with its hash."""
    from facemin.models import MODELS
    from facemin.models.store import ModelStore, calibration_of, open_graph

    store = ModelStore()
    if name in MODELS:
        recogniser, about = open_graph(name), MODELS[name]
        calibration = calibration_of(recogniser)
        values: dict[str, Any] = {
            "name": name,
            "licence": about.licence,
            "source": about.source,
            "fingerprint": recogniser.fingerprint,
            "embedding_size": recogniser.embedding_size,
            "default_cut": about.default_cut,
            "calibration": calibration and calibration.model_dump(mode="json"),
        }
    else:
        values = _stored(store.entry(name)) | {"fingerprint": store.open(name).fingerprint}
    _print_values(values, as_json=as_json)
    return 0


@app.command(name="remove")
def model_remove(name: Name, /, *, as_json: Json = False) -> int:
    """Delete a recogniser from the store."""
    from facemin.models.store import ModelStore

    ModelStore().remove(name)
    answer({"removed": name}, f"removed {name}", as_json=as_json)
    return 0


@app.command(name="cuts")
def model_cuts(
    model: Annotated[str, Parameter(help="A recogniser's name, or an ONNX file.")],
    /,
    *,
    preprocess: PreprocessFlags = UNCHANGED,
    as_json: Json = False,
) -> int:
    """List the places where a recogniser can be split: every value that the whole face flows through.

    Parameters and computation are those of the part before the cut, which a provider would publish.
    """
    from facemin.models.store import open_graph

    cuts = open_graph(model, preprocess=preprocess.given()).cuts
    if as_json:
        print_json([cut._asdict() for cut in cuts])
        return 0
    rows = [(cut.name, " x ".join(map(str, cut.shape)), f"{cut.parameters:,}", f"{cut.share:.1%}") for cut in cuts]
    rows.insert(0, ("cut", "shape", "parameters", "computation"))
    names, shapes = (max(len(row[at]) for row in rows) for at in (0, 1))
    for name, shape, parameters, share in rows:
        tell(f"{name:{names}}  {shape:{shapes}}  {parameters:>12}  {share:>11}")
    return 0


@app.command(name="isotropic")
def model_isotropic(
    name: Annotated[str, Parameter(help="A stored recogniser's name.")],
    /,
    *,
    data: Annotated[Path, Parameter(help="Folder with one folder of photos per person, as LFW is.")],
    new_name: Annotated[str, Parameter(help="What to call it; by default NAME-spaceD for D dimensions.")] = "",
    landmarks: Landmarks = None,
    dimension: Annotated[int | None, Parameter(help="Of the space; by default chosen.")] = None,
    exponent: Annotated[
        float | None, Parameter(help="Of the whitening, 0 (none) to 1 (whole); by default chosen.")
    ] = None,
    shrinkage: Annotated[
        float | None, Parameter(help="Of small variances, as a part of the largest; by default chosen.")
    ] = None,
    seed: Annotated[int, Parameter(help="Of who is fitted on, chosen by and reported on.")] = 0,
    threads: Annotated[int, Parameter(help="For the network.")] = 1,
    force: Annotated[bool, Parameter(negative="", help="Replace a stored model of that name.")] = False,
    as_json: Json = False,
) -> int:
    """Give a recogniser a space that pseudonyms can be made in, and say what it costs.

    Centring, projection, whitening and normalisation are appended to its graph and stored under a new name. They are
    fitted on half of the people, their settings are chosen on others, and TAR before and after is reported on yet
    others, whom nothing was fitted on or chosen by.
    """
    from facemin.models.store import ModelStore
    from facemin.train.isotropic import isotropic_space

    store = ModelStore()
    made = isotropic_space(
        store.open(name),
        data,
        points=landmarks,
        dimension=dimension,
        exponent=exponent,
        shrinkage=shrinkage,
        seed=seed,
        threads=threads,
    )
    new_name = new_name or f"{name}-space{made.fitted.dimension}"
    entry = store.add_space(name, made.fitted, made.declaration, new_name=new_name, force=force)
    values = {"name": entry.name, **made.report()}
    if as_json:
        print_json(values)
        return 0
    tell(f"{entry.name}: {made.declaration.fitted}")
    tell(f"{made.genuine} genuine pairs, {made.impostors} impostor pairs of people not fitted on or chosen by")
    for measured in made.measured:
        cells = "  ".join(f"{r.tar:.3f} ({r.low:.3f} to {r.high:.3f}) at FAR {r.far:g}" for r in measured.rates)
        tell(f"{'in the space' if measured.space else 'as it was':13} {measured.views:12} TAR {cells}")
    for when, values_of in made.spectrum.items():
        tell(f"spectrum {when:7} {' '.join(f'{value / values_of[0]:.3f}' for value in values_of)}")
    return 0


def _stored(entry: StoredModel) -> dict[str, Any]:
    return entry.model_dump(mode="json", exclude={"version"})


def _print_values(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(values)
        return
    for name, value in values.items():
        if name == "calibration":
            _print_calibration(value)
        elif value is not None:
            text = ", ".join(f"{key} {part}" for key, part in value.items()) if isinstance(value, dict) else value
            tell(f"{name:15} {text}")


def _print_calibration(value: dict[str, Any] | None) -> None:
    if value is None:
        tell("thresholds      not measured: facemin eval DATA --model NAME")
        return
    tell(f"thresholds      {value['data']}")
    for threshold in value["thresholds"]:
        pairs = f"{threshold['impostor_pairs']:,} impostor pairs"
        tell(f"  FAR {threshold['far']:<8g} {threshold['threshold']:.4f}  TAR {threshold['tar']:.4f}, {pairs}")
