"""A real Kubernetes of one node here: the control plane of `kubernetes`, containerd, runc, kubelet, kube-proxy.

    python -m servers.node [--image FILE.tar]... -- COMMAND...

runs COMMAND on the node with KUBECONFIG set; `{kubeconfig}` in it is that file, `{address}` the node's address, which
pods reach too. Needs root on Linux with cgroup v1 controllers (kubelet 1.20), no Docker, no registry and no network.

All of it lives in a network, mount and process namespace of its own: pods get addresses on a bridge that only they see,
rules of iptables are theirs alone, what agents write under /var and /run goes to a folder that is thrown away, and the
end of the first process is the end of every container. COMMAND runs inside: it reaches pods, services and loopback.
NetworkPolicy is not enforced: the bridge plugin does not know it.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servers import node_files
from servers.image_file import write_image
from servers.kubernetes import BUILD, ControlPlane
from servers.node_files import ADDRESS, NAME, PAUSE_IMAGE
from servers.ports import until

_HERE = Path(__file__).parent
SOCKET = Path("/run/containerd.sock")
"""Containerd's, in the node's own /run."""

_START_LIMIT_S = 120.0
_IMPORT_LIMIT_S = 300.0
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
}  # fmt: skip
"""What kubelet sets for the whole machine. It is shown files that say so already; the machine's own stay."""


@dataclass(slots=True)
class Node(ControlPlane):
    """A control plane with one node. `images`: files, loaded before any pod; `cgroup`: the parent of all pods'."""

    images: tuple[Path, ...] = ()
    cgroup: str = ""
    address: str = ADDRESS
    controllers: str = "*"

    def start(self) -> None:
        """Start all, and wait until the node takes pods."""
        self._make_place()
        ControlPlane.start(self)
        self._start_containers()
        self._run(
            "kubelet", f"--config={node_files.write_kubelet(self.folder, cgroup=self.cgroup)}",
            f"--kubeconfig={self.kubeconfig}", f"--root-dir={self.folder / 'kubelet'}", "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{SOCKET}", f"--hostname-override={NAME}",
            f"--node-ip={ADDRESS}", f"--volume-plugin-dir={self.folder / 'plugins'}",
            f"--cert-dir={self.folder / 'kubelet-keys'}", "--v=2",
        )  # fmt: skip
        self._run(
            "kube-proxy", f"--kubeconfig={self.kubeconfig}", "--proxy-mode=iptables", f"--hostname-override={NAME}",
            "--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s", "--healthz-bind-address=",
            "--metrics-bind-address=127.0.0.1:10249",
        )  # fmt: skip
        until(self._is_ready, limit_s=_START_LIMIT_S, what="the node")

    def _make_place(self) -> None:
        """The bridge, and folders of this node over those of the machine.

        A service's address is rewritten only after a route was found for it, so there is a route for everything.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        bridge = node_files.BRIDGE
        for words in (
            "link set lo up", f"link add {bridge} type bridge", f"address add {ADDRESS}/16 dev {bridge}",
            f"link set {bridge} up", f"route add default dev {bridge}",
        ):  # fmt: skip
            _do("ip", *words.split())
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        above, work = self.folder / "var", self.folder / "var-work"
        above.mkdir()
        work.mkdir()
        _do("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/var,upperdir={above},workdir={work}", "/var")
        _do("mount", "-t", "tmpfs", "tmpfs", "/run")
        for name, value in _KERNEL_SETTINGS.items():
            shown = self.folder / name.replace("/", "-")
            shown.write_text(value)
            _do("mount", "--bind", str(shown), f"/proc/sys/{name}")

    def _start_containers(self) -> None:
        config = node_files.write_containerd(self.folder, programs=self.programs)
        self._run("containerd", "--config", str(config), "--address", str(SOCKET))
        until(SOCKET.exists, limit_s=_START_LIMIT_S, what="containerd")
        pause = self.folder / "pause"
        _do("gcc", "-Os", "-static", "-s", "-o", str(pause), str(_HERE / "pause.c"))
        file = self.folder / "pause.tar"
        write_image(file, name=PAUSE_IMAGE, programs={"pause": pause.read_bytes()}, entrypoint=["/pause"], user="65535")
        for image in (file, *self.images):
            self._ctr("images", "import", str(image))

    def _ctr(self, *arguments: str) -> None:
        program = str(self.programs / "ctr")
        _do(program, "--address", str(SOCKET), "--namespace", "k8s.io", *arguments, limit_s=_IMPORT_LIMIT_S)

    def _is_ready(self) -> bool:
        for name in ("containerd", "kubelet", "kube-proxy"):
            if self._running[name].poll() is not None:
                raise RuntimeError(f"{name} ended: {_last_words(self.folder / f'{name}.log')}")
        node = self.ask(f"/api/v1/nodes/{NAME}")
        status = {} if node is None else node.get("status")
        found = status.get("conditions", []) if isinstance(status, dict) else []
        return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in found)


def _last_words(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").splitlines()[-3:])


def _do(*command: str, limit_s: float = 30.0) -> None:
    """Run it. Raises RuntimeError with what it said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-500:]}")


