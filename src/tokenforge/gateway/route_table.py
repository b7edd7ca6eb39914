"""The table of routes: which deployments there are, by model, and which replicas of them serve. Plain data.

It is made anew when control has news and replaced as a whole, so whoever reads it sees one moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tokenforge.domain.deployment import Routing
from tokenforge.domain.errors import NotFound
from tokenforge.domain.generation import RuntimeInfo
from tokenforge.gateway.affinity import Shared


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One ready replica. `capacity` is how many requests it may have at once, `name` its deployment's."""

    id: str
    deployment: str
    model: str
    runtime: str
    url: str
    capacity: int
    info: RuntimeInfo
    name: str = ""


class Want(NamedTuple):
    """Who may serve a request: any deployment of the model, or those on a runtime, or one (its id or name) alone.

    Without a model it is whatever that one deployment serves. `hint` tells what the request shares with others.
    """

    model: str | None
    runtime: str | None = None
    deployment: str | None = None
    hint: Shared | None = None

    def is_met_by(self, *, model: str, runtime: str, deployment: str, name: str) -> bool:
        """Whether a deployment of these may serve it."""
        is_runtime = self.runtime is None or self.runtime in (runtime, runtime.split("@")[0])
        return is_runtime and self.model in (None, model) and self.deployment in (None, deployment, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One deployment as the table knows it; `cause` says why it does not serve, when it does not.

    `most` is how many replicas autoscale may give it, None without autoscale. `is_held`: while it has no replica its
    requests are held until one has come up.
    """

    id: str
    model: str
    runtime: str
    created_s: int
    cause: str
    endpoints: tuple[Endpoint, ...]
    name: str = ""
    routing: Routing = Routing.PREFIX
    most: int | None = None
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Every deployment, by model."""

    by_model: Mapping[str, tuple[Served, ...]] = field(default_factory=dict)
    _found: dict[tuple[str | None, ...], tuple[Served, ...]] = field(default_factory=dict, repr=False, compare=False)

    def find(self, want: Want) -> tuple[Served, ...]:
        """The deployments that may serve it. Raises NotFound, saying which there are."""
        if fitting := self.known(want) or self.fitting(want):
            return fitting
        among = self.by_model.get(want.model, ()) if want.model is not None else self.all()
        model, runtime = want.model, want.runtime
        if want.deployment is not None:
            among = tuple(one for one in self.all() if want.deployment in (one.id, one.name))
            said = f"deployment {want.deployment[:80]!r}"
            what = f"{said} serves {among[0].model!r}, not {model!r}" if among else f"there is no {said}"
            raise NotFound(what, hint="GET /deployments lists them")
        served = among
        if served:
            runtimes = ", ".join(sorted({one.runtime for one in served}))
            raise NotFound(
                f"model {model!r} is not deployed on runtime {runtime!r}",
                hint=f"It runs on {runtimes}; POST /deploy with that model and runtime to add one",
            )
        there = ", ".join(sorted(self.by_model)) or "none"
        raise NotFound(
            f"model {model!r} is not deployed", hint=f"Deployed are: {there}; POST /deploy with it, then ask again"
        )

    def known(self, want: Want) -> tuple[Served, ...] | None:
        """What `find` found for the like before, None where nobody asked yet."""
        return self._found.get(want[:3])

    def fitting(self, want: Want) -> tuple[Served, ...]:
        """The deployments that may serve it; none is no error. What was found is found at once the next time."""
        asked = want[:3]
        known = self._found.get(asked)
        if known is not None:
            return known
        among = self.by_model.get(want.model, ()) if want.model is not None else self.all()
        found = tuple(
            one for one in among
            if want.is_met_by(model=one.model, runtime=one.runtime, deployment=one.id, name=one.name)
        )  # fmt: skip
        if found:
            self._found[asked] = found
        return found

    def all(self) -> tuple[Served, ...]:
        """Every deployment."""
        return tuple(one for served in self.by_model.values() for one in served)
