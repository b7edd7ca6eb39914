"""Alerts on machines: pages that do not answer, full caches, GPUs held down, generators that are late."""

from tokenforge.telemetry.boards.alert_model import Alert, Example, Severity
from tokenforge.telemetry.boards.model import Needs
from tokenforge.telemetry.boards.promql import quantile, rate, select
from tokenforge.telemetry.catalogue import accelerator, benchmark, engine

_REPLICA = {"deployment": "tiny", "replica": "tiny-1"}
_SERIES = 'deployment="tiny",replica="tiny-1"'
_CARD = {"deployment": "tiny", "device": "0"}
_BAD = 'reason=~"hw_slowdown|hw_thermal|hw_power_brake|sw_thermal"'
_LAG = "tokenforge_benchmark_send_lag_seconds_bucket"
_RUN = 'runtime="sim",workload="chat"'

MACHINE_ALERTS = (
    Alert(
        name="TokenForgePageDown",
        expr='up{process!=""}',
        test="== 0",
        lasts="2m",
        severity=Severity.TICKET,
        summary="The {{ $labels.process }} at {{ $labels.instance }} does not answer Prometheus",
        means="The process hangs, is gone, or cannot be reached from Prometheus. Its other alerts are blind meanwhile.",
        look=("`curl http://INSTANCE/metrics`.", "Fleet, *Pages that answer*."),
        act=(
            "A worker that hangs is replaced by control once its health check fails.",
            "`/metrics/targets` of the gateway says which pages there should be.",
        ),
        fires=Example(
            series={'up{process="worker",instance="w:1"}': "0x10"}, labels={"process": "worker", "instance": "w:1"}
        ),
        calm={'up{process="worker",instance="w:1"}': "1x10"},
    ),
    Alert(
        name="TokenForgeCacheFull",
        expr=select(engine.KV_USAGE),
        test="> 0.95",
        lasts="10m",
        severity=Severity.TICKET,
        summary="The KV cache of {{ $labels.replica }} is full",
        means="New requests wait for memory, and running ones may be put out and computed again.",
        look=("Runtime, *In use* and *Preemptions a second*.", "Serving, *Lengths*."),
        act=("More replicas.", "More memory for the cache in `engine_args`, or a smaller `max_model_len`."),
        fires=Example(series={f"tokenforge_kv_cache_usage_ratio{{{_SERIES}}}": "0.99x20"}, labels=_REPLICA),
        calm={f"tokenforge_kv_cache_usage_ratio{{{_SERIES}}}": "0.8x20"},
    ),
    Alert(
        name="TokenForgePreempts",
        expr=rate(engine.PREEMPTIONS, by=("deployment",), window="10m"),
        test="> 0.1",
        lasts="10m",
        severity=Severity.TICKET,
        summary="{{ $labels.deployment }} computes requests twice",
        means="The cache is too small for the batch: sequences are put out and begun again, which costs throughput.",
        look=("Runtime, row *KV cache*.",),
        act=("Fewer sequences at once (`max_num_seqs`), more memory for the cache, or more replicas.",),
        fires=Example(
            series={'tokenforge_preemptions_total{deployment="tiny"}': "0+60x40"}, labels={"deployment": "tiny"}
        ),
        calm={'tokenforge_preemptions_total{deployment="tiny"}': "0+1x40"},
    ),
    Alert(
        name="TokenForgeGpuHeldDown",
        expr=f"max by (deployment, device, reason) ({select(accelerator.THROTTLED, _BAD)})",
        test="== 1",
        lasts="5m",
        severity=Severity.TICKET,
        summary="GPU {{ $labels.device }} of {{ $labels.deployment }} is held down: {{ $labels.reason }}",
        means="The card runs below its clocks because of heat or its power supply; what is measured now is too slow.",
        look=("GPU, *Below its clocks*, *Temperature*, *Power*.",),
        act=("Cooling, power supply, neighbours in the machine.", "Measure again: runs of this time are suspect."),
        fires=Example(
            series={'tokenforge_accelerator_throttled{deployment="tiny",device="0",reason="hw_thermal"}': "1x10"},
            labels={**_CARD, "reason": "hw_thermal"},
        ),
        calm={'tokenforge_accelerator_throttled{deployment="tiny",device="0",reason="sw_power_cap"}': "1x10"},
        needs=Needs.GPU,
    ),
    Alert(
        name="TokenForgeGpuHot",
        expr=f"max by (deployment, device) ({select(accelerator.TEMPERATURE)})",
        test="> 87",
        lasts="5m",
        severity=Severity.TICKET,
        summary="GPU {{ $labels.device }} of {{ $labels.deployment }} is hot",
        means="The card is near the temperature at which it slows down by itself.",
        look=("GPU, *Temperature* and *Below its clocks*.",),
        act=("Cooling; neighbours in the machine.",),
        fires=Example(
            series={'tokenforge_accelerator_temperature_celsius{deployment="tiny",device="0"}': "91x10"}, labels=_CARD
        ),
        calm={'tokenforge_accelerator_temperature_celsius{deployment="tiny",device="0"}': "70x10"},
        needs=Needs.GPU,
    ),
    Alert(
        name="TokenForgeGeneratorLate",
        expr=quantile(0.99, benchmark.LAG, by=("runtime", "workload"), window="2m"),
        test="> 0.02",
        lasts="30s",
        severity=Severity.TICKET,
        summary="The load generator sends {{ $labels.workload }} to {{ $labels.runtime }} late",
        means="Requests leave over 20 ms after they are due: the generator measures itself.",
        look=("Benchmark, *Send lag* and *Offered and achieved rate*.", "The run's verdict: `generator_late`."),
        act=("More generator processes, a quieter machine, or a lower rate.",),
        fires=Example(
            series={
                f'{_LAG}{{{_RUN},le="0.02"}}': "0+10x10",
                f'{_LAG}{{{_RUN},le="0.1"}}': "0+100x10",
                f'{_LAG}{{{_RUN},le="+Inf"}}': "0+100x10",
            },
            labels={"runtime": "sim", "workload": "chat"},
        ),
        calm={f'{_LAG}{{{_RUN},le="0.001"}}': "0+100x10", f'{_LAG}{{{_RUN},le="+Inf"}}': "0+100x10"},
    ),
)
