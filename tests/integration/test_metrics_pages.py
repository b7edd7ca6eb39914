"""Pages of metrics over real sockets: of a process that serves nothing else, and where all of them are."""

from pathlib import Path

import aiohttp
import pytest
from gateway_rig import GOOD, gateway, streaming

from tokenforge.cli.metrics_page import Serve
from tokenforge.domain.errors import PortInUse
from tokenforge.gateway.page_server import page_served
from tokenforge.telemetry.metrics_server import metrics_served
from tokenforge.telemetry.page import new_registry
from tokenforge.telemetry.targets import MetricsTarget, TargetFiles


async def read(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("served", [metrics_served, page_served])
async def test_a_page_is_served_and_nothing_else(served: Serve) -> None:
    async with served(new_registry("9"), host="127.0.0.1", port=0) as address:
        status, page = await read(f"http://{address}/metrics")
        assert (status, 'tokenforge_build_info{version="9"} 1.0' in page) == (200, True)
        assert (await read(f"http://{address}/health/live"))[0] == 200
        assert (await read(f"http://{address}/v1/models"))[0] == 404


@pytest.mark.parametrize("served", [metrics_served, page_served])
async def test_a_port_that_is_taken_is_named(served: Serve) -> None:
    async with served(new_registry("9"), host="127.0.0.1", port=0) as address:
        host, _, port = address.partition(":")
        with pytest.raises(PortInUse, match=port):
            async with served(new_registry("9"), host=host, port=int(port)):
                pass


async def test_discovery_names_the_gateway_and_every_worker_with_what_it_serves(tmp_path: Path) -> None:
    async with gateway(tmp_path) as rig:
        await rig.deploy(streaming(*GOOD), streaming(*GOOD))
        status, groups, _ = await rig.get("/metrics/targets")
        assert status == 200
        assert groups[0] == {"targets": [rig.url.removeprefix("http://")], "labels": {"process": "gateway"}}
        workers = [group["labels"] for group in groups[1:]]
        assert [worker["replica"] for worker in workers] == ["d0-0", "d0-1"]
        assert {(w["deployment"], w["model"], w["runtime"]) for w in workers} == {("d0", "synthetic:tiny", "sim")}


async def test_discovery_is_in_the_openapi_document(tmp_path: Path) -> None:
    async with gateway(tmp_path) as rig:
        _, document, _ = await rig.get("/openapi.json")
        assert document["paths"]["/metrics/targets"]["get"]["responses"]["200"]


async def test_gateways_that_share_a_port_are_listed_each_with_its_own_page(tmp_path: Path) -> None:
    async with gateway(tmp_path) as rig:
        own = MetricsTarget(address="127.0.0.1:9", labels={"process": "gateway"})
        with TargetFiles(tmp_path / "targets").said("gateway", own):
            _, groups, _ = await rig.get("/metrics/targets")
    assert [group["targets"] for group in groups if group["labels"]["process"] == "gateway"] == [["127.0.0.1:9"]]
