"""What control says of a deployment that a cluster keeps, from what is seen alone."""

from dataclasses import replace

from fleet_twin import INFO
from manifest_samples import SPEC, deployment_of

from tokenforge.cluster.base import Sighting, Standing
from tokenforge.control.conditions import _REASONS
from tokenforge.control.decision import Remove, Withdraw
from tokenforge.control.settle import MOST_UNREACHABLE_S, ClusterWorld, settle
from tokenforge.domain.demand import Demand
from tokenforge.domain.deployment import Autoscale, Deployment
from tokenforge.domain.deployment_state import Condition, Observed, Phase
from tokenforge.domain.errors import ClusterRefused, ClusterUnreachable, TokenForgeError
from tokenforge.protocol.worker_spec import WorkerPhase


def pod(name: str = "p", *, template: str = "new", phase: WorkerPhase = WorkerPhase.READY, **more: object) -> Sighting:
    base = Sighting(
        name=name, labels={"template": template}, phase=phase, is_alive=True, launched_at_s=0.0, url=f"http://{name}",
        info=INFO if phase is WorkerPhase.READY else None,
    )  # fmt: skip
    return replace(base, **more)  # type: ignore[arg-type]


def standing(*pods: Sighting, generation: int = 1, **more: object) -> Standing:
    return replace(Standing(generation=generation, template="new", pods=pods), **more)  # type: ignore[arg-type]


def seen(
    there: Standing | None, deployment: Deployment | None = None, *, refusal: TokenForgeError | None = None,
    is_new: bool = False, now_s: float = 10.0, demand: Demand | None = None,
) -> Observed:  # fmt: skip
    world = ClusterWorld(standing=there, refusal=refusal, is_new=is_new, now_s=now_s, now="t", demand=demand)
    return settle(deployment or deployment_of(), world).observed


def healthy(observed: Observed) -> Condition:
    condition = observed.condition("Healthy")
    assert condition is not None
    return condition


def test_it_is_ready_when_as_many_as_wanted_serve() -> None:
    two = deployment_of(replace(SPEC, replicas=2))
    one_of_two = seen(standing(pod("a"), pod("b", phase=WorkerPhase.LOADING)), replace(two, observed=_starting()))
    assert one_of_two.phase is Phase.DEGRADED
    assert seen(standing(pod("a"), pod("b")), replace(two, observed=_starting())).phase is Phase.READY


def test_pods_of_an_older_template_serve_and_make_nothing_ready() -> None:
    observed = seen(standing(pod(template="old")), replace(deployment_of(), observed=_starting()))
    assert observed.phase is Phase.DEGRADED
    assert [replica.url for replica in observed.replicas] == ["http://p"]
    ready = observed.condition("Ready")
    assert ready is not None
    assert (ready.is_true, ready.reason) == (False, "Updating")


def test_a_workload_of_an_older_generation_makes_nothing_ready() -> None:
    deployment = replace(deployment_of(generation=2), observed=_starting())
    assert seen(standing(pod(), generation=1), deployment).phase is Phase.DEGRADED


def test_where_the_cluster_scales_its_number_is_the_one_that_is_wanted() -> None:
    spec = replace(SPEC, replicas=3, autoscale=Autoscale(min=1, max=9, target=8))
    deployment = replace(deployment_of(spec), observed=_starting())
    scaled = seen(standing(pod(), replicas=1, scaled_by="in_flight"), deployment)
    assert (scaled.phase, scaled.condition("Scaled").message) == (  # type: ignore[union-attr]
        Phase.READY, "the cluster's autoscaler wants 1 by in_flight",
    )  # fmt: skip


def test_where_the_cluster_has_no_scaler_control_goes_by_demand() -> None:
    spec = replace(SPEC, replicas=1, autoscale=Autoscale(min=0, max=4, target=2, idle_s=5))
    deployment = replace(deployment_of(spec), observed=_starting())
    more = seen(standing(pod(), replicas=1), deployment, demand=Demand(in_flight=5, waiting=1))
    assert more.scaling is not None
    assert (more.scaling.replicas, more.scaling.reason) == (3, "ScaledUp")
    calm = seen(standing(pod(), replicas=1), deployment, demand=Demand(idle_s=1), now_s=10.0)
    assert calm.healthy_since_s == 10.0
    idle = seen(standing(pod(), replicas=1), replace(deployment, observed=calm), demand=Demand(idle_s=20), now_s=30.0)
    assert (idle.scaling and idle.scaling.replicas, idle.phase) == (0, Phase.IDLE)
    held = seen(standing(), replace(deployment, observed=idle), demand=Demand(waiting=1, idle_s=0), now_s=40.0)
    assert (held.scaling and held.scaling.reason, held.phase) == ("Woken", Phase.STARTING)


def test_while_no_gateway_reports_nothing_is_scaled() -> None:
    spec = replace(SPEC, replicas=2, autoscale=Autoscale(min=0, max=4, target=2, idle_s=5))
    observed = seen(None, replace(deployment_of(spec), observed=_starting()), now_s=1e6)
    assert observed.scaling is not None
    assert observed.scaling.replicas == 2


