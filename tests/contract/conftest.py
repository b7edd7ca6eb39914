"""Fixtures of the contract: synthetic models, and engines that run the checks once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest
from engine_runs import Engines

from tokenforge.models.synthetic import make_synthetic
from tokenforge.settings import read_settings


def pytest_addoption(parser: pytest.Parser) -> None:
    """A Python that has the engines already; without it the engines' environments are made."""
    parser.addoption("--engine-python", default=None, help="run engine checks with this Python")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes a synthetic model once a session."""
    root = tmp_path_factory.mktemp("models")

    def get(name: str) -> Path:
        folder = root / name
        return folder if folder.exists() else make_synthetic(name, folder)

    return get


@pytest.fixture(scope="session")
def engines(
    models: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Engines:
    """Runs each engine's checks when first asked."""
    python = pytestconfig.getoption("--engine-python", default=None)
    outputs = tmp_path_factory.mktemp("engines")
    return Engines(models=models, outputs=outputs, python=python, settings=read_settings())
