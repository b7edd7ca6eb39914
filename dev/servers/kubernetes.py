"""A real Kubernetes control plane of this machine, without nodes: etcd, API server, controllers, scheduler.

    python -m servers.kubernetes COMMAND...

runs COMMAND with KUBECONFIG set; `{kubeconfig}` in it is that file, `{restart}` a shell command that kills the API
server and starts it again. `build-kubernetes` makes the programs from Debian's source package once. State and keys
are in a folder that is thrown away; authorization is RBAC, and the user of the kubeconfig may do all.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from servers.ports import LOCALHOST, free_port, is_listening, until

BUILD = Path(__file__).parent / "build-kubernetes"
START_LIMIT_S = 120.0
TOKEN = "not-a-secret"  # of a server that listens on loopback and is thrown away

_CONTROLLERS = (
    "deployment,replicaset,garbagecollector,namespace,serviceaccount,serviceaccount-token,resourcequota,disruption,"
    "nodelifecycle,root-ca-cert-publisher,podgc"
)


@dataclass(slots=True)
class ControlPlane:
    """`programs`: where they are. `folder`: state, logs, kubeconfig. `address`: where nodes and pods reach the API."""

    programs: Path
    folder: Path
    address: str = LOCALHOST
    controllers: str = _CONTROLLERS
    etcd_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    _running: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        """How to reach it."""
        return self.folder / "kubeconfig"

    def start(self) -> None:
        """Start all, and wait until pods can be made."""
        self._write_files()
        peer = free_port()
        self._run(
            "etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync",
            f"--listen-client-urls=http://{LOCALHOST}:{self.etcd_port}",
            f"--advertise-client-urls=http://{LOCALHOST}:{self.etcd_port}",
            f"--listen-peer-urls=http://{LOCALHOST}:{peer}",
            f"--initial-advertise-peer-urls=http://{LOCALHOST}:{peer}", f"--initial-cluster=default=http://{LOCALHOST}:{peer}",
        )  # fmt: skip
        until(lambda: is_listening(self.etcd_port), limit_s=START_LIMIT_S, what="etcd")
        self.start_api()
        common = (f"--kubeconfig={self.kubeconfig}", "--leader-elect=false", "--port=0")
        key = self.folder / "service-account.key"
        self._run(
            "kube-controller-manager", *common, f"--secure-port={free_port()}", f"--controllers={self.controllers}",
            f"--service-account-private-key-file={key}", f"--cert-dir={self.folder / 'controllers'}",
            f"--root-ca-file={self.folder / 'api' / 'apiserver.crt'}",
            "--concurrent-deployment-syncs=10", "--kube-api-qps=200", "--kube-api-burst=400",
        )  # fmt: skip
        self._run(
            "kube-scheduler", *common, f"--secure-port={free_port()}", f"--cert-dir={self.folder / 'scheduler'}",
        )  # fmt: skip
        until(self._has_default_account, limit_s=START_LIMIT_S, what="the controllers")

    def start_api(self) -> None:
        """Start the API server alone, at the port it always has."""
        key = self.folder / "service-account.key"
        self._run(
            "kube-apiserver", f"--etcd-servers=http://{LOCALHOST}:{self.etcd_port}", f"--secure-port={self.api_port}",
            f"--bind-address={LOCALHOST if self.address == LOCALHOST else '0.0.0.0'}",
            *(() if self.address == LOCALHOST else (f"--advertise-address={self.address}",)),
            "--insecure-port=0", f"--cert-dir={self.folder / 'api'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=RBAC",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.0.0.0/16",
            "--etcd-compaction-interval=10s", "--max-requests-inflight=1000",
            "--kubelet-preferred-address-types=InternalIP",
        )  # fmt: skip
        until(self._is_well, limit_s=START_LIMIT_S, what="the API server")

    def stop_api(self, *, is_forced: bool = False) -> None:
        """End the API server alone."""
        self._end("kube-apiserver", is_forced=is_forced)

    def stop(self) -> None:
        """End all."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            self._end(name, is_forced=True)

    def ask(self, path: str) -> dict[str, object] | None:
        """GET with curl's patience of a second; None where it does not answer 200."""
        import ssl
        import urllib.request

        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        request = urllib.request.Request(
            f"https://{LOCALHOST}:{self.api_port}{path}", headers={"authorization": f"Bearer {TOKEN}"}
        )
        with contextlib.suppress(OSError, ValueError):
            with urllib.request.urlopen(request, timeout=5, context=context) as answer:
                text = answer.read()
            return json.loads(text) if text.startswith(b"{") else {"text": text.decode()}
        return None

    def _is_well(self) -> bool:
        program = self._running["kube-apiserver"]
        if program.poll() is not None:
            raise RuntimeError(f"the API server ended: see {self.folder / 'kube-apiserver.log'}")
        return self.ask("/readyz") is not None

    def _has_default_account(self) -> bool:
        return self.ask("/api/v1/namespaces/default/serviceaccounts/default") is not None

    def _write_files(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        key = self.folder / "service-account.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        cluster = {"server": f"https://{LOCALHOST}:{self.api_port}", "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
        }  # fmt: skip
        self.kubeconfig.write_text(json.dumps(config))

    def _run(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(self.programs / name), *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip

    def _end(self, name: str, *, is_forced: bool) -> None:
        program = self._running.pop(name, None)
        if program is None:
            return
        program.kill() if is_forced else program.terminate()
        try:
            program.wait(15)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


@contextlib.contextmanager
def control_plane() -> Iterator[ControlPlane]:
    """One that is up; its programs are built when they are not there (minutes)."""
    built = subprocess.run([str(BUILD)], check=True, stdout=subprocess.PIPE, text=True)
    with tempfile.TemporaryDirectory(prefix="tokenforge-kubernetes-") as folder:
        plane = ControlPlane(Path(built.stdout.splitlines()[-1]), Path(folder))
        try:
            plane.start()
            yield plane
        finally:
            plane.stop()


def main(arguments: list[str]) -> int:
    """Run a command against one."""
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    with control_plane() as plane, contextlib.ExitStack() as stack:
        print(f"a control plane is up after {time.monotonic() - begun:.1f} s", file=sys.stderr)
        told = plane.folder / "restarts"
        told.write_text("0")
        restart = f"n=$(cat {told}); kill -USR1 {os.getpid()}; while [ $(cat {told}) = $n ]; do sleep 0.05; done"
        words = {"{kubeconfig}": str(plane.kubeconfig), "{restart}": restart}
        asked: list[int] = []
        signal.signal(signal.SIGUSR1, lambda number, _: asked.append(number))
        running = subprocess.Popen(
            [words.get(argument, argument) for argument in arguments],
            env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)},
        )
        done = 0
        stack.callback(running.terminate)
        while running.poll() is None:
            time.sleep(0.02)
            if asked:
                asked.clear()
                plane.stop_api(is_forced=True)
                plane.start_api()
                done += 1
                told.write_text(str(done))
        return running.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
