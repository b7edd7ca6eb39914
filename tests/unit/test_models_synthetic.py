"""Synthetic weights on disk: whole or absent, the same for the same seed, and readable by the public library."""

import errno
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors import safe_open

from tokenforge.domain.errors import InvalidInput, StoreFailed
from tokenforge.models import safetensors_file
from tokenforge.models.random_weights import fill_tensor, to_bfloat16
from tokenforge.models.safetensors_file import Layout, write_checkpoint
from tokenforge.models.shapes import find_shape
from tokenforge.models.synthetic import fingerprint, make_synthetic
from tokenforge.models.tensors import Fill, Tensor, plan_tensors


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_synthetic("tiny", tmp_path_factory.mktemp("made") / "tiny")


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def values_of(tensor: Tensor, *, seed: int = 0) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    data = b"".join(fill_tensor(tensor, dtype="float32", seed=seed))
    return np.frombuffer(data, dtype=np.float32)


def test_the_folder_holds_what_an_engine_reads(tiny: Path) -> None:
    names = {path.name for path in tiny.iterdir()}
    assert names == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_the_config_is_the_shapes(tiny: Path) -> None:
    assert json.loads((tiny / "config.json").read_text()) == find_shape("tiny").config


def test_the_public_library_reads_every_tensor(tiny: Path) -> None:
    planned = {tensor.name: list(tensor.shape) for tensor in plan_tensors(find_shape("tiny").config)}
    with safe_open(tiny / "model.safetensors", framework="numpy") as file:
        assert {name: file.get_slice(name).get_shape() for name in file.keys()} == planned  # noqa: SIM118
        assert file.metadata() == {"format": "pt"}
        assert (file.get_tensor("model.norm.weight") == 1).all()
        assert abs(float(file.get_tensor("lm_head.weight").std()) - 0.02) < 1e-4


def test_the_same_seed_gives_the_same_bytes(tiny: Path, tmp_path: Path) -> None:
    assert digests(make_synthetic("tiny", tmp_path / "again")) == digests(tiny)


def test_another_seed_changes_the_weights_alone(tiny: Path, tmp_path: Path) -> None:
    other = digests(make_synthetic("tiny", tmp_path / "other", seed=1))
    assert {name for name, digest in digests(tiny).items() if other[name] != digest} == {"model.safetensors"}


def test_a_large_checkpoint_is_cut_into_shards_with_an_index(tiny: Path, tmp_path: Path) -> None:
    folder = make_synthetic("tiny", tmp_path / "cut", shard_bytes=8_000_000)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in folder.glob("*.safetensors"))
    assert shards == [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert index["metadata"]["total_size"] == 20_980_736
    with safe_open(folder / index["weight_map"]["lm_head.weight"], framework="numpy") as cut:
        head = cut.get_tensor("lm_head.weight")
    with safe_open(tiny / "model.safetensors", framework="numpy") as whole:
        assert (head == whole.get_tensor("lm_head.weight")).all()


def test_values_do_not_depend_on_how_a_tensor_is_pieced() -> None:
    large = Tensor(name="a", shape=(5, 1 << 20))
    first = Tensor(name="a", shape=(1 << 22,))
    assert (values_of(large)[: 1 << 22] == values_of(first)).all()


def test_pieces_of_one_tensor_differ() -> None:
    values = values_of(Tensor(name="a", shape=(2, 1 << 22)))
    assert not (values[:100] == values[1 << 22 : (1 << 22) + 100]).any()


def test_tensors_of_other_names_differ() -> None:
    assert not (values_of(Tensor(name="a", shape=(100,))) == values_of(Tensor(name="b", shape=(100,)))).any()


@pytest.mark.parametrize(("fill", "value"), [(Fill.ONES, 1.0), (Fill.ZEROS, 0.0)])
def test_constant_tensors_are_constant(fill: Fill, value: float) -> None:
    assert (values_of(Tensor(name="a", shape=(7,), fill=fill)) == value).all()


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (1.0, 0x3F80),
        (-2.0, 0xC000),
        (1.0 + 2**-8, 0x3F80),  # a tie goes to the even neighbour below
        (1.0 + 3 * 2**-8, 0x3F82),  # and above
        (1.0 + 2**-8 + 2**-20, 0x3F81),
        (0.0, 0x0000),
    ],
)
def test_bfloat16_rounds_to_the_nearest_even(value: float, bits: int) -> None:
    assert to_bfloat16(np.array([value], dtype=np.float32))[0] == bits


def test_bfloat16_tensors_take_two_bytes_a_value(tmp_path: Path) -> None:
    tensors = [Tensor(name="a", shape=(3, 5)), Tensor(name="n", shape=(5,), fill=Fill.ONES)]
    layout = Layout(dtype="bfloat16", dtype_bytes=2)
    write_checkpoint(tmp_path, tensors, layout, lambda t: fill_tensor(t, dtype="bfloat16", seed=0))
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert file.get_slice("a").get_dtype() == "BF16"
        assert file.get_slice("n").get_shape() == [5]
    assert (tmp_path / "model.safetensors").read_bytes()[-10:] == b"\x80\x3f" * 5


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InvalidInput, match="is in use"):
        make_synthetic("tiny", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    assert (make_synthetic("successor", tmp_path / "new") / "config.json").is_file()


def test_an_unknown_name_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is not a known shape"):
        make_synthetic("huge", tmp_path / "huge")
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total=100, used=0, free=1_000_000_000))
    with pytest.raises(StoreFailed, match=r"needs 141\.2 GB and the disk has 1\.0 GB free.*Free some space"):
        make_synthetic("llama-3-70b", tmp_path / "big")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_up(*_: object) -> Iterable[memoryview]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors_file, "_header", fill_up)
    with pytest.raises(StoreFailed, match=r"No space left on device.*Free some space"):
        make_synthetic("tiny", tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match="could not be written"):
        make_synthetic("tiny", tmp_path / "file" / "tiny")


def test_the_fingerprint_tells_shape_and_seed_apart() -> None:
    prints = {fingerprint(name, seed=seed) for name in ("tiny", "small") for seed in (0, 1)}
    assert len(prints) == 4
    assert fingerprint("tiny", seed=0) in prints
