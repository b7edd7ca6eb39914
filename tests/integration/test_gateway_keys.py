"""API keys over HTTP: made, used, limited, revoked; what errors look like and what they never hold."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from gateway_rig import GOOD, Hanging, Rig, gateway, streaming

INFER = {"model": "synthetic:tiny", "prompt": "p", "max_tokens": 2}


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with gateway(tmp_path) as made:
        yield made


async def key(rig: Rig, name: str, *scopes: str, by: str = "", **limits: int) -> str:
    """A new key, made over HTTP by the holder of another."""
    status, body, _ = await rig.post("/keys", {"name": name, "scopes": list(scopes), **limits}, **bearer(by))
    assert status == 201, body
    return str(body["key"])


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


async def test_from_the_first_key_on_everything_but_health_needs_one(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    assert (await rig.post("/infer", INFER))[0] == 200
    admin = await key(rig, "root", "admin")
    for path in ("/deployments", "/keys", "/runs", "/metrics", "/v1/models"):
        assert ((await rig.get(path))[0], (await rig.get(path, **bearer(admin)))[0]) == (401, 200), path
    assert ((await rig.post("/infer", INFER))[0], (await rig.post("/infer", INFER, **bearer(admin)))[0]) == (401, 200)
    assert [(await rig.get(f"/health/{kind}"))[0] for kind in ("live", "ready")] == [200, 200]


async def test_errors_have_the_shape_of_their_path_and_a_challenge(rig: Rig) -> None:
    admin = await key(rig, "root", "admin")
    infer = await key(rig, "app", "infer", by=admin)
    _, openai_body, _ = await rig.post("/v1/completions", INFER)
    assert (openai_body["error"]["code"], openai_body["error"]["type"]) == ("invalid_api_key", "invalid_request_error")
    status, body, headers = await rig.post("/deploy", {}, **bearer(infer))
    assert (status, body["code"], headers["content-type"]) == (403, "forbidden", "application/problem+json")
    assert 'scope="deploy"' in headers["www-authenticate"]


async def test_a_worker_never_sees_the_key(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    token = await key(rig, "root", "admin")
    await rig.post("/v1/completions", {**INFER, "stream": True}, **bearer(token))
    ((_, _, headers),) = rig.asked
    assert token not in str(headers)


async def test_a_key_is_shown_once_and_a_revoked_one_is_refused_at_once(rig: Rig) -> None:
    admin = await key(rig, "root", "admin")
    app = await key(rig, "app", "infer", by=admin)
    status, listed, _ = await rig.get("/keys", **bearer(admin))
    assert (status, {one["name"] for one in listed["keys"]}) == (200, {"root", "app"})
    assert app not in str(listed)
    assert (await rig.get("/v1/models", **bearer(app)))[0] == 200
    async with rig.client.delete(f"{rig.url}/keys/app", headers=bearer(admin)) as answer:
        assert answer.status == 200
    assert (await rig.get("/v1/models", **bearer(app)))[0] == 401


async def test_beyond_its_rate_a_key_is_429_and_another_is_served(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    admin = await key(rig, "root", "admin")
    app = await key(rig, "app", "infer", by=admin, requests_per_minute=2)
    statuses = [(await rig.post("/infer", INFER, **bearer(app)))[0] for _ in range(3)]
    _, body, headers = await rig.post("/v1/completions", INFER, **bearer(app))
    assert statuses == [200, 200, 429]
    assert (body["error"]["code"], body["error"]["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert 1 <= int(headers["retry-after"]) <= 30
    assert (await rig.post("/infer", INFER, **bearer(admin)))[0] == 200


async def test_a_key_holds_a_place_until_its_client_has_left(rig: Rig) -> None:
    hanging = Hanging()
    await rig.deploy(hanging)
    admin = await key(rig, "root", "admin")
    app = await key(rig, "app", "infer", by=admin, concurrency=1)
    async with rig.client.post(rig.url + "/v1/completions", json={**INFER, "stream": True}, headers=bearer(app)):
        await hanging.begun.wait()
        assert (await rig.get("/v1/models", **bearer(app)))[0] == 429
    async with asyncio.timeout(1.0):
        await rig.app.plane.empty.wait()
    assert (await rig.get("/v1/models", **bearer(app)))[0] == 200


@pytest.mark.parametrize("said", ["", "Basic eDp5", "Bearer", "Bearer x", "Bearer tf-", "bearer tf-00-\xff\xfe", "é"])
async def test_whatever_else_stands_in_the_header_is_401_and_not_told_again(rig: Rig, said: str) -> None:
    await key(rig, "root", "admin")
    status, body, headers = await rig.get("/deployments", authorization=said)
    assert (status, headers["www-authenticate"][:6]) == (401, "Bearer")
    assert len(said) < 8 or said.partition(" ")[2] not in str(body)


async def test_a_server_that_others_reach_admits_nobody_without_a_key(tmp_path: Path) -> None:
    async with gateway(tmp_path, is_loopback=False) as rig:
        status, body, _ = await rig.post("/deploy", {"model": "synthetic:tiny", "runtime": "sim"})
        assert status == 401
        assert "tokenforge keys create" in body["detail"]


def break_store(folder: Path) -> None:
    """Put a folder where its file was."""
    for file in folder.glob("store.db*"):
        file.unlink()
    (folder / "store.db").mkdir()


async def test_a_store_that_fails_changes_nobodys_rights(rig: Rig, tmp_path: Path) -> None:
    admin = await key(rig, "root", "admin")
    await rig.store.close()
    break_store(tmp_path)
    await rig.feed.refresh()
    assert [(await rig.get("/v1/models", **bearer(token)))[0] for token in (admin, "tf-a-b")] == [200, 401]


async def test_openais_client_sees_its_own_errors(rig: Rig) -> None:
    await rig.deploy(streaming(*GOOD))
    admin = await key(rig, "root", "admin")
    bench = await key(rig, "nightly", "bench", by=admin)
    for token, kind in (("none", openai.AuthenticationError), (bench, openai.PermissionDeniedError)):
        async with openai.AsyncOpenAI(base_url=f"{rig.url}/v1", api_key=token, max_retries=0) as client:
            with pytest.raises(kind):
                await client.completions.create(model="synthetic:tiny", prompt="p")
