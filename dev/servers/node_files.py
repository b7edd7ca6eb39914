"""What the agents of a node read, and the cgroups that they work in."""

import contextlib
import json
import time
from pathlib import Path

NAME = "node"
ADDRESS = "10.88.0.1"
BRIDGE = "node0"
PAUSE_IMAGE = "localhost/pause:1"
CGROUPS = Path("/sys/fs/cgroup")

_SUBNET = "10.88.0.0/16"
_REMOVE_LIMIT_S = 10.0


def write_containerd(folder: Path, *, programs: Path) -> Path:
    """Containerd's settings: state and images in `folder`, the network a bridge, runc with cgroupfs."""
    network = {
        "cniVersion": "0.4.0", "name": "pods",
        "plugins": [{
            "type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True, "ipMasq": False,
            "ipam": {
                "type": "host-local", "dataDir": str(folder / "addresses"), "routes": [{"dst": "0.0.0.0/0"}],
                "ranges": [[{"subnet": _SUBNET, "gateway": ADDRESS, "rangeStart": "10.88.1.1"}]],
            },
        }],
    }  # fmt: skip
    networks = folder / "cni"
    networks.mkdir()
    (networks / "10-pods.conflist").write_text(json.dumps(network))
    file = folder / "containerd.toml"
    # An OOM score is lowered only by who has CAP_SYS_RESOURCE, which root in a sandbox may lack.
    file.write_text(f"""
version = 2
root = "{folder}/containerd"
state = "/run/containerd"
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{programs.parent}/node/usr/lib/cni"
    conf_dir = "{networks}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = "{programs}/runc"
""")
    return file


def write_kubelet(folder: Path, *, cgroup: str) -> Path:
    """Kubelet's settings. No image is ever thrown away: none could be pulled again."""
    resolver = folder / "resolv.conf"
    resolver.write_text("")
    settings = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "address": ADDRESS, "healthzPort": 10248, "readOnlyPort": 0,
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs", "cgroupRoot": cgroup, "cgroupsPerQOS": True, "enforceNodeAllocatable": [],
        "failSwapOn": False, "oomScoreAdj": 0, "resolvConf": str(resolver), "serializeImagePulls": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99, "imageMinimumGCAge": "24h",
    }  # fmt: skip
    file = folder / "kubelet.yaml"
    file.write_text(json.dumps(settings))
    return file


def make_cgroups(name: str) -> None:
    """The parent of all pods' cgroups, in each controller. Raises RuntimeError where there is no cgroup v1."""
    if not (CGROUPS / "memory").is_dir() or not (CGROUPS / "systemd").is_dir():
        raise RuntimeError(f"{CGROUPS} has no cgroup v1 controllers: kubelet 1.20 with cgroupfs needs them")
    for controller in CGROUPS.iterdir():
        made = Path(f"{controller}{name}")
        made.mkdir(exist_ok=True)
        for kind in ("cpus", "mems"):
            if (made / f"cpuset.{kind}").is_file():
                (made / f"cpuset.{kind}").write_text((controller / f"cpuset.{kind}").read_text())


def remove_cgroups(name: str) -> None:
    """The same, and whatever is below. Processes that are just ending are waited for."""
    end_s = time.monotonic() + _REMOVE_LIMIT_S
    for controller in CGROUPS.iterdir():
        top = Path(f"{controller}{name}")
        while top.is_dir():
            for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            with contextlib.suppress(OSError):
                top.rmdir()
            if time.monotonic() > end_s:
                return
            time.sleep(0.05 if top.is_dir() else 0)
