"""Seconds as users write them (a number, `30s`, `5m`, `500ms`, a distribution), as a schema, and what it becomes."""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tokenforge.domain.durations import (
    LONGEST_S,
    Duration,
    ExponentialSeconds,
    FixedSeconds,
    HistogramSeconds,
    LogNormalSeconds,
    NormalSeconds,
    UniformSeconds,
)
from tokenforge.protocol.benchmark_lengths import Body, kind_of

WEEK_S = LONGEST_S
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")


def seconds_of(value: object) -> float | None:
    """The seconds that a number or a text with a unit means, None for anything else."""
    if isinstance(value, str) and (match := _TEXT.fullmatch(value)):
        return float(match[1]) * _UNITS_S[match[2]]
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)


def _seconds(value: object) -> object:
    if not isinstance(value, str):
        return value
    seconds = seconds_of(value)
    if seconds is None:
        raise PydanticCustomError("bounds", "is not a time")
    return seconds


def _mean_alone(value: object) -> object:
    return {"mean": value} if kind_of(value) == "plain" else value


Seconds = Annotated[float, BeforeValidator(_seconds)]
_Bounded = Annotated[Seconds, Field(ge=0, le=WEEK_S)]
_Positive = Annotated[Seconds, Field(gt=0, le=WEEK_S)]


class Between(Body):
    """A distribution between two bounds, both included."""

    low: _Bounded = Field(default=0.0, description="the fewest seconds")
    high: _Bounded = Field(default=WEEK_S, description="the most seconds")

    @model_validator(mode="after")
    def _ordered(self) -> "Between":
        if self.low > self.high:
            raise PydanticCustomError("bounds", "low is above high = {high}", {"field": "low", "high": self.high})
        return self


class UniformSecondsBody(Between):
    """`uniform: {low: 1, high: 5}`."""

    low: _Bounded = Field(description="the fewest seconds")
    high: _Bounded = Field(description="the most seconds")


class ExponentialBody(Between):
    """`exponential: {mean: 2, high: 30}`, or `exponential: 2`."""

    mean: _Positive = Field(description="seconds on average, for example 2")


class NormalSecondsBody(Between):
    """`normal: {mean: 2, std: 0.5}`."""

    mean: _Positive = Field(description="seconds on average, for example 2")
    std: _Bounded = Field(description="standard deviation in seconds")


class LogNormalSecondsBody(Between):
    """`lognormal: {mean: 2, cv: 0.8, high: 30}`."""

    mean: _Positive = Field(description="seconds on average, for example 2")
    cv: float = Field(ge=0, le=20, description="standard deviation divided by the mean, for example 0.8")


class HistogramSecondsBody(Body):
    """`histogram: {values: [1, 10], weights: [9, 1]}`."""

    values: list[_Bounded] = Field(min_length=1, description="seconds, for example [1, 10]")
    weights: list[Annotated[float, Field(ge=0)]] = Field(min_length=1, description="one weight for each value")

    @model_validator(mode="after")
    def _paired(self) -> "HistogramSecondsBody":
        if len(self.values) != len(self.weights):
            numbers = {"values": len(self.values), "weights": len(self.weights), "field": "weights"}
            raise PydanticCustomError("bounds", "has {weights} numbers for {values} values", numbers)
        if sum(self.weights) <= 0:
            raise PydanticCustomError("bounds", "needs one weight above 0", {"field": "weights"})
        return self


class SpreadBody(Body):
    """Exactly one of the five."""

    uniform: UniformSecondsBody | None = None
    exponential: Annotated[ExponentialBody, BeforeValidator(_mean_alone)] | None = None
    normal: NormalSecondsBody | None = None
    lognormal: LogNormalSecondsBody | None = None
    histogram: HistogramSecondsBody | None = None

    @model_validator(mode="after")
    def _one(self) -> "SpreadBody":
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError("bounds", "must be seconds or exactly one distribution")
        return self


DurationBody = Annotated[
    Annotated[_Bounded, Tag("plain")] | Annotated[SpreadBody, Tag("mapping")], Discriminator(kind_of)
]


def to_duration(body: float | SpreadBody | None) -> Duration | None:
    """The domain's value of what passed the schema."""
    if body is None:
        return None
    if not isinstance(body, SpreadBody):
        return FixedSeconds(value=body)
    if (uniform := body.uniform) is not None:
        return UniformSeconds(low=uniform.low, high=uniform.high)
    if (exponential := body.exponential) is not None:
        return ExponentialSeconds(mean=exponential.mean, low=exponential.low, high=exponential.high)
    if (normal := body.normal) is not None:
        return NormalSeconds(mean=normal.mean, std=normal.std, low=normal.low, high=normal.high)
    if (lognormal := body.lognormal) is not None:
        return LogNormalSeconds(mean=lognormal.mean, cv=lognormal.cv, low=lognormal.low, high=lognormal.high)
    histogram = body.histogram
    assert histogram is not None  # the schema lets exactly one of the five through
    return HistogramSeconds(values=_floats(histogram.values), weights=_floats(histogram.weights))


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, values))
