"""GPUs watched during a trial: what samples add up to, which cards are meant, and the figures of a run."""

import time
from dataclasses import dataclass

import pytest

from tokenforge.bench.gpu_watch import Card, GpuWatch, Sample, summed, watch_gpus
from tokenforge.telemetry.gpus import chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """A card that draws 300 W by its power and `counted_w` by its counter, for as long as it is asked."""

    index: int = 0
    name: str = "NVIDIA Twin"
    counted_w: float = 300.0

    def read(self) -> Sample:
        """As of now."""
        now = time.monotonic()
        return Sample(at_s=now, energy_j=self.counted_w * now, power_w=300.0, memory_bytes=7, utilisation=0.5)


def at(second: float, *, energy_j: float | None = None, power_w: float = 300.0, memory_bytes: int = 0) -> Sample:
    return Sample(at_s=second, energy_j=energy_j, power_w=power_w, memory_bytes=memory_bytes, utilisation=second / 10)


def test_energy_is_told_by_the_counter_and_by_the_integral_of_power() -> None:
    samples = [at(second, energy_j=310.0 * second, memory_bytes=int(second)) for second in range(11)]
    found = summed(Twin(), samples)
    assert found is not None
    assert (found.counter_j, found.integral_j, found.sampled_s) == (3100.0, 3000.0, 10.0)
    assert (found.memory_peak_bytes, found.utilisation, found.samples) == (10, 0.5, 11)


def test_power_between_uneven_samples_is_taken_as_a_straight_line() -> None:
    found = summed(Twin(), [at(0, power_w=100.0), at(1, power_w=300.0), at(4, power_w=300.0)])
    assert found is not None
    assert found.integral_j == 200.0 + 900.0


def test_a_card_without_a_counter_has_only_the_integral() -> None:
    found = summed(Twin(), [at(0), at(1), at(2)])
    assert found is not None
    assert (found.counter_j, found.integral_j) == (None, 600.0)


def test_too_few_samples_are_no_reading() -> None:
    assert summed(Twin(), [at(0), at(1)]) is None


def test_all_cards_are_sampled_while_the_watch_is_open() -> None:
    cards: list[Card] = [Twin(index=0), Twin(index=1, counted_w=600.0)]
    with GpuWatch(cards, every_s=0.001) as watch:
        while any(len(samples) < 5 for samples in watch._samples):
            time.sleep(0.001)
    first, second = watch.readings()
    assert (first.index, second.index) == (0, 1)
    assert first.counter_j == pytest.approx(first.integral_j)
    assert second.counter_j == pytest.approx(2 * second.integral_j)


def test_a_machine_without_cards_has_no_reading_and_no_thread() -> None:
    with GpuWatch([]) as watch:
        pass
    assert watch.readings() == ()


@pytest.mark.parametrize(("url", "cards"), [("http://127.0.0.1:8000", 1), ("http://[::1]:8000", 1), ("https://far", 0)])
def test_a_server_on_another_machine_has_none_of_our_cards(url: str, cards: int) -> None:
    with watch_gpus(lambda: [Twin()], url=url) as watch:
        while any(len(samples) < 3 for samples in watch._samples):
            time.sleep(0.001)
    assert len(watch.readings()) == cards


@pytest.mark.parametrize(
    ("visible", "meant"),
    [
        (None, [0, 1, 2]),
        ("1", [1]),
        ("2,0", [2, 0]),
        ("GPU-b", [1]),
        ("", []),
        ("-1", []),
        ("0,7,1", [0]),
        ("0, 2", [0, 2]),
    ],
)
def test_the_cards_meant_are_those_that_cuda_would_see(visible: str | None, meant: list[int]) -> None:
    assert chosen(visible, ["GPU-a1", "GPU-b2", "GPU-c3"]) == meant
