"""Our code in another environment, by links: one version of it, and the plug-in's package beside."""

from pathlib import Path

import pytest

import tokenforge
from tokenforge.runtimes.linking import link_our_code

OURS = Path(tokenforge.__file__).parent


def write_plug_in(folder: Path, *, metadata: str) -> Path:
    """A distribution `My.Plug`, whose metadata folder is spelled as its installer liked."""
    (folder / "my_plug").mkdir(parents=True)
    (folder / "my_plug" / "__init__.py").write_text("PLUG = None\n")
    info = folder / metadata
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: My.Plug\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tokenforge.runtimes]\nmine = my_plug:PLUG\n")
    (info / "RECORD").write_text(f"{metadata}/METADATA,,\n")
    return folder


def test_the_very_code_of_this_process_and_its_metadata_are_linked(tmp_path: Path) -> None:
    link_our_code(tmp_path, runtime="sim")
    assert (tmp_path / "tokenforge").resolve() == OURS.resolve()
    assert (tmp_path / f"tokenforge-{tokenforge.__version__}.dist-info" / "METADATA").is_file()


def test_linking_again_changes_nothing(tmp_path: Path) -> None:
    link_our_code(tmp_path, runtime="sim")
    before = sorted(tmp_path.iterdir())
    link_our_code(tmp_path, runtime="sim")
    assert sorted(tmp_path.iterdir()) == before


def test_a_link_to_another_installation_is_renewed(tmp_path: Path) -> None:
    (tmp_path / "tokenforge").symlink_to(tmp_path / "gone")
    link_our_code(tmp_path, runtime="sim")
    assert (tmp_path / "tokenforge").resolve() == OURS.resolve()


def test_metadata_of_an_earlier_version_is_taken_away(tmp_path: Path) -> None:
    old = tmp_path / "tokenforge-0.0.1.dist-info"
    old.symlink_to(tmp_path / "gone")
    link_our_code(tmp_path, runtime="sim")
    assert not old.is_symlink()


def test_a_real_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "tokenforge").mkdir()
    link_our_code(tmp_path, runtime="sim")
    assert not (tmp_path / "tokenforge").is_symlink()


@pytest.mark.parametrize("metadata", ["my_plug-1.0.dist-info", "My.Plug-1.0.dist-info"])
def test_the_package_of_a_plug_in_is_linked_with_its_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: str
) -> None:
    source, target = write_plug_in(tmp_path / "source", metadata=metadata), tmp_path / "target"
    target.mkdir()
    monkeypatch.syspath_prepend(str(source))
    link_our_code(target, runtime="mine")
    assert (target / "my_plug").resolve() == source / "my_plug"
    assert (target / metadata / "entry_points.txt").is_file()
