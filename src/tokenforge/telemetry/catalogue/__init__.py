"""The catalogue: every metric there is, in the order of the reference page."""

from tokenforge.telemetry.catalogue.accelerator import ACCELERATOR
from tokenforge.telemetry.catalogue.benchmark import BENCHMARK
from tokenforge.telemetry.catalogue.definition import Metric
from tokenforge.telemetry.catalogue.engine import ENGINE
from tokenforge.telemetry.catalogue.platform import CONTROL, GATEWAY
from tokenforge.telemetry.catalogue.serving import SERVING

SECTIONS: tuple[tuple[str, tuple[Metric, ...]], ...] = (
    ("Requests in a worker", SERVING),
    ("Engine and worker", ENGINE),
    ("GPU", ACCELERATOR),
    ("Gateway", GATEWAY),
    ("Control", CONTROL),
    ("Load generator", BENCHMARK),
)
METRICS: tuple[Metric, ...] = tuple(metric for _, section in SECTIONS for metric in section)
