"""What gateways see of the demand for deployments, each its own rows, for as long as it reports."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_NUMBER: "sa.types.TypeEngine[float]" = sa.Double().with_variant(sa.REAL(), "sqlite")


def _number(name: str, *, is_always_there: bool = True) -> "sa.Column[float]":
    return sa.Column(name, _NUMBER, nullable=not is_always_there)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "demand",
        sa.Column("gateway", sa.Text(), primary_key=True), sa.Column("deployment", sa.Text(), primary_key=True),
        _number("in_flight"), _number("waiting"), _number("request_at_s", is_always_there=False),
        _number("ttft_p50_ms", is_always_there=False), _number("ttft_p90_ms", is_always_there=False),
        _number("expires_at_s"),
    )  # fmt: skip
