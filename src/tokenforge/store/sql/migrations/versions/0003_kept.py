"""What was measured: benchmarks, runs, trials, environments, artifacts and their bytes; indexes for lists."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_SECONDS: "sa.types.TypeEngine[float]" = sa.Double().with_variant(sa.REAL(), "sqlite")


def _text(name: str, *, is_key: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), nullable=False, primary_key=is_key)


def _number(name: str, *, is_key: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=False, primary_key=is_key, autoincrement=False)


def _of(name: str, table: str, *, is_key: bool = False) -> "sa.Column[str]":
    key = sa.ForeignKey(f"{table}.id", ondelete="CASCADE")
    return sa.Column(name, sa.Text(), key, nullable=False, primary_key=is_key)


def upgrade() -> None:
    """Make the tables; none that was there changes."""
    op.create_table("environment", _text("id", is_key=True), _text("document"))
    op.create_table(
        "benchmark",
        _text("id", is_key=True), _text("created_at"), _text("spec_hash"), _text("headline"), _text("verdict"),
        _text("folder"), sa.Column("queued_id", sa.Text(), unique=True),
        sa.Column("environment_id", sa.Text(), sa.ForeignKey("environment.id")),
    )  # fmt: skip
    op.create_table(
        "run",
        _text("id", is_key=True), _of("benchmark_id", "benchmark"), _number("position"), _text("created_at"),
        _text("model"), _text("runtime"), _text("workload"), _text("status"), _text("cause"),
    )  # fmt: skip
    op.create_table(
        "trial",
        _of("run_id", "run", is_key=True), _number("number", is_key=True), _number("trial"), _number("position"),
        _text("plan_digest"), _number("planned_requests"), _text("started_at"),
        sa.Column("duration_s", _SECONDS, nullable=False),
    )  # fmt: skip
    op.create_table(
        "blob",
        _text("sha256", is_key=True), _number("size_bytes"), _text("media_type"),
        sa.Column("kept_at_s", _SECONDS, nullable=False), sa.Column("removing_since_s", _SECONDS),
    )  # fmt: skip
    op.create_table(
        "artifact",
        _of("benchmark_id", "benchmark", is_key=True), _text("name", is_key=True),
        sa.Column("sha256", sa.Text(), sa.ForeignKey("blob.sha256"), nullable=False),
    )  # fmt: skip
    op.create_index("artifact_by_blob", "artifact", ["sha256"])
    op.create_index("run_by_benchmark", "run", ["benchmark_id", "position"])
    for column in ("model", "runtime", "status"):
        op.create_index(f"run_by_{column}", "run", [column, "created_at", "id"])
    op.create_index("run_by_time", "run", ["created_at", "id"])
    op.create_index("benchmark_by_time", "benchmark", ["created_at", "id"])
    op.create_index("queued_benchmark_by_time", "queued_benchmark", ["created_at", "id"])
    op.create_index("queued_run_by_status", "queued_run", ["status"])
