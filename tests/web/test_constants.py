"""What the TypeScript client says in numbers and names is what the Python client says."""

import json
import re
from importlib import resources

import pytest

from facemin.client.probes import MARGIN, SCORE_TOLERANCE
from facemin.face.crop import EDGE
from facemin.keys.default import DEFAULT_SPACE
from facemin.keys.trust import shipped_graphs
from facemin.models import SPACE_MODEL
from facemin.models.onnx.operators import ALLOWED
from facemin.protection.one_pass.painter import CORRECTION, PAINTED_RESIDUAL, OnePass
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.shipped import SHIPPED, shipped_protector
from facemin.pseudonym.capture_hash import SAME_CAPTURE
from tests.web.conftest import WEB


def source(name: str) -> str:
    return (WEB / "src" / name).read_text(encoding="utf-8")


def number(name: str, constant: str) -> float:
    found = re.search(rf"const {constant} = ([\d.]+);", source(name))
    assert found is not None, f"{name}: {constant}"
    return float(found[1])


def test_trusted_spaces_are_those_of_python() -> None:
    text = source("trust.ts")
    protector = shipped_protector(SPACE_MODEL)
    assert protector is not None
    assert dict(re.findall(r'\["([0-9a-f]{64})", "([\w-]+)"\]', text)) == {
        graph.graph_sha256: graph.name for graph in shipped_graphs()
    }
    assert f'DEFAULT_SPACE = "{DEFAULT_SPACE}"' in text
    assert f'sha256: "{protector.fingerprint}"' in text
    assert f'path: "models/protectors/{SHIPPED[SPACE_MODEL]}"' in text


def test_thresholds_are_those_of_python() -> None:
    file = resources.files("facemin") / "calibrations" / "pseudonym" / f"{SPACE_MODEL}.json"
    thresholds = json.loads(file.read_text(encoding="utf-8"))["thresholds"]
    assert [each["threshold"] for each in thresholds if each["far"] == 1e-2] == [number("trust.ts", "SAME_PERSON")]
    assert number("captures.ts", "SAME_CAPTURE") == SAME_CAPTURE
    assert number("paint.ts", "PAINTED_RESIDUAL") == PAINTED_RESIDUAL
    assert number("paint.ts", "TRIES") == OnePass(residual=1.0).tries
    assert number("paint.ts", "CORRECTIONS") == CORRECTIONS
    assert number("paint.ts", "CORRECTION") == pytest.approx(float(CORRECTION), abs=1e-7)
    assert number("crop.ts", "EDGE") == EDGE


def test_permitted_operators_are_those_of_python() -> None:
    words = " ".join(re.findall(r'"([A-Za-z0-9 ]+)"', source("operators.ts"))).split()
    assert set(words) == ALLOWED
    assert len(words) == len(ALLOWED)


def test_margins_of_probes_are_those_of_python() -> None:
    for name, wanted in (("MARGIN", MARGIN), ("TOLERANCE", SCORE_TOLERANCE)):
        assert {form: number("sender.ts", f"{form.upper()}_{name}") for form in wanted} == wanted
