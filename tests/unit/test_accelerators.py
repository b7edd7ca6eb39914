"""GPUs on the page, by a twin of the driver's library that has cards and refuses what it is told to."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from tokenforge.bench.gpu_cards import find_cards
from tokenforge.cli.platform_wiring import reader_of_cards
from tokenforge.control.card_table import look_at
from tokenforge.domain.runtime import Accelerator
from tokenforge.settings import read_settings
from tokenforge.telemetry.accelerators import follow_gpus, reasons_in
from tokenforge.telemetry.gpus import chosen, find_gpus, find_usable

UUIDS = ["GPU-aaaa", "GPU-bbbb"]


class NVMLError(Exception):
    """What the twin raises."""


INSTANCES = ["MIG-cccc", "MIG-dddd"]


def instance(card: int, place: int) -> str:
    """The second card's places 1 and 3 have MIG instances; a handle of one is its UUID."""
    if (card, place) not in {(1, 1), (1, 3)}:
        raise NVMLError("not found")
    return INSTANCES[place // 2]


def driver(*, refuses: frozenset[str] = frozenset(), cards: int = 2, partitioned: bool = False) -> ModuleType:
    """A driver whose card n draws 100 W more than the one before it."""
    answers: dict[str, Any] = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: cards,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetUUID": lambda card: (card if isinstance(card, str) else UUIDS[card]).encode(),
        "nvmlDeviceGetMigMode": lambda card: (int(partitioned and card == 1), 0),
        "nvmlDeviceGetMaxMigDeviceCount": lambda card: 7,
        "nvmlDeviceGetMigDeviceHandleByIndex": instance,
        "nvmlDeviceGetName": lambda card: b"NVIDIA Twin",
        "nvmlDeviceGetMemoryInfo": lambda card: SimpleNamespace(used=2**30, total=2**36),
        "nvmlDeviceGetUtilizationRates": lambda card: SimpleNamespace(gpu=75),
        "nvmlDeviceGetPowerUsage": lambda card: 300_000 + 100_000 * card,
        "nvmlDeviceGetTotalEnergyConsumption": lambda card: 5_239_000,
        "nvmlDeviceGetTemperature": lambda card, sensor: 61,
        "nvmlDeviceGetClockInfo": lambda card, clock: 1980 if clock == 1 else 2619,
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda card: 4,
    }

    def refuse(*_: object) -> None:
        raise NVMLError("not supported")

    module = ModuleType("pynvml")
    for name, answer in answers.items():
        setattr(module, name, refuse if name in refuses else answer)
    module.__dict__["NVMLError"] = NVMLError
    return module


def page_of(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | None, visible: str | None = None
) -> CollectorRegistry:
    monkeypatch.setitem(sys.modules, "pynvml", module)
    registry = CollectorRegistry()
    follow_gpus(registry, find_gpus(visible))
    return registry


def value(registry: CollectorRegistry, name: str, device: str = "0", **labels: str) -> float | None:
    return registry.get_sample_value(f"tokenforge_accelerator_{name}", {"device": device, **labels})


