"""Placement: where workers run, and where the load of a benchmark comes from."""

import enum


class Placement(enum.StrEnum):
    """`local`: processes of this machine. `kubernetes`: pods of the cluster that the platform was set up with."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"