def test_a_server_that_does_not_answer_is_asked_again_soon_however_long_it_was_away() -> None:
    deployment, now_s = deployment_of(), 10.0
    for _ in range(12):
        away = seen(None, deployment, refusal=ClusterUnreachable("away"), is_new=True, now_s=now_s)
        assert away.retry_at_s - now_s <= MOST_UNREACHABLE_S
        refused = seen(
            None, deployment, refusal=ClusterRefused("no", code="conflict", status=409), is_new=True, now_s=now_s
        )
        deployment = replace(deployment, observed=away)
    assert refused.retry_at_s - now_s == 60.0


def test_a_pod_that_drains_does_not_count_and_gets_no_requests() -> None:
    leaving = pod(phase=WorkerPhase.DRAINING, stopping_since_s=5.0)
    observed = seen(standing(leaving), replace(deployment_of(), observed=_starting()))
    assert observed.phase is Phase.STARTING
    assert str(observed.replicas[0].phase) == "draining"


def test_the_last_one_that_leaves_is_sent_requests_until_another_serves() -> None:
    leaving = pod("old", template="old", phase=WorkerPhase.DRAINING, stopping_since_s=5.0, info=INFO)
    coming = pod("new", phase=WorkerPhase.LOADING)
    gap = seen(standing(leaving, coming), replace(deployment_of(), observed=_starting()))
    assert {r.id: str(r.phase) for r in gap.replicas} == {"old": "ready", "new": "loading"}
    over = seen(standing(leaving, pod("new")), replace(deployment_of(), observed=_starting()))
    assert {r.id: str(r.phase) for r in over.replicas} == {"old": "draining", "new": "ready"}


def test_the_cause_of_a_pod_is_told_while_none_serves_and_while_some_do() -> None:
    broken = pod(
        "b", phase=WorkerPhase.STARTING, cause="0/3 nodes: 3 Insufficient nvidia.com/gpu", code="unschedulable"
    )
    alone = seen(standing(broken))
    assert (alone.phase, healthy(alone).reason) == (Phase.FAILED, "Unschedulable")
    beside = seen(standing(pod("a", template="old"), broken), replace(deployment_of(), observed=_starting()))
    assert (beside.phase, healthy(beside).reason) == (Phase.DEGRADED, "Unschedulable")


def test_a_cause_that_is_gone_is_not_told_any_more() -> None:
    broken = pod("b", phase=WorkerPhase.STARTING, cause="manifest unknown", code="image_pull_failed")
    before = seen(standing(broken))
    after = seen(standing(pod("b", phase=WorkerPhase.LOADING)), replace(deployment_of(), observed=before))
    assert healthy(after).is_true
    assert after.phase is Phase.STARTING


def test_a_refusal_is_told_and_tried_again_later_and_later() -> None:
    refusal = ClusterRefused("exceeded quota: q", code="quota_exceeded", status=403)
    deployment = deployment_of()
    waits = []
    for _ in range(3):
        observed = seen(None, deployment, refusal=refusal, is_new=True)
        waits.append(observed.retry_at_s - 10.0)
        deployment = replace(deployment, observed=observed)
    assert healthy(observed).reason == "QuotaExceeded"
    assert waits == [1.0, 2.0, 4.0]


def test_looking_again_at_a_refusal_puts_no_try_off() -> None:
    refusal = ClusterRefused("no", code="admission_refused", status=400)
    first = seen(None, refusal=refusal, is_new=True)
    again = seen(None, replace(deployment_of(), observed=first), refusal=refusal, now_s=10.5)
    assert (again.failures, again.retry_at_s) == (first.failures, first.retry_at_s)


def test_a_changed_spec_forgets_the_refusals_of_the_one_before() -> None:
    refusal = ClusterRefused("no", code="admission_refused", status=400)
    first = seen(None, refusal=refusal, is_new=True)
    changed = replace(deployment_of(generation=2), observed=replace(first, failures=7))
    assert seen(None, changed, refusal=refusal, is_new=True).failures == 1


def test_nothing_changes_while_nothing_happens() -> None:
    before = seen(standing(pod()), replace(deployment_of(), observed=_starting()))
    after = seen(standing(pod()), replace(deployment_of(), observed=before), now_s=99.0)
    assert after == before


def test_a_deletion_withdraws_until_nothing_is_there_and_then_removes() -> None:
    deployment = replace(deployment_of(), is_deleting=True)
    world = ClusterWorld(standing=standing(pod()), refusal=None, is_new=False, now_s=1.0, now="t")
    assert settle(deployment, world).actions == (Withdraw(),)
    assert settle(deployment, replace(world, standing=None)).actions == (Remove(),)


def test_every_cause_of_a_cluster_has_a_word_of_its_own() -> None:
    codes = {
        "unschedulable", "image_pull_failed", "container_refused", "model_not_fetched", "out_of_memory", "crashed",
        "pod_failed", "probe_failed", "quota_exceeded", "admission_refused", "cluster_forbidden", "cluster_unreachable",
    }  # fmt: skip
    assert codes <= set(_REASONS)


def _starting() -> Observed:
    return Observed(generation=1, phase=Phase.STARTING)
