"""The clients, in the order of the table."""

from harness.clients.aiperf import Aiperf
from harness.clients.base import Client
from harness.clients.guidellm import Guidellm
from harness.clients.inference_perf import InferencePerf
from harness.clients.ours import Ours
from harness.clients.ours_command import OursCommand
from harness.clients.raw import RawC, RawPython
from harness.clients.vllm_bench import VllmBench

ALL: tuple[Client, ...] = (
    RawC(), RawPython(), Ours(), OursCommand(), InferencePerf(), VllmBench(), Aiperf(), Guidellm(),
)  # fmt: skip