def test_a_card_is_told_in_base_units(monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(monkeypatch, driver())
    assert value(page, "power_watts", "1") == 400
    assert value(page, "energy_joules_total") == 5239
    assert value(page, "utilization_ratio") == 0.75
    assert value(page, "temperature_celsius") == 61
    assert value(page, "memory_bytes", kind="used") == 2**30
    assert value(page, "clock_hertz", kind="sm") == 1.98e9


def test_only_reasons_that_are_in_force_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(monkeypatch, driver())
    assert value(page, "throttled", reason="sw_power_cap") == 1
    assert value(page, "throttled", reason="hw_thermal") == 0


def test_what_a_card_does_not_tell_is_absent_and_the_rest_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(monkeypatch, driver(refuses=frozenset({"nvmlDeviceGetTotalEnergyConsumption"})))
    assert value(page, "energy_joules_total") is None
    assert value(page, "power_watts") == 300


@pytest.mark.parametrize("module", [None, driver(cards=0), driver(refuses=frozenset({"nvmlInit"}))])
def test_a_machine_without_gpus_has_none_of_their_metrics(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType | None
) -> None:
    assert list(page_of(monkeypatch, module).collect()) == []


def test_a_worker_tells_of_the_cards_that_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(monkeypatch, driver(), visible="1")
    assert (value(page, "power_watts", "0"), value(page, "power_watts", "1")) == (None, 400)


@pytest.mark.parametrize(
    ("visible", "cards"),
    [(None, [0, 1]), ("1,0", [1, 0]), ("GPU-b", [1]), ("", []), ("-1", []), ("0,7,1", [0]), (" 1 ", [1])],
)
def test_visible_devices_are_read_as_cuda_reads_them(visible: str | None, cards: list[int]) -> None:
    assert chosen(visible, UUIDS) == cards


@pytest.mark.parametrize(
    ("visible", "usable"),
    [
        (None, ["GPU-aaaa", *INSTANCES]),
        ("0", ["GPU-aaaa"]),
        ("1", INSTANCES),
        ("MIG-d,GPU-a", ["MIG-dddd", "GPU-aaaa"]),
        ("2", []),
        ("", []),
    ],
)
def test_a_partitioned_card_is_used_by_its_instances(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, usable: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(partitioned=True))
    found = find_usable(visible)
    assert [gpu.uuid for gpu in found] == usable
    assert [gpu.is_mig for gpu in found] == [uuid.startswith("MIG") for uuid in usable]
    assert all(gpu.index == 1 for gpu in found if gpu.is_mig)


def test_a_card_that_cannot_be_partitioned_is_used_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(refuses=frozenset({"nvmlDeviceGetMigMode"})))
    assert [gpu.uuid for gpu in find_usable(None)] == UUIDS


def test_control_sees_cards_with_their_memory_and_one_that_tells_none_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver())
    first, second = look_at(find_usable(None))
    assert (first.id, first.number, first.name, first.used_share) == ("GPU-aaaa", 0, "NVIDIA Twin", 2**-6)
    assert second.number == 1
    monkeypatch.setitem(sys.modules, "pynvml", driver(refuses=frozenset({"nvmlDeviceGetMemoryInfo"})))
    assert look_at(find_usable("1"))[0].used_share is None


@pytest.mark.parametrize(
    ("told", "ids"), [({}, UUIDS), ({"CUDA_VISIBLE_DEVICES": "1"}, ["GPU-bbbb"]), ({"CUDA_VISIBLE_DEVICES": ""}, [])]
)
def test_replicas_are_given_what_this_process_may_see(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str], ids: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver())
    read = reader_of_cards(read_settings(told), Accelerator.CUDA)
    assert read is not None
    assert [card.id for card in read()] == ids


def test_without_gpus_or_without_their_driver_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(cards=0))
    assert reader_of_cards(read_settings({}), Accelerator.CUDA) is None
    assert reader_of_cards(read_settings({}), Accelerator.CPU) is None


def test_reasons_are_named_by_the_bits_of_the_driver() -> None:
    assert reasons_in(0x41) == {"idle", "hw_thermal"}
    assert reasons_in(0) == frozenset()


def test_a_trial_samples_the_same_cards_in_the_same_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver())
    (card,) = find_cards("GPU-bbbb")
    sample = card.read()
    assert sample is not None
    assert (card.index, card.name) == (1, "NVIDIA Twin")
    told = (sample.power_w, sample.energy_j, sample.memory_bytes, sample.utilisation)
    assert told == (400, 5239, 2**30, 0.75)


def test_a_card_without_an_energy_counter_is_sampled_and_one_without_power_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", driver(refuses=frozenset({"nvmlDeviceGetTotalEnergyConsumption"})))
    sample = find_cards("0")[0].read()
    assert sample is not None
    assert sample.energy_j is None
    monkeypatch.setitem(sys.modules, "pynvml", driver(refuses=frozenset({"nvmlDeviceGetPowerUsage"})))
    assert find_cards("0")[0].read() is None
