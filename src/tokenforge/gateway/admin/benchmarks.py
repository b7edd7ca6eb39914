"""`/benchmarks` and `/runs`: queue a benchmark, follow it, read what came of it."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from tokenforge.domain.benchmark import Benchmark
from tokenforge.domain.errors import AlreadyOver, Fault, InvalidInput
from tokenforge.domain.queued import QueuedBenchmark, QueuedRun, benchmark_status
from tokenforge.domain.run import RunStatus
from tokenforge.gateway.admin import events
from tokenforge.gateway.admin.idempotency import PARAMETER as IDEMPOTENCY
from tokenforge.gateway.admin.idempotency import idempotency_key
from tokenforge.gateway.admin.operation import Operation, Parameter, body_bytes, json_answer, whole_number
from tokenforge.gateway.admin.run_files import RunFiles
from tokenforge.gateway.admin.schemas import ARTIFACTS, BENCHMARK, BENCHMARKS, RUN, RUNS
from tokenforge.protocol.benchmark import parse_benchmark
from tokenforge.protocol.benchmark_body import BenchmarkBody
from tokenforge.protocol.benchmark_workload_rules import Formats
from tokenforge.protocol.openai_fields import read_whole_text
from tokenforge.store.base import Benchmarks, Events

_OVER = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED)
_CANCELLED = "cancelled over the API"
_LIMIT = Parameter(
    name="limit",
    place="query",
    schema={"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100},
    text="how many benchmarks' runs, the newest",
)


class RunBody(BenchmarkBody):
    """A benchmark, and whether what is deployed for it stays (`keep`)."""

    keep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRoutes:
    """The handlers. `check` raises InvalidInput for a benchmark whose runtimes are not known here."""

    benchmarks: Benchmarks
    events: Events
    new_id: Callable[[], str]
    formats: Formats
    check: Callable[[Benchmark], None]
    files: RunFiles

    def operations(self) -> tuple[Operation, ...]:
        """What is offered."""
        one = "/runs/{id}"
        return (
            Operation(
                method="POST", path="/benchmarks/run", summary="Queue a benchmark", handle=self.run, needs="bench",
                body=RunBody, answers={202: BENCHMARK}, problems=(400, 413, 422), parameters=(IDEMPOTENCY,),
            ),
            Operation(
                method="GET", path="/benchmarks/{id}", summary="One benchmark", handle=self.benchmark, needs="bench",
                answers={200: BENCHMARK}, problems=(404,),
            ),
            Operation(
                method="GET", path="/benchmarks", summary="All benchmarks, the newest first", handle=self.benchmarks_,
                needs="bench", answers={200: BENCHMARKS}, problems=(400,), parameters=(_LIMIT,),
            ),
            Operation(
                method="POST", path="/benchmarks/{id}/cancel", summary="Cancel a benchmark with all its runs",
                handle=self.cancel_all, needs="bench", answers={202: BENCHMARK}, problems=(404, 409),
            ),
            Operation(
                method="GET", path="/runs", summary="All runs, the newest first", handle=self.list, needs="bench",
                answers={200: RUNS}, problems=(400,), parameters=(_LIMIT,),
            ),
            Operation(
                method="GET", path=one, summary="One run", handle=self.get, needs="bench", answers={200: RUN},
                problems=(404,),
            ),
            Operation(
                method="GET", path=f"{one}/events", summary="What happens to a run", handle=self.follow,
                needs="bench", answers={200: "text/event-stream"}, problems=(400, 404), parameters=events.PARAMETERS,
            ),
            Operation(
                method="GET", path=f"{one}/report", summary="Its report", handle=self.report, needs="bench",
                answers={200: "text/html", 307: "*/*"}, problems=(404,),
            ),
            Operation(
                method="GET", path=f"{one}/artifacts", summary="Its files", handle=self.artifacts, needs="bench",
                answers={200: ARTIFACTS}, problems=(404,),
            ),
            Operation(
                method="GET", path=f"{one}/artifacts/{{name}}", summary="One of its files", handle=self.artifact,
                needs="bench", answers={200: "*/*", 307: "*/*"}, problems=(404,),
            ),
            Operation(
                method="POST", path=f"{one}/cancel", summary="Cancel one run; the others go on", handle=self.cancel,
                needs="bench", answers={202: RUN}, problems=(404, 409),
            ),
        )  # fmt: skip

    async def run(self, request: Request) -> Response:
        """202 with the benchmark and its runs."""
        body = await body_bytes(request)
        data = dict(read_whole_text(body))
        benchmark = self._read(data)
        runs = tuple(
            QueuedRun(id=self.new_id(), model=str(model), runtime=str(runtime), workload=workload.name)
            for model in benchmark.models
            for workload in benchmark.workloads
            for runtime in benchmark.runtimes
        )
        queued = QueuedBenchmark(id=self.new_id(), body=data, runs=runs, created_at="")
        kept = await self.benchmarks.enqueue(queued, idempotency=idempotency_key(request, body))
        return json_answer(_benchmark(kept), status=202, headers={"location": f"/benchmarks/{kept.id}"})

    async def benchmarks_(self, request: Request) -> Response:
        """The newest of them."""
        limit = whole_number(request, "limit", default=100, low=1, high=1_000)
        return json_answer({"benchmarks": [_benchmark(one) for one in await self.benchmarks.list(limit=limit)]})

    async def benchmark(self, request: Request) -> Response:
        """One of them."""
        return json_answer(_benchmark(await self.benchmarks.get(str(request.path_params["id"]))))

    async def list(self, request: Request) -> Response:
        """Runs of the newest benchmarks."""
        limit = whole_number(request, "limit", default=100, low=1, high=1_000)
        listed = await self.benchmarks.list(limit=limit)
        return json_answer({"runs": [_run(benchmark, run) for benchmark in listed for run in benchmark.runs]})

    async def get(self, request: Request) -> Response:
        """One run."""
        return json_answer(_run(*await self._find(request)))

    async def follow(self, request: Request) -> Response:
        """Events of its benchmark until that is over."""
        benchmark, _ = await self._find(request)

        async def is_over() -> bool:
            return (await self.benchmarks.get(benchmark.id)).status in _OVER

        return events.events_answer(request, self.events, benchmark.id, is_over=is_over)

    async def report(self, request: Request) -> Response:
        """The page, once it is written."""
        return await self._file(request, "report.html")

    async def artifacts(self, request: Request) -> Response:
        """What was written so far."""
        return await self.files.list(*await self._find(request))

    async def artifact(self, request: Request) -> Response:
        """One file."""
        return await self._file(request, str(request.path_params["name"]))

    async def cancel(self, request: Request) -> Response:
        """That run alone is not measured any more; the others of its benchmark go on."""
        benchmark, run = await self._find(request)
        made = await self._cancel(benchmark, (run,))
        return json_answer(_run(made, next(one for one in made.runs if one.id == run.id)), status=202)

    async def cancel_all(self, request: Request) -> Response:
        """What has not ended is cancelled; what has stays as it is."""
        benchmark = await self.benchmarks.get(str(request.path_params["id"]))
        return json_answer(_benchmark(await self._cancel(benchmark, benchmark.runs)), status=202)

    async def _cancel(self, benchmark: QueuedBenchmark, runs: tuple[QueuedRun, ...]) -> QueuedBenchmark:
        """Cancel these; what is cancelled already is no error. Raises AlreadyOver where nothing was left to cancel."""
        ids = {run.id for run in runs}
        made = await self.benchmarks.step(benchmark.id, to=RunStatus.CANCELLED, lease=None, cause=_CANCELLED, runs=ids)
        before = {run.id for run in benchmark.runs if run.status is RunStatus.CANCELLED}
        now = [run for run in made.runs if run.id in ids and run.status is RunStatus.CANCELLED]
        if not now:
            said = f"run {runs[0].id} is over" if len(runs) == 1 else f"all runs of benchmark {benchmark.id} are over"
            raise AlreadyOver(f"{said}: {benchmark_status([run.status for run in made.runs if run.id in ids])}")
        for run in now:
            if run.id not in before:
                text = f"{run.workload} on {run.runtime} ({run.id}): {_CANCELLED}"
                await self.events.append(benchmark.id, reason="Cancelled", message=text)
        return made

    def _read(self, data: dict[str, object]) -> Benchmark:
        """The benchmark, with the faults of `keep` and of its runtimes among the others."""
        faults: list[Fault] = []
        keep = data.get("keep")
        if keep is not None and not isinstance(keep, bool):
            faults.append(Fault(field="keep", value=str(keep), message="is not a boolean", hint="write true or false"))
        rest = {name: value for name, value in data.items() if name != "keep"}
        try:
            benchmark = parse_benchmark(rest, source="request body", formats=self.formats)
            self.check(benchmark)
        except InvalidInput as error:
            faults.extend(error.faults)
        if faults:
            raise InvalidInput(faults, source="request body")
        return benchmark

    async def _find(self, request: Request) -> tuple[QueuedBenchmark, QueuedRun]:
        return await self.benchmarks.find_run(str(request.path_params["id"]))

    async def _file(self, request: Request, name: str) -> Response:
        benchmark, run = await self._find(request)
        return await self.files.answer(request, benchmark, run, name)


def _benchmark(benchmark: QueuedBenchmark) -> dict[str, object]:
    return {
        "id": benchmark.id,
        "status": str(benchmark.status),
        "created_at": benchmark.created_at,
        "headline": benchmark.facts.get("headline", ""),
        "runs": [_run(benchmark, run) for run in benchmark.runs],
    }


def _run(benchmark: QueuedBenchmark, run: QueuedRun) -> dict[str, object]:
    return {
        "id": run.id,
        "benchmark": benchmark.id,
        "status": str(run.status),
        "model": run.model,
        "runtime": run.runtime,
        "workload": run.workload,
        "cause": run.cause,
        "created_at": benchmark.created_at,
    }
