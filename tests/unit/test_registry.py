"""The registry of runtimes: found by name, broken ones told, none of them in the way of the others."""

import logging
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from tokenforge.domain.errors import InvalidInput
from tokenforge.domain.runtime import Accelerator
from tokenforge.runtimes.registry import GROUP, find_plug, list_broken, list_plugs


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


SIM = point("sim", "tokenforge.runtimes.sim:PLUG")


def test_our_own_runtimes_are_found_as_installed_plugs() -> None:
    assert {"openai", "sim", "transformers", "vllm"} <= {plug.name for plug in list_plugs()}
    assert list_broken() == ()


def test_a_plug_is_found_by_its_name() -> None:
    assert find_plug("sim").name == "sim"


def test_no_plug_of_ours_needs_its_engine_to_be_listed_and_to_tell_its_recipe() -> None:
    recipes = {plug.name: plug.recipe(None, Accelerator.CPU) for plug in list_plugs()}
    assert not recipes["sim"].requirements
    assert any("vllm" in requirement for requirement in recipes["vllm"].requirements)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(InvalidInput, match=r"did you mean vllm\?.*openai, sim, transformers, vllm"):
        find_plug("vlm")


def test_a_name_like_none_is_answered_with_the_list_alone() -> None:
    with pytest.raises(InvalidInput) as raised:
        find_plug("zzz", points=[SIM])
    assert raised.value.faults[0].hint == "there are: sim"


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("no_such_package.runtime:PLUG", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("tokenforge.runtimes.sim:PLAG", "AttributeError"),
        ("tokenforge.runtimes.sim:SimRuntime", "is a type, not a RuntimePlug"),
    ],
)
def test_a_broken_plug_is_told_with_its_cause_and_leaves_the_others(value: str, cause: str) -> None:
    points = [SIM, point("broken", value)]
    assert [plug.name for plug in list_plugs(points=points)] == ["sim"]
    assert [plug.name for plug in list_broken(points=points)] == ["broken"]
    assert cause in list_broken(points=points)[0].cause


def test_a_plug_whose_module_fails_in_any_way_does_not_end_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plug_that_raises.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (broken,) = list_broken(points=[SIM, point("broken", "plug_that_raises:PLUG")])
    assert "ZeroDivisionError" in broken.cause


def test_a_broken_plug_that_is_asked_for_is_an_error_with_its_cause_and_a_log_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(InvalidInput, match="no_such_package"):
        find_plug("broken", points=[point("broken", "no_such_package:PLUG")])
    assert "broken does not load" in caplog.text


def test_two_packages_that_claim_one_name_are_both_named() -> None:
    with pytest.raises(InvalidInput, match="several packages provide it: other:PLUG and tokenforge"):
        find_plug("sim", points=[SIM, point("sim", "other:PLUG")])


def test_one_plug_met_twice_is_one_plug() -> None:
    assert len(list_plugs(points=[SIM, point("sim", "tokenforge.runtimes.sim:PLUG")])) == 1
