"""The admin side on real sockets: deployments over HTTP, health, the OpenAPI document."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import GOOD, Rig, gateway, refusing, streaming

DEPLOY = {"model": "synthetic:tiny", "runtime": "sim"}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with gateway(tmp_path) as made:
        yield made


async def send(rig: Rig, method: str, path: str, body: object = None) -> tuple[int, Any]:
    async with rig.client.request(method, rig.url + path, json=body) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_deploy_is_202_with_the_deployment_and_where_it_is(rig: Rig) -> None:
    status, body, headers = await rig.post("/deploy", DEPLOY)
    assert (status, headers["location"]) == (202, f"/deployments/{body['id']}")
    assert (body["status"], body["ready"], body["desired"]["runtime"]) == ("pending", False, "sim")


async def test_the_same_key_and_body_deploy_once(rig: Rig) -> None:
    answers = [await rig.post("/deploy", DEPLOY, **{"idempotency-key": "k"}) for _ in range(2)]
    assert answers[0][1]["id"] == answers[1][1]["id"]
    assert len((await rig.get("/deployments"))[1]["deployments"]) == 1


async def test_the_same_key_with_another_body_is_422(rig: Rig) -> None:
    await rig.post("/deploy", DEPLOY, **{"idempotency-key": "k"})
    status, body, _ = await rig.post("/deploy", {**DEPLOY, "replicas": 2}, **{"idempotency-key": "k"})
    assert (status, body["code"]) == (422, "idempotency_key_reused")


async def test_a_taken_name_is_409(rig: Rig) -> None:
    for expected in (202, 409):
        status, _, _ = await rig.post("/deploy", {**DEPLOY, "name": "mine"})
        assert status == expected


async def test_every_fault_of_a_deploy_body_is_told_at_once(rig: Rig) -> None:
    status, body, headers = await rig.post("/deploy", {"runtime": "sm", "quant": "fp16", "replicas": "two"})
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert {error["field"] for error in body["errors"]} == {"model", "runtime", "replicas"}


async def test_a_deployment_is_found_by_id_and_by_name(rig: Rig) -> None:
    _, made, _ = await rig.post("/deploy", {**DEPLOY, "name": "mine"})
    for word in (made["id"], "mine"):
        assert (await rig.get(f"/deployments/{word}"))[1]["id"] == made["id"]


async def test_a_patch_is_a_new_generation(rig: Rig) -> None:
    await rig.post("/deploy", {**DEPLOY, "name": "mine"})
    status, body = await send(rig, "PATCH", "/deployments/mine", {"replicas": 3})
    assert (status, body["generation"], body["desired"]["replicas"]) == (202, 2, 3)


async def test_a_deleted_deployment_serves_no_more(rig: Rig) -> None:
    identity = await rig.deploy(streaming(*GOOD))
    status, body = await send(rig, "DELETE", f"/deployments/{identity}")
    await rig.feed.refresh()
    assert (status, body["status"]) == (202, "deleting")
    assert (await rig.post("/infer", {"model": "synthetic:tiny", "prompt": "p"}))[0] == 404


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_an_unknown_deployment_is_404(rig: Rig, method: str) -> None:
    status, body = await send(rig, method, "/deployments/nobody", {"replicas": 1} if method == "PATCH" else None)
    assert (status, body["code"]) == (404, "not_found")


async def test_events_are_sent_from_where_the_client_was(rig: Rig) -> None:
    _, made, _ = await rig.post("/deploy", DEPLOY)
    await rig.store.events.append(made["id"], reason="Later", message="more")
    path = f"/deployments/{made['id']}/events?follow=false"
    _, whole, headers = await rig.get(path)
    _, rest, _ = await rig.get(path, **{"last-event-id": "1"})
    assert headers["content-type"].startswith("text/event-stream")
    assert whole.count(b"event: ") == 2
    assert b"Requested" not in rest
    assert b"Later" in rest


async def test_events_go_on_until_the_deployment_is_gone(rig: Rig) -> None:
    identity = await rig.deploy(streaming(*GOOD))
    async with rig.client.get(f"{rig.url}/deployments/{identity}/events") as answer:
        await rig.store.events.append(identity, reason="Last", message="words")
        await rig.store.observations.remove(identity, lease=rig.lease)
        assert b"Last" in await answer.read()


async def test_logs_come_from_every_replica(rig: Rig) -> None:
    identity = await rig.deploy(streaming(*GOOD), streaming(*GOOD))
    _, text, _ = await rig.get(f"/deployments/{identity}/logs?lines=1")
    assert text.decode().count("something") == 2


@pytest.mark.parametrize("lines", ["0", "many", "-1", "9" * 30])
async def test_a_number_of_lines_that_is_none_is_400(rig: Rig, lines: str) -> None:
    identity = await rig.deploy(streaming(*GOOD))
    assert (await rig.get(f"/deployments/{identity}/logs?lines={lines}"))[0] == 400


async def test_the_gateway_is_live_and_ready_until_it_drains(rig: Rig) -> None:
    assert [(await rig.get(f"/health/{kind}"))[0] for kind in ("live", "ready")] == [200, 200]
    rig.app.plane.is_draining = True
    assert [(await rig.get(f"/health/{kind}"))[0] for kind in ("live", "ready")] == [200, 503]


async def test_a_wrong_path_or_method_is_a_problem_too(rig: Rig) -> None:
    status, body, headers = await rig.get("/nothing")
    assert (status, body["status"], headers["content-type"]) == (404, 404, "application/problem+json")
    assert (await rig.get("/deploy"))[0] == 405


async def test_every_answer_has_a_request_id(rig: Rig) -> None:
    for path in ("/nothing", "/deployments", "/v1/models", "/health/live"):
        _, _, headers = await rig.get(path, **{"x-request-id": "abc"})
        assert headers["x-request-id"] == "abc"


async def test_the_openapi_document_names_every_route_with_its_schemas(rig: Rig) -> None:
    _, document, _ = await rig.get("/openapi.json")
    assert {"/deploy", "/infer", "/deployments/{id}", "/v1/chat/completions"} <= set(document["paths"])
    schemas = document["components"]["schemas"]
    assert {"DeployBody", "PatchBody", "InferBody", "InferAnswer", "Problem"} <= set(schemas)
    assert "fp16" in str(schemas["Quant"])
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(names) == len(set(names))


async def test_metrics_count_what_was_answered(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    await rig.post("/infer", {"model": "synthetic:tiny", "prompt": "p"})
    _, page, _ = await rig.get("/metrics")
    assert b'tokenforge_http_requests_total{outcome="ok",path="/infer"} 1.0' in page


async def test_one_model_can_be_looked_up_whatever_its_name(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD), model="owner/name")
    status, body, _ = await rig.get("/v1/models/owner/name")
    assert (status, body["id"]) == (200, "owner/name")


@pytest.mark.parametrize("path", ["/v1/models/none", "/v1/nothing"])
async def test_under_v1_an_error_has_openais_shape(rig: Rig, path: str) -> None:
    status, body, headers = await rig.get(path)
    assert (status, set(body), headers["content-type"]) == (404, {"error"}, "application/json")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 20_000, b'{"a":' * 20_000, b"7", b'{"model": NaN}'])
@pytest.mark.parametrize("path", ["/deploy", "/benchmarks/run"])
async def test_a_broken_body_is_400(rig: Rig, path: str, body: bytes) -> None:
    assert (await rig.post(path, body))[0] == 400


async def test_a_body_that_is_too_large_is_413(rig: Rig) -> None:
    assert (await rig.post("/deploy", b" " * 1_048_570 + b"{}" * 8))[0] == 413


@pytest.mark.parametrize(
    "path", ["/infer", "/v1/completions", "/v1/chat/completions", "/deployments/d0/v1/completions"]
)
async def test_a_wrong_method_on_a_hot_route_is_405_with_the_right_one(rig: Rig, path: str) -> None:
    status, _, headers = await rig.get(path)
    assert (status, headers["allow"]) == (405, "POST")


async def test_one_deployment_alone_is_asked_by_its_name_too(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD), model="owner/name")
    await rig.deploy(streaming(*GOOD))
    assert [m["id"] for m in (await rig.get("/deployments/d1/v1/models"))[1]["data"]] == ["synthetic:tiny"]
    status, _, headers = await rig.post("/deployments/d1/v1/completions", {"model": "synthetic:tiny", "prompt": "p"})
    assert (status, headers["x-tokenforge-replica"]) == (200, "d1-0")
    status, body, _ = await rig.post("/deployments/d1/v1/completions", {"model": "owner/name", "prompt": "p"})
    assert (status, "'d1' serves 'synthetic:tiny'" in body["error"]["message"]) == (404, True)


async def test_a_workers_refusal_of_infer_names_the_field(rig: Rig) -> None:
    await rig.deploy(refusing(400, code="invalid_request", param="max_tokens"))
    status, body, _ = await rig.post("/infer", {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 9})
    assert (status, body["errors"]) == (400, [{"field": "max_tokens", "value": 9, "message": "no", "hint": ""}])


async def test_one_key_sent_many_times_at_once_makes_one_deployment(rig: Rig) -> None:
    sent = [rig.post("/deploy", DEPLOY, **{"idempotency-key": "at-once"}) for _ in range(8)]
    answers = await asyncio.gather(*sent)
    assert {(status, body["id"]) for status, body, _ in answers} == {(202, answers[0][1]["id"])}
    assert len((await rig.get("/deployments"))[1]["deployments"]) == 1
