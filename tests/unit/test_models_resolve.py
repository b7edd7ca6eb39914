"""From a Model to a folder: each source, and what is said when a part is missing."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tokenforge.domain.errors import InvalidInput, NotFound, StoreFailed
from tokenforge.domain.model import ModelRef, parse_model
from tokenforge.models.hub import CONFIG_ONLY, Snapshot
from tokenforge.models.resolve import describe_model, resolve_model
from tokenforge.models.synthetic import make_synthetic


@dataclass
class HubTwin:
    """A hub that holds one folder."""

    folder: Path
    asked: list[tuple[str, bool, tuple[str, ...]]] = field(default_factory=list)

    def __call__(self, name: str, *, offline: bool, patterns: Sequence[str]) -> Snapshot:
        self.asked.append((name, offline, tuple(patterns)))
        return Snapshot(folder=self.folder, revision="abc123")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("successor", tmp_path_factory.mktemp("made") / "model", shard_bytes=4_000_000)


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def reference(folder: Path) -> ModelRef:
    return parse_model(str(folder))


def test_a_synthetic_model_is_made_under_home_once(tmp_path: Path) -> None:
    first = resolve_model(parse_model("synthetic:tiny"), home=tmp_path, offline=True)
    stamp = (first.folder / "model.safetensors").stat().st_mtime_ns
    again = resolve_model(parse_model("synthetic:tiny"), home=tmp_path, offline=True)
    assert first.folder.parent == tmp_path / "models"
    assert (again.folder / "model.safetensors").stat().st_mtime_ns == stamp
    assert again == first


def test_an_unknown_synthetic_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="synthetic:huge"):
        resolve_model(parse_model("synthetic:huge"), home=tmp_path, offline=True)


def test_a_home_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(StoreFailed, match="TOKENFORGE_HOME"):
        resolve_model(parse_model("synthetic:tiny"), home=tmp_path / "home", offline=True)


def test_a_folder_resolves_to_its_facts(model: Path, tmp_path: Path) -> None:
    found = resolve_model(reference(model), home=tmp_path, offline=True)
    assert found.folder == model
    assert found.window == 2048
    assert found.architecture.parameters == 2_229_504
    assert found.revision is None


def test_a_folder_is_hashed_by_its_parts(model: Path, tmp_path: Path) -> None:
    hashes = resolve_model(reference(model), home=tmp_path, offline=True).hashes
    assert {"config.json", "tokenizer.json", "model.safetensors.index.json", "weights"} <= set(hashes)
    assert all(len(value) == 64 for value in hashes.values())


def test_a_changed_config_changes_its_hash_alone(model: Path, tmp_path: Path) -> None:
    before = resolve_model(reference(model), home=tmp_path, offline=True).hashes
    config = model / "config.json"
    config.write_text(config.read_text().replace("2048", "1024"))
    after = resolve_model(reference(model), home=tmp_path, offline=True).hashes
    assert {name for name in before if before[name] != after[name]} == {"config.json"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"nowhere is not a folder.*owner/name"):
        resolve_model(reference(tmp_path / "nowhere"), home=tmp_path, offline=True)


def test_a_folder_without_a_config_is_told_what_a_model_holds(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"has no config\.json.*save_pretrained"):
        resolve_model(reference(tmp_path), home=tmp_path, offline=True)


def test_all_missing_parts_are_named_together(model: Path, tmp_path: Path) -> None:
    (model / "tokenizer.json").unlink()
    (model / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(NotFound, match=r"tokenizer\.json, model-00002-of-00003\.safetensors"):
        resolve_model(reference(model), home=tmp_path, offline=True)


def test_a_folder_without_weights_is_refused(model: Path, tmp_path: Path) -> None:
    for path in model.glob("model*"):
        path.unlink()
    with pytest.raises(NotFound, match=r"has no \*\.safetensors"):
        resolve_model(reference(model), home=tmp_path, offline=True)


def test_weights_cut_short_are_refused(model: Path, tmp_path: Path) -> None:
    shard = model / "model-00001-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(NotFound, match="cut short"):
        resolve_model(reference(model), home=tmp_path, offline=True)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs", b"\x02\0\0\0\0\0\0\0[]"])
def test_a_file_that_is_no_safetensors_is_refused(model: Path, tmp_path: Path, content: bytes) -> None:
    (model / "model-00001-of-00003.safetensors").write_bytes(content)
    with pytest.raises(NotFound, match="is not a safetensors file"):
        resolve_model(reference(model), home=tmp_path, offline=True)


def test_a_config_without_sizes_names_them(model: Path, tmp_path: Path) -> None:
    (model / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InvalidInput, match="hidden_size"):
        resolve_model(reference(model), home=tmp_path, offline=True)


def test_a_hub_model_comes_with_its_revision(model: Path, tmp_path: Path) -> None:
    hub = HubTwin(model)
    found = resolve_model(parse_model("owner/name"), home=tmp_path, offline=True, fetch=hub)
    assert (found.folder, found.revision) == (model, "abc123")
    assert hub.asked[0][:2] == ("owner/name", True)


def test_describing_a_synthetic_model_makes_nothing(tmp_path: Path) -> None:
    facts = describe_model(parse_model("synthetic:llama-3-70b"), home=tmp_path, offline=True)
    assert (facts.parameters, facts.kv_per_token_bytes) == (70_553_706_496, 327_680)
    assert list(tmp_path.iterdir()) == []


def test_describing_a_hub_model_fetches_its_config_alone(model: Path, tmp_path: Path) -> None:
    hub = HubTwin(model)
    facts = describe_model(parse_model("owner/name"), home=tmp_path, offline=False, fetch=hub)
    assert facts.model == "owner/name"
    assert hub.asked == [("owner/name", False, CONFIG_ONLY)]


def test_describing_a_folder_needs_no_weights(model: Path, tmp_path: Path) -> None:
    for path in model.glob("model*"):
        path.unlink()
    facts = describe_model(reference(model), home=tmp_path, offline=True)
    assert (facts.family, facts.attention, facts.exact) == ("llama", "gqa", True)


def test_importing_the_resolver_brings_in_nothing_heavy() -> None:
    code = "import sys, tokenforge.models.resolve; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    heavy = {"numpy", "tokenizers", "safetensors", "huggingface_hub", "torch", "transformers", "pydantic"}
    assert not [name for name in heavy if f"'{name}'" in loaded]