def inside(folder: Path, *, programs: Path, cgroup: str, images: Sequence[Path], command: Sequence[str]) -> int:
    """Run `command` on a node; this process is the first of its namespaces."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun_s = time.monotonic()
    os.environ["PATH"] = f"{programs}:{os.environ['PATH']}"
    node = Node(programs, folder, images=tuple(images), cgroup=cgroup)
    try:
        node.start()
        print(f"a node is up after {time.monotonic() - begun_s:.1f} s", file=sys.stderr)
        words = {"{kubeconfig}": str(node.kubeconfig), "{address}": ADDRESS}
        environment = {**os.environ, "KUBECONFIG": str(node.kubeconfig), "TOKENFORGE_NODE_ADDRESS": ADDRESS}
        status = subprocess.run([words.get(word, word) for word in command], env=environment, check=False).returncode
    except Exception:
        _keep_logs(folder)
        raise
    if status:
        _keep_logs(folder)
    return status


def _keep_logs(folder: Path) -> None:
    """Before the folder goes."""
    kept = Path(tempfile.mkdtemp(prefix="tokenforge-node-logs-"))
    for log in folder.glob("*.log"):
        shutil.copy(log, kept)
    if (pods := folder / "var" / "log" / "pods").is_dir():
        shutil.copytree(pods, kept / "pods", dirs_exist_ok=True)
    print(f"the logs of the node and its pods are in {kept}", file=sys.stderr)


def outside(images: Sequence[Path], command: Sequence[str]) -> int:
    """Make the namespaces and cgroups, run, and leave nothing."""
    if os.geteuid() != 0:
        print("a node needs root: namespaces with a network, mounts and cgroups of its own", file=sys.stderr)
        return 2
    built = subprocess.run([str(BUILD), "--node"], check=True, stdout=subprocess.PIPE, text=True)
    programs = Path(built.stdout.splitlines()[-1])
    cgroup = f"/tokenforge-node-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="tokenforge-node-", ignore_cleanup_errors=True))
        stack.callback(node_files.remove_cgroups, cgroup)
        node_files.make_cgroups(cgroup)
        given = [word for image in images for word in ("--image", str(image))]
        running = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc",
             sys.executable, "-m", "servers.node", "--inside", folder, "--programs", str(programs), "--cgroup", cgroup,
             *given, "--", *command],
        )  # fmt: skip
        stack.callback(running.wait)
        stack.callback(running.kill)  # and with it all that runs in its namespaces
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return running.wait()


def main(arguments: Sequence[str]) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="servers.node")
    parser.add_argument("--image", type=Path, action="append", default=[], help="an image as a tar; may be repeated")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--programs", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cgroup", help=argparse.SUPPRESS)
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    if given.inside is None:
        return outside(given.image, given.command)
    return inside(given.inside, programs=given.programs, cgroup=given.cgroup, images=given.image, command=given.command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
