"""Metrics of GPUs, as NVML tells them. Where there is no GPU none of these exists."""

from tokenforge.telemetry.catalogue.definition import Kind, Label, Metric, Process

_WORKER = (Process.WORKER,)
DEVICE = Label(name="device", text="the GPU's place on this machine", most=16)
THROTTLE_REASONS = (
    "idle", "clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal", "hw_thermal",
    "hw_power_brake", "display_clocks",
)  # fmt: skip
"""Why a GPU runs below its clocks, in the order of NVML's bits."""

MEMORY = Metric(
    name="accelerator_memory_bytes",
    text="Memory of the GPU.",
    kind=Kind.GAUGE,
    unit="bytes",
    processes=_WORKER,
    labels=(DEVICE, Label(name="kind", text="`used` or `total`", values=("used", "total"))),
)
UTILIZATION = Metric(
    name="accelerator_utilization_ratio",
    text="Share of the last moments in which something ran on the GPU, 0 to 1.",
    kind=Kind.GAUGE,
    unit="ratio",
    processes=_WORKER,
    labels=(DEVICE,),
)
POWER = Metric(
    name="accelerator_power_watts",
    text="Power that the GPU draws.",
    kind=Kind.GAUGE,
    unit="watts",
    processes=_WORKER,
    labels=(DEVICE,),
)
ENERGY = Metric(
    name="accelerator_energy_joules_total",
    text="Energy that the GPU drew since its driver was loaded.",
    kind=Kind.COUNTER,
    unit="joules",
    processes=_WORKER,
    labels=(DEVICE,),
)
TEMPERATURE = Metric(
    name="accelerator_temperature_celsius",
    text="Temperature of the GPU.",
    kind=Kind.GAUGE,
    unit="celsius",
    processes=_WORKER,
    labels=(DEVICE,),
)
CLOCK = Metric(
    name="accelerator_clock_hertz",
    text="Clock of the GPU.",
    kind=Kind.GAUGE,
    unit="hertz",
    processes=_WORKER,
    labels=(DEVICE, Label(name="kind", text="`sm` (arithmetic) or `memory`", values=("sm", "memory"))),
)
THROTTLED = Metric(
    name="accelerator_throttled",
    text="1 where the GPU runs below its clocks for this reason now.",
    kind=Kind.GAUGE,
    processes=_WORKER,
    labels=(DEVICE, Label(name="reason", text="NVML's clock event reasons", values=THROTTLE_REASONS)),
)

ACCELERATOR = (MEMORY, UTILIZATION, POWER, ENERGY, TEMPERATURE, CLOCK, THROTTLED)
