"""What a worker process is told: one Runtime serving one Model at one address."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tokenforge.domain.model import ModelRef
from tokenforge.domain.observing import Observing
from tokenforge.domain.runtime import Accelerator, Quant, RuntimeRef


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSpec:
    """How an engine is to be built.

    `model_path` is a folder in the hub's layout (or a hub id the engine resolves itself); `served_name` is what clients
    call it. `max_model_len` None means the model's own window. `engine_args` go to the engine unchanged; a name the
    engine does not know is an error that names it.
    """

    runtime: str
    model_path: str
    served_name: str
    accelerator: Accelerator = Accelerator.CPU
    max_model_len: int | None = None
    quant: Quant | None = None
    tensor_parallel: int = 1
    engine_args: Mapping[str, object] = field(default_factory=dict)
    group: "Group | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One engine on several machines: how many, which of them this is (0 leads and serves), where the leader is.

    `pipeline_parallel` is how many parts the layers are dealt to.
    """

    nodes: int
    rank: int
    leader: str
    pipeline_parallel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """One worker: an engine behind HTTP on `host:port`. Written as JSON and read by the worker process.

    Port 0 takes a free one and the worker says which. `max_waiting` bounds requests beyond those the engine runs at
    once: one more is answered 429. `drain_s` is how long streams may go on after a stop was asked for.
    """

    name: str
    runtime: RuntimeSpec
    host: str = "127.0.0.1"
    port: int = 0
    max_waiting: int = 1024
    drain_s: float = 5.0
    observing: Observing = field(default_factory=Observing)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSpec:
    """One worker where nobody has prepared anything: the model by its name, to be found or fetched on the spot.

    It is an argument in a pod's spec, so it holds no secret. `max_waiting` and `drain_s` are those of WorkerSpec; it
    listens on every address, since a pod's own is known only once it runs. With `nodes` above 1 a group of so many pods
    is one engine; which of them a pod is, and where the first is, its environment says.
    """

    model: ModelRef
    runtime: RuntimeRef
    port: int
    host: str = "0.0.0.0"
    accelerator: Accelerator = Accelerator.CPU
    max_model_len: int | None = None
    quant: Quant | None = None
    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    nodes: int = 1
    engine_args: Mapping[str, object] = field(default_factory=dict)
    max_waiting: int = 1024
    drain_s: float = 30.0
