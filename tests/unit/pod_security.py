"""The Pod Security Standard `restricted`, read from its published table: what of a pod template breaks it.

Written without a look at the code that makes pods, and used by tests alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_PROFILES = {"RuntimeDefault", "Localhost"}


def violations(template: Mapping[str, Any]) -> list[str]:
    """Each as one sentence; an empty list is a pod that `restricted` admits."""
    spec = template["spec"]
    return [*_of_pod(spec), *(text for container in _containers(spec) for text in _of_container(container, spec))]


def _of_pod(spec: Mapping[str, Any]) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is on"
    for volume in spec.get("volumes", []):
        for kind in set(volume) - {"name"} - _VOLUMES:
            yield f"volume {volume['name']} is of kind {kind}"
    if spec.get("securityContext", {}).get("sysctls"):
        yield "sysctls are set"


def _of_container(container: Mapping[str, Any], spec: Mapping[str, Any]) -> Iterator[str]:
    name, own, pod = container["name"], container.get("securityContext", {}), spec.get("securityContext", {})
    if own.get("privileged"):
        yield f"{name} is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name} may escalate its privileges"
    if "ALL" not in own.get("capabilities", {}).get("drop", []):
        yield f"{name} keeps capabilities"
    if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name} takes capabilities"
    if own.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
        yield f"{name} may run as root"
    if own.get("runAsUser", pod.get("runAsUser")) == 0:
        yield f"{name} runs as root"
    if own.get("seccompProfile", pod.get("seccompProfile", {})).get("type") not in _PROFILES:
        yield f"{name} has no seccomp profile"
    if any("hostPort" in port and port["hostPort"] for port in container.get("ports", [])):
        yield f"{name} takes a port of the node"


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]
