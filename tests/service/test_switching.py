"""A provider made before pseudonyms, switched to a recogniser with a space."""

import json
from pathlib import Path

import numpy as np
import pytest

from facemin.keys.default import stopping_residual
from facemin.keys.key import Key
from facemin.models import DEFAULT_MODEL, MODELS, SPACE_MODEL
from facemin.service import switching
from facemin.service.making import make_provider
from facemin.service.provider import Provider
from facemin.service.settings import SETTINGS, read_settings
from tests.service.running import serving
from tests.service.test_cli import run

TOKENS: dict[Path, str] = {}


@pytest.fixture
def provider_home(tmp_path: Path) -> Path:
    """Of a provider as facemin made it before there were spaces."""
    cut = MODELS[DEFAULT_MODEL].default_cut
    residual = stopping_residual(MODELS[DEFAULT_MODEL].graph(), cut)
    folder = tmp_path / "home"
    TOKENS[folder] = make_provider(folder, provider="Acme", model=DEFAULT_MODEL, cut=cut, residual=residual)
    return folder


def enrolled(provider_home: Path) -> None:
    """One person, by a template of the old recogniser."""
    provider = Provider.open(provider_home)
    try:
        with provider.database.writing() as connection:
            collection = provider.store.collection(connection, "main")
            row = np.eye(1, provider.recogniser.embedding_size, dtype=np.float32)[0]
            provider.store.enrol(connection, collection, "ada", row[None], kinds=["plain"], key_ids=[""])
    finally:
        provider.close()


def test_its_key_has_a_space_and_its_collection_takes_pseudonyms(
    provider_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider = Provider.open(provider_home)
    old = Key.load(provider.keyring.file(provider.keyring.current()))
    provider.close()
    assert old.manifest.version == 1
    capsys.readouterr()
    assert run("provider", "switch", "--home", provider_home, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["pseudonyms_allowed"] == ["main"]
    assert said["templates_to_enrol_anew"] == 0
    assert read_settings(provider_home).model == SPACE_MODEL
    with serving(provider_home, TOKENS[provider_home]) as made:
        key = Key.load(made("GET", "/v1/key").data)
        assert (key.manifest.version, key.manifest.key_id) == (2, said["key_id"])
        assert key.signer == old.signer
        assert made("GET", "/v1/collections/main").json()["pseudonyms"] == "allowed"
    with pytest.raises(ValueError, match="expected another recogniser than the provider has, got the same"):
        run("provider", "switch", "--home", provider_home)


def test_enrolled_people_are_not_made_useless_in_silence(
    provider_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled(provider_home)
    before = (provider_home / SETTINGS).read_bytes()
    with pytest.raises(ValueError, match=r"expected none, got 1 of dlib-resnet29.*enrol anew.*--force"):
        run("provider", "switch", "--home", provider_home)
    assert (provider_home / SETTINGS).read_bytes() == before
    Provider.open(provider_home).close()
    capsys.readouterr()
    assert run("provider", "switch", "--home", provider_home, "--force", "--json") == 0
    assert json.loads(capsys.readouterr().out)["templates_to_enrol_anew"] == 1
    Provider.open(provider_home).close()


def test_an_interrupted_switch_is_finished_by_the_same_call(
    provider_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(switching, "write_settings", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit):
            run("provider", "switch", "--home", provider_home)
    assert read_settings(provider_home).model == DEFAULT_MODEL
    assert run("provider", "switch", "--home", provider_home) == 0
    Provider.open(provider_home).close()
