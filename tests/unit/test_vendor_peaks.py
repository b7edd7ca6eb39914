"""Vendor peaks: the right card by the driver's name, no guess for another, a source for each."""

import pytest

from tokenforge.domain.ceilings import CeilingKind
from tokenforge.domain.vendor_peaks import VENDOR_PEAKS, find_peak, vendor_ceiling


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 SXM"),
        ("NVIDIA H100 PCIe", "NVIDIA H100 PCIe"),
        ("NVIDIA H200", "NVIDIA H200 SXM"),
        ("NVIDIA A100-PCIE-40GB", "NVIDIA A100 40 GB"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA A100 80 GB SXM"),
        ("NVIDIA L4", "NVIDIA L4"),
        ("NVIDIA L40S", "NVIDIA L40S"),
        ("AMD Instinct MI300X OAM", "AMD Instinct MI300X"),
    ],
)
def test_a_card_is_found_by_the_name_its_driver_reports(device: str, name: str) -> None:
    peak = find_peak(device)
    assert peak is not None
    assert peak.name == name


@pytest.mark.parametrize(
    "device", ["NVIDIA H200 NVL", "NVIDIA L40", "NVIDIA A100 80GB PCIe", "NVIDIA GeForce RTX 4090"]
)
def test_a_card_that_only_looks_alike_has_no_peak(device: str) -> None:
    assert find_peak(device) is None
    assert vendor_ceiling(device) is None


def test_the_peak_of_an_h200_is_that_of_its_sheet_without_sparsity() -> None:
    ceiling = vendor_ceiling("NVIDIA H200")
    assert ceiling is not None
    assert ceiling.kind is CeilingKind.VENDOR
    assert (ceiling.flops["bfloat16"], ceiling.bytes_per_s) == (989.5e12, 4.8e12)


def test_every_peak_names_its_source_and_is_of_a_card_s_size() -> None:
    for peak in VENDOR_PEAKS:
        assert peak.source.startswith(("NVIDIA", "AMD"))
        assert 100e12 < peak.bf16_flops < 3e15
        assert 0.2e12 < peak.bytes_per_s < 10e12
