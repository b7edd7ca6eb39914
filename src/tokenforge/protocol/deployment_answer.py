"""Deployments as JSON: as they are answered to users, and as the store keeps them."""

from collections.abc import Mapping

from tokenforge.domain.canonical import to_plain
from tokenforge.domain.deployment import Deployment, DeploymentSpec, shown_spec
from tokenforge.domain.deployment_state import Condition, Observed, Replica
from tokenforge.protocol.worker_spec import read_record

JsonObject = dict[str, object]


def deployment_answer(deployment: Deployment) -> JsonObject:
    """What a user reads: desired, observed, conditions; no secret of the engine arguments."""
    return {
        "id": deployment.id,
        "name": deployment.spec.name,
        "model": str(deployment.spec.model),
        "runtime": str(deployment.spec.runtime),
        "status": "deleting" if deployment.is_deleting else str(deployment.observed.phase),
        "ready": deployment.is_ready,
        "generation": deployment.generation,
        "desired": spec_answer(deployment.spec),
        "observed": {
            "generation": deployment.observed.generation,
            "phase": str(deployment.observed.phase),
            "failures": deployment.observed.failures,
            "wanted": deployment.wanted,
            "replicas": [_replica(replica) for replica in deployment.observed.replicas],
        },
        "conditions": [condition_answer(condition) for condition in deployment.observed.conditions],
        "created_at": deployment.created_at,
        "updated_at": deployment.updated_at,
    }


def spec_answer(spec: DeploymentSpec) -> JsonObject:
    """The spec in the words of `POST /deploy`, ready to be sent again."""
    plain = _object(to_plain(shown_spec(spec)))
    plain["model"], plain["runtime"] = str(spec.model), str(spec.runtime)
    resources = _object(plain["resources"])
    resources["memory"] = resources.pop("memory_bytes")
    return plain


def condition_answer(condition: Condition) -> JsonObject:
    """A condition with `status` as Kubernetes writes it."""
    return {
        "type": condition.type,
        "status": "True" if condition.is_true else "False",
        "reason": condition.reason,
        "message": condition.message,
        "since": condition.since,
        "last_words": list(condition.last_words),
    }


def spec_to_stored(spec: DeploymentSpec) -> JsonObject:
    """The whole spec as the store keeps it, secrets too."""
    return _object(to_plain(spec))


def spec_from_stored(value: object) -> DeploymentSpec:
    """Read what `spec_to_stored` gave. Raises InvalidInput."""
    return read_record(DeploymentSpec, value, source="stored deployment")


def observed_to_stored(observed: Observed) -> JsonObject:
    """What was seen, as the store keeps it."""
    return _object(to_plain(observed))


def observed_from_stored(value: object) -> Observed:
    """Read what `observed_to_stored` gave. Raises InvalidInput."""
    return read_record(Observed, value, source="stored observation")


def _replica(replica: Replica) -> JsonObject:
    info = replica.info
    engine: Mapping[str, object] | None = None
    if info is not None:
        engine = {"engine": info.engine, "version": info.engine_version, "max_model_len": info.max_model_len,
                  "simulated": info.simulated}  # fmt: skip
    gpus: JsonObject = {"gpus": list(replica.gpus)} if replica.gpus else {}
    return {"id": replica.id, "phase": str(replica.phase), "template": replica.template, "engine": engine, **gpus}


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise TypeError(f"a record is an object in JSON, not {type(value).__name__}")
    return value
