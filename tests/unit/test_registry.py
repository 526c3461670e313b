"""Names of back-ends, built in and of others."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mllm_protector.assembly import build
from mllm_protector.backends.detectors.embedded import EmbeddedDetector
from mllm_protector.config import BackendConfig, Config
from mllm_protector.errors import ConfigError, MissingExtraError
from mllm_protector.registry import BUILT_IN, available, resolve

PLUGIN = Path(__file__).parent.parent / "fixtures" / "plugin"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the small third-party package of the fixtures into a folder of its own."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(PLUGIN, tmp_path_factory.mktemp("plugin") / "plugin")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--target", str(folder), str(source)], check=True, capture_output=True)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield
    sys.path.remove(str(folder))


@pytest.mark.usefixtures("plugin")
def test_a_third_party_detector_is_used_by_name() -> None:
    assert "quiet" in available("detectors")
    config = Config(detector=BackendConfig(name="quiet", options={"limit": 0.4}), detoxifiers=())
    protector = build(config)
    assert protector("?", "GO AWAY, ALL OF YOU").action.value == "refuse"
    assert protector("?", "Please come in.").action.value == "allow"


@pytest.mark.usefixtures("plugin")
def test_a_missing_dependency_of_a_plug_in_is_named() -> None:
    with pytest.raises(MissingExtraError, match="a_package_that_nobody_has"):
        resolve("detectors", "needs-nothing-real")


@pytest.mark.usefixtures("plugin")
def test_a_package_cannot_take_the_place_of_a_built_in() -> None:
    assert resolve("detectors", "embedded") is EmbeddedDetector


def test_every_built_in_resolves() -> None:
    for kind, names in BUILT_IN.items():
        for name in names:
            assert callable(resolve(kind, name))


def test_mistakes_name_the_cure() -> None:
    with pytest.raises(ConfigError, match="did you mean 'embedded'"):
        resolve("detectors", "embeded")
    with pytest.raises(ConfigError, match="did you mean 'detectors'"):
        available("detector")
    with pytest.raises(ConfigError, match="cannot load"):
        resolve("detectors", "mllm_protector.types:Nothing")
    with pytest.raises(ConfigError, match=r"options it takes: .*folder"):
        build(Config(detector=BackendConfig(name="embedded", options={"treads": 2})))
