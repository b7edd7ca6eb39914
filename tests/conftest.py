"""Fixtures for all tests: models and engines that are made once, and the command as a user runs it."""

import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from command import COMMAND, Run
from databases import Databases
from engine_runs import Engines
from hypothesis import HealthCheck, settings
from own_children import reap, unreaped
from s3_rig import S3, ceph_url

from servers.postgres import Postgres
from servers.s3 import BUCKET, RcloneS3
from tokenforge.models.synthetic import make_synthetic
from tokenforge.settings import read_settings
from tokenforge.store.sql.store import Store, open_store

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")
"""How fast a machine is decides no test: speed is measured in benchmarks."""


FIGURES = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """A Python that has the engines already (without it their environments are made); the seed of science tests."""
    parser.addoption("--engine-python", default=None, help="run engine checks with this Python")
    parser.addoption("--fuzz-examples", type=int, default=4, help="requests of each kind that the API is fuzzed with")
    parser.addoption("--kubeconfig", default=None, help="run the tests of clusters on this one too")
    parser.addoption("--postgres", type=Path, default=None, help="the folder of another PostgreSQL's programs")
    parser.addoption("--restart-api", default=None, help="a shell command that restarts the API server of --kubeconfig")
    parser.addoption("--api-faults", type=int, default=6, help="how often an API server fails in the test of that")
    parser.addoption("--seed", type=int, default=1, help="what chance the tests of `make test-science` draw from")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what science tests measured, passed or not."""
    if found := config.stash.get(FIGURES, []):
        terminalreporter.section(f"figures, seed {config.getoption('--seed')}")
        for line in found:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def kubeconfig(pytestconfig: pytest.Config) -> Path | None:
    """`--kubeconfig`, None where none was given."""
    given = pytestconfig.getoption("--kubeconfig")
    return None if given is None else Path(given)


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """`--seed`, for tests that must hold whatever it is."""
    given: int = pytestconfig.getoption("--seed")
    return given


@pytest.fixture(scope="session")
def fuzz_examples(pytestconfig: pytest.Config) -> int:
    """`--fuzz-examples`."""
    given: int = pytestconfig.getoption("--fuzz-examples")
    return given


@pytest.fixture
def show(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Keeps a line with a measured figure, to be printed at the end."""
    return pytestconfig.stash.setdefault(FIGURES, []).append


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


@pytest.fixture(scope="session")
def databases(pytestconfig: pytest.Config) -> Iterator[Databases]:
    """A real PostgreSQL, started when the first test asks for it."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # it runs as an ordinary user
        programs: Path | None = pytestconfig.getoption("--postgres")
        server = Postgres(folder=Path(name) / "postgres", is_durable=False, programs=programs)
        server.start()
        yield Databases(server)
        server.stop("immediate")


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A real S3 server, started when the first test asks for it."""
    server = RcloneS3(folder=tmp_path_factory.mktemp("rclone"))
    server.start()
    yield S3(endpoint=f"http://127.0.0.1:{server.port}", bucket=BUCKET, env=server.env(), root=server.folder / "data")
    server.stop()


@pytest.fixture(scope="session")
def ceph() -> S3:
    """The one that `make test-s3-ceph` started."""
    env = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    return S3(endpoint=ceph_url() or "", bucket=BUCKET, env=env)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where a store of its own is for this test: a file, or the URL of a new database."""
    if request.param == "sqlite":
        return tmp_path / "store.db"
    databases: Databases = request.getfixturevalue("databases")
    return databases.new()


@pytest.fixture
async def store(place: Path | str) -> AsyncIterator[Store]:
    store = open_store(place)
    yield store
    await store.close()


@pytest.fixture(scope="session")
def home() -> Path:
    """The user's own home of TokenForge: environments and models made once serve all tests."""
    return read_settings().home


@pytest.fixture
def command_env(home: Path) -> dict[str, str]:
    return {**os.environ, "TOKENFORGE_HOME": str(home), "HF_HUB_OFFLINE": "1", "COLUMNS": "160"}


@pytest.fixture
def tokenforge(tmp_path: Path, command_env: dict[str, str]) -> Run:
    """Run `tokenforge ARGUMENTS` in an empty folder; 100 s at most."""

    def run(*arguments: str, timeout_s: float = 100) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*COMMAND, *arguments],
            cwd=tmp_path, env=command_env, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(autouse=True)
def _nothing_unreaped() -> Iterator[None]:
    """A process that a test started, and that has ended, was waited for: later tests look at their children."""
    yield
    left = unreaped(limit_s=2)
    if left is not None:
        reap({left})
        pytest.fail(f"process {left} has ended, and nobody waited for it")
