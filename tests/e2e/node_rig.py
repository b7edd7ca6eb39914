"""The platform on a cluster with a real node, put there and taken away by `make deploy-k8s` and `make undeploy-k8s`."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_rig import Up
from ruamel.yaml import YAML

from servers.node import SOCKET
from tokenforge import __version__

ROOT = Path(__file__).parents[2]
NAMESPACE = "tokenforge"
WORKER = "app.kubernetes.io/component=worker"
MADE = (
    "deployments,replicasets,pods,services,endpoints,poddisruptionbudgets,networkpolicies,configmaps,roles,rolebindings"
)
"""Kinds that the platform makes, or that the cluster makes of them."""

PACE = {"drain_s": 20, "leave_s": 5, "start_s": 120}
HASTY = {"drain_s": 0, "leave_s": 0, "start_s": 120}
_LIMIT_S = 400


@dataclass(slots=True)
class OnCluster:
    """What a test has in hand: kubectl, make, and once it is deployed the platform's address and an admin's key."""

    kubeconfig: Path
    folder: Path
    database_url: str = field(repr=False)
    up: Up | None = None

    def overlay(self, pace: Mapping[str, float]) -> Path:
        """A kustomization for this node: little CPU, the image of sim, which is core, a site of that pace."""
        folder = self.folder / "overlay"
        folder.mkdir(exist_ok=True)
        (folder / "site.yaml").write_text(json.dumps({"namespace": NAMESPACE, "pace": pace}))
        small = [{"op": "replace", "path": "/spec/template/spec/containers/0/resources/requests/cpu", "value": "50m"}]
        value = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [_from(folder, ROOT / "deploy/kubernetes/base")],
            "components": [_from(folder, ROOT / "deploy/kubernetes/before-1.21")],
            "images": [
                {"name": "tokenforge-core", "newName": "tokenforge-sim", "newTag": f"{__version__}-cpu"}
            ],  # the same
            "patches": [{"target": {"kind": "Deployment"}, "patch": json.dumps(small)}],
            "configMapGenerator": [
                {"name": "tokenforge-site", "namespace": NAMESPACE, "behavior": "replace", "files": ["site.yaml"]}
            ],
        }
        with (folder / "kustomization.yaml").open("w") as file:
            YAML(typ="safe", pure=True).dump(value, file)
        return folder

    def make(self, target: str, arguments: str = "") -> "subprocess.CompletedProcess[str]":
        """`make TARGET ARGS=...` as an operator calls it."""
        return self._run(["make", "--no-print-directory", target, f"ARGS={arguments}"])

    def kubectl(self, *words: str) -> str:
        """What it prints. Raises AssertionError with its complaint."""
        done = self._run(["kubectl", "--namespace", NAMESPACE, *words])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def complaint(self, *words: str) -> str:
        """What kubectl says on its error output."""
        return self._run(["kubectl", "--namespace", NAMESPACE, *words]).stderr

    def items(self, kinds: str, selector: str = "") -> list[dict[str, Any]]:
        """Objects of those kinds, all or those that a selector names."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-o", "json", "-l", selector))["items"]
        return found

    def workers(self) -> list[str]:
        """Names of pods of workers, the ending ones too."""
        return [pod["metadata"]["name"] for pod in self.items("pods", WORKER)]

    def containers(self) -> set[str]:
        """What containerd has running, whatever the API server says."""
        listed = self._run(["ctr", "-a", str(SOCKET), "-n", "k8s.io", "tasks", "list", "-q"])
        assert listed.returncode == 0, listed.stderr
        return set(listed.stdout.split())

    def deploy(self, pace: Mapping[str, float]) -> str:
        """`make deploy-k8s`; what it printed. The first time it makes `up`: the Service's own address, and the key."""
        done = self.make("deploy-k8s", str(self.overlay(pace)))
        assert done.returncode == 0, done.stdout + done.stderr + self.story()
        if self.up is None:
            (service,) = [item for item in self.items("services") if item["metadata"]["name"] == "tokenforge-gateway"]
            url = f"http://{service['spec']['clusterIP']}"
            self.up = self._as_user(url, key_of(done.stdout))
        return done.stdout

    def story(self) -> str:
        """What the cluster says of its pods, for a failure's message."""
        words = ("get", "events", "--sort-by=.lastTimestamp", "-o", "custom-columns=A:.involvedObject.name,B:.message")
        pods = self._run(["kubectl", "--namespace", NAMESPACE, "get", "pods", "-o", "wide"]).stdout
        return pods + "\n".join(self._run(["kubectl", "--namespace", NAMESPACE, *words]).stdout.splitlines()[-15:])

    def _as_user(self, url: str, key: str) -> Up:
        home = self.folder / "home"
        home.mkdir()
        env = {**os.environ, "TOKENFORGE_HOME": str(home), "TOKENFORGE_SERVER": url, "TOKENFORGE_API_KEY": key}
        idle = subprocess.Popen(["true"])
        idle.wait()
        return Up(idle, url, env, {"authorization": f"Bearer {key}"})

    def _run(self, command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, "KUBECONFIG": str(self.kubeconfig)}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=_LIMIT_S, check=False)


def key_of(printed: str) -> str:
    """The key in what `keys create` printed."""
    found = re.search(r"^tf-[0-9a-f]+-\S+$", printed, re.MULTILINE)
    assert found is not None, "no key was printed"
    return found[0]


def _from(folder: Path, target: Path) -> str:
    """A kustomization names others by relative paths."""
    return os.path.relpath(target, folder)
