"""What is counted of Transformers' scheduler, on twins of its two shapes."""

from types import SimpleNamespace
from typing import Any

from tokenforge.runtimes.transformers_tally import Tally


def processor_of(*batches: object, cache: object = None) -> Any:
    left = iter(batches)
    return SimpleNamespace(scheduler=SimpleNamespace(schedule_batch=lambda *_: next(left)), cache=cache)


def test_steps_and_their_tokens_are_counted() -> None:
    processor = processor_of((["a"], False, 12, 0), (["a", "b"], True, 2, 0))
    tally = Tally(processor)
    assert processor.scheduler.schedule_batch(1, 2)[2] == 12
    processor.scheduler.schedule_batch(1, 2)
    assert (tally.steps, tally.tokens) == (2, 14)


def test_a_step_that_could_not_be_scheduled_is_none() -> None:
    processor = processor_of((None, False, 0, 0), ([], False, 0, 0))
    tally = Tally(processor)
    processor.scheduler.schedule_batch(1, 2)
    processor.scheduler.schedule_batch(1, 2)
    assert (tally.steps, tally.tokens) == (0, 0)


def test_a_scheduler_of_another_shape_is_passed_through_and_not_counted() -> None:
    processor = processor_of("something")
    tally = Tally(processor)
    assert processor.scheduler.schedule_batch(1, 2) == "something"
    assert (tally.steps, tally.tokens) == (None, None)


def test_the_cache_is_read_as_each_version_says_it() -> None:
    new = SimpleNamespace(compute_free_capacity=lambda relative: 0.75)
    old = SimpleNamespace(get_num_free_blocks=lambda: 6, num_blocks=8)
    assert [Tally(processor_of(cache=cache)).usage_ratio() for cache in (new, old)] == [0.25, 0.25]


def test_a_cache_that_does_not_say_it_is_unknown() -> None:
    assert Tally(processor_of(cache=SimpleNamespace())).usage_ratio() is None
