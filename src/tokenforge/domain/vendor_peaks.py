"""Peaks that vendors state for their accelerators: dense bf16 matrix FLOP/s and memory bandwidth, each with its source.

Sheets print the tensor figure with 2:4 sparsity, twice what a dense model can use; the numbers here are the dense half.
A card that is not in the table has no vendor ceiling: nothing is guessed from a name that looks alike.
"""

import re
from dataclasses import dataclass

from tokenforge.domain.ceilings import Ceiling, CeilingKind
from tokenforge.domain.runtime import Accelerator

_LOOKED_UP = "2026-11-26"
_LARGEST_CACHE_BYTES = 256 << 20
"""The largest of any card listed (MI300X), taken for cards whose own has no source: it errs to the safe side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorPeak:
    """One card. `pattern` matches the whole name that the driver reports; `source` is the text that has the figures."""

    name: str
    pattern: str
    bf16_flops: float
    bytes_per_s: float
    source: str
    cache_bytes: int = _LARGEST_CACHE_BYTES


def find_peak(device: str) -> VendorPeak | None:
    """The card that a driver calls `device`, None when it is not in the table."""
    return next((peak for peak in VENDOR_PEAKS if re.fullmatch(peak.pattern, device.strip(), re.IGNORECASE)), None)


def vendor_ceiling(device: str) -> Ceiling | None:
    """The vendor's peak as a ceiling; float16 and bfloat16 run at one pace on all cards listed."""
    peak = find_peak(device)
    if peak is None:
        return None
    return Ceiling(
        kind=CeilingKind.VENDOR,
        device=device,
        accelerator=Accelerator.CUDA,
        flops={"bfloat16": peak.bf16_flops, "float16": peak.bf16_flops},
        bytes_per_s=peak.bytes_per_s,
        cache_bytes=peak.cache_bytes,
        source=f"{peak.name}: {peak.source}",
        as_of=_LOOKED_UP,
    )


VENDOR_PEAKS: tuple[VendorPeak, ...] = (
    VendorPeak(
        name="NVIDIA H100 SXM",
        pattern=r"NVIDIA H100 80GB HBM3",
        bf16_flops=989.5e12,
        bytes_per_s=3.35e12,
        source="NVIDIA H100 data sheet (1,979 TFLOPS bf16 with sparsity, half without; 3,350 GB/s; 50 MB L2), "
        "as tabled at archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html",
        cache_bytes=50 << 20,
    ),
    VendorPeak(
        name="NVIDIA H100 PCIe",
        pattern=r"NVIDIA H100 PCIe",
        bf16_flops=756.5e12,
        bytes_per_s=2.0e12,
        source="NVIDIA H100 data sheet (1,513 TFLOPS bf16 with sparsity, half without; 2,000 GB/s; 50 MB L2), "
        "as tabled at archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html",
        cache_bytes=50 << 20,
    ),
    VendorPeak(
        name="NVIDIA H200 SXM",
        pattern=r"NVIDIA H200",
        bf16_flops=989.5e12,
        bytes_per_s=4.8e12,
        source="NVIDIA H200 data sheet (1,979 TFLOPS bf16 with sparsity, about 989 dense; 4.8 TB/s), "
        "as compared at itkb.uw.cz/2026/06/nvidia-h200-vs-b300-precisions-cores.html; 60 MiB L2 by its driver",
        cache_bytes=60 << 20,
    ),
    VendorPeak(
        name="NVIDIA B200 (HGX, 1,000 W)",
        pattern=r"NVIDIA B200",
        bf16_flops=2250e12,
        bytes_per_s=8.0e12,
        source="NVIDIA Blackwell figures (2,250 TFLOPS bf16 dense; 8 TB/s), "
        "as tabled at glennklockwood.com/garden/processors/B200",
    ),
    VendorPeak(
        name="NVIDIA A100 40 GB",
        pattern=r"NVIDIA A100-(SXM4|PCIE)-40GB",
        bf16_flops=312e12,
        bytes_per_s=1.555e12,
        source="NVIDIA A100 data sheet (312 TFLOPS bf16 dense; 1,555 GB/s), "
        "as tabled at glennklockwood.com/garden/processors/A100; 40 MiB L2 by its driver at "
        "upb-pc2.atlassian.net/wiki/spaces/PC2DOK/pages/1900609",
        cache_bytes=40 << 20,
    ),
    VendorPeak(
        name="NVIDIA A100 80 GB SXM",
        pattern=r"NVIDIA A100-SXM4-80GB",
        bf16_flops=312e12,
        bytes_per_s=2.039e12,
        source="NVIDIA A100 data sheet (312 TFLOPS bf16 dense; 2,039 GB/s), "
        "as tabled at glennklockwood.com/garden/processors/A100; 40 MiB L2 by its driver at "
        "upb-pc2.atlassian.net/wiki/spaces/PC2DOK/pages/1900609",
        cache_bytes=40 << 20,
    ),
    VendorPeak(
        name="NVIDIA L4",
        pattern=r"NVIDIA L4",
        bf16_flops=121e12,
        bytes_per_s=0.3e12,
        source="NVIDIA L4 data sheet (242 TFLOPS fp16 with sparsity, half without; 300 GB/s), "
        "as compared at grokipedia.com/page/NVIDIA_L4_vs_L40S; 48 MB L2 at cputronic.com/de/gpu/nvidia-l4",
        cache_bytes=48 << 20,
    ),
    VendorPeak(
        name="NVIDIA L40S",
        pattern=r"NVIDIA L40S",
        bf16_flops=362.05e12,
        bytes_per_s=0.864e12,
        source="NVIDIA L40S data sheet (362.05 TFLOPS bf16, 733 with sparsity; 864 GB/s), "
        "as tabled at mullet.se/product.html?product_id=355414",
    ),
    VendorPeak(
        name="AMD Instinct MI300X",
        pattern=r"AMD Instinct MI300X.*",
        bf16_flops=1307.4e12,
        bytes_per_s=5.3e12,
        source="AMD ROCm documentation, MI300 series microarchitecture (1,307.4 TFLOPS bf16 matrix; 5.3 TB/s)",
    ),
)
