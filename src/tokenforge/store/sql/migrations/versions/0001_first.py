"""The first schema: deployments, events, leases, keys, queued benchmarks."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SECONDS: "sa.types.TypeEngine[float]" = sa.Double().with_variant(sa.REAL(), "sqlite")


def _text(name: str, *, is_unique: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False, unique=is_unique)


def _number(name: str, default: str | None = None) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=False, server_default=default)


def _seconds(name: str) -> "sa.Column[float]":
    return sa.Column(name, _SECONDS, nullable=False)


def _identity(name: str = "id") -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), primary_key=True)


def upgrade() -> None:
    """Make the tables."""
    change = op.create_table("change", sa.Column("version", sa.BigInteger(), nullable=False))
    op.bulk_insert(change, [{"version": 0}])
    op.create_table(
        "deployment",
        _identity(), _text("name", is_unique=True), _text("spec"), _number("generation"), _text("observed"),
        _number("is_deleting", "0"), _text("created_at"), _text("updated_at"),
    )  # fmt: skip
    op.create_table("idempotency", _identity("key"), _text("body_sha256"), _text("made"), _seconds("created_at_s"))
    op.create_table(
        "event",
        sa.Column("seq", _SERIAL, sa.Identity(), primary_key=True),
        _text("subject"), _text("at"), _text("reason"), _text("message"),
        sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index("event_by_subject", "event", ["subject", "seq"])
    op.create_table("lease", _identity("name"), _text("owner"), _number("epoch"), _seconds("expires_at_s"))
    op.create_table(
        "api_key",
        _identity(), _text("name", is_unique=True), _text("sha256", is_unique=True), _text("scopes"),
        _text("created_at"), _number("requests_per_minute"), _number("concurrency"),
    )  # fmt: skip
    op.create_table("queued_benchmark", _identity(), _text("body"), _text("created_at"), _text("facts"))
    op.create_table(
        "queued_run",
        _identity(),
        sa.Column(
            "benchmark_id", sa.Text(), sa.ForeignKey("queued_benchmark.id", ondelete="CASCADE"), nullable=False
        ),
        _number("position"), _text("model"), _text("runtime"), _text("workload"), _text("status"), _text("cause"),
    )  # fmt: skip
    op.create_index("queued_run_by_benchmark", "queued_run", ["benchmark_id", "position"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute("PRAGMA user_version = 1")  # what code from before Alembic looks at
