"""deploy/Dockerfile: a target for whatever asks for an image, and engines as their recipes say."""

import re
import runpy
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.registry import find_plug

DEPLOY = Path(__file__).parents[2] / "deploy"
STAGE = re.compile(r"^FROM \S+ AS (\S+)$", re.MULTILINE)
INSTALL: dict[str, Any] = runpy.run_path(str(DEPLOY / "install_runtime.py"))


def targets() -> list[str]:
    return STAGE.findall((DEPLOY / "Dockerfile").read_text())


def test_every_runtime_that_loads_a_model_itself_has_a_target() -> None:
    names = {entry.name for entry in entry_points(group="tokenforge.runtimes")}
    elsewhere = {name for name in names if find_plug(name).is_elsewhere({"base_url": "http://x"})}
    assert names - elsewhere <= set(targets())


def test_compose_and_kustomize_ask_for_images_that_have_a_target() -> None:
    compose = YAML(typ="safe", pure=True).load((DEPLOY / "compose.yaml").read_text())
    assert compose["x-platform"]["build"]["target"] in targets()
    for file in ("control.yaml", "gateway.yaml"):
        found = re.findall(r"image: tokenforge-(\w+):", (DEPLOY / "kubernetes" / "base" / file).read_text())
        assert found, file
        assert set(found) <= set(targets())


@pytest.mark.parametrize(
    ("accelerator", "wheels", "expected"),
    [
        (Accelerator.CPU, [], ["--torch-backend", "cpu"]),
        (Accelerator.CPU, ["torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl"], []),
        (Accelerator.CPU, ["torch-2.13.0-cp311-cp311-linux_x86_64.whl"], ["--torch-backend", "cpu"]),
        (Accelerator.CUDA, [], []),
    ],
)
def test_an_image_for_the_cpu_gets_torch_without_cudas_libraries(
    accelerator: Accelerator, wheels: list[str], expected: list[str], tmp_path: Path
) -> None:
    for name in wheels:
        (tmp_path / name).touch()
    assert INSTALL["backend"](accelerator, str(tmp_path)) == expected
    assert INSTALL["backend"](accelerator, "") == INSTALL["backend"](accelerator, "/not/there")
