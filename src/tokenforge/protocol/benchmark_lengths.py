"""A number or a distribution of tokens, as a schema, and what it becomes."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from tokenforge.domain.workload import Fixed, Histogram, Length, LogNormal, Normal, Uniform

MAX_TOKENS = 1_000_000


class Body(BaseModel):
    """A mapping with known keys."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {key: item for key, item in value.items() if item is not None or key not in cls.model_fields}


def kind_of(value: object) -> Literal["plain", "mapping"]:
    """Whether a value is written as a mapping, so names its distribution, or as one value."""
    return "mapping" if isinstance(value, Mapping | BaseModel) else "plain"


Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]


class Bounded(Body):
    """A distribution between two bounds, both included."""

    low: Tokens = Field(default=1, description="the fewest tokens")
    high: Tokens = Field(default=MAX_TOKENS, description="the most tokens")

    @model_validator(mode="after")
    def _ordered(self) -> "Bounded":
        if self.low > self.high:
            raise PydanticCustomError("bounds", "low is above high = {high}", {"field": "low", "high": self.high})
        return self


class UniformBody(Bounded):
    """`uniform: {low: 100, high: 200}`."""

    low: Tokens = Field(description="the fewest tokens")
    high: Tokens = Field(description="the most tokens")


class NormalBody(Bounded):
    """`normal: {mean: 256, std: 64, low: 16, high: 512}`."""

    mean: float = Field(gt=0, le=MAX_TOKENS, description="tokens on average")
    std: float = Field(ge=0, le=MAX_TOKENS, description="standard deviation in tokens")


class LogNormalBody(Bounded):
    """`lognormal: {mean: 256, cv: 0.8, low: 16, high: 1024}`."""

    mean: float = Field(gt=0, le=MAX_TOKENS, description="tokens on average")
    cv: float = Field(ge=0, le=20, description="standard deviation divided by the mean, for example 0.8")


class HistogramBody(Body):
    """`histogram: {values: [64, 512], weights: [9, 1]}`."""

    values: list[Tokens] = Field(min_length=1, description="token counts, for example [64, 512]")
    weights: list[Annotated[float, Field(ge=0)]] = Field(min_length=1, description="one weight for each value")

    @model_validator(mode="after")
    def _paired(self) -> "HistogramBody":
        if len(self.values) != len(self.weights):
            numbers = {"values": len(self.values), "weights": len(self.weights), "field": "weights"}
            raise PydanticCustomError("bounds", "has {weights} numbers for {values} values", numbers)
        if sum(self.weights) <= 0:
            raise PydanticCustomError("bounds", "needs one weight above 0", {"field": "weights"})
        return self


class DistributionBody(Body):
    """Exactly one of the four."""

    uniform: UniformBody | None = None
    normal: NormalBody | None = None
    lognormal: LogNormalBody | None = None
    histogram: HistogramBody | None = None

    @model_validator(mode="after")
    def _one(self) -> "DistributionBody":
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError("bounds", "must be a number or exactly one distribution")
        return self


LengthBody = Annotated[
    Annotated[Tokens, Tag("plain")] | Annotated[DistributionBody, Tag("mapping")], Discriminator(kind_of)
]


def to_length(body: int | DistributionBody) -> Length:
    """The domain's value of what passed the schema."""
    if isinstance(body, int):
        return Fixed(value=body)
    if (uniform := body.uniform) is not None:
        return Uniform(low=uniform.low, high=uniform.high)
    if (normal := body.normal) is not None:
        return Normal(mean=normal.mean, std=normal.std, low=normal.low, high=normal.high)
    if (lognormal := body.lognormal) is not None:
        return LogNormal(mean=lognormal.mean, cv=lognormal.cv, low=lognormal.low, high=lognormal.high)
    histogram = body.histogram
    assert histogram is not None  # the schema lets exactly one of the four through
    return Histogram(values=tuple(histogram.values), weights=tuple(histogram.weights))
