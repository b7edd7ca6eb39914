"""Demand in SQL: one row for each gateway and deployment, stamped and expired by the database's clock.

It grows no version: what is reported several times a second must not make every gateway read its tables anew.
"""

from collections.abc import Mapping

from tokenforge.domain.demand import Demand, total
from tokenforge.domain.deployment import DeploymentId
from tokenforge.store.sql.connection import Connection
from tokenforge.store.sql.database import Database


class SqlDemands:
    """The port Demands on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def report(self, gateway: str, demands: Mapping[DeploymentId, Demand], *, ttl_s: float) -> None:
        """Replace this gateway's rows."""

        def work(db: Connection) -> None:
            old = f"DELETE FROM demand WHERE gateway = :gateway OR expires_at_s <= {db.now_s}"
            db.execute(old, {"gateway": gateway})
            insert = f"""
                INSERT INTO demand VALUES (:gateway, :deployment, :in_flight, :waiting, {db.now_s} - :idle_s,
                    :ttft_p50_ms, :ttft_p90_ms, {db.now_s} + :ttl_s)
            """
            rows = [
                {
                    "gateway": gateway, "deployment": deployment, "in_flight": one.in_flight, "waiting": one.waiting,
                    "idle_s": one.idle_s, "ttft_p50_ms": one.ttft_p50_ms, "ttft_p90_ms": one.ttft_p90_ms,
                    "ttl_s": ttl_s,
                }
                for deployment, one in demands.items()
            ]  # fmt: skip
            if rows:
                db.execute_many(insert, rows)

        await self._database.write(work)

    async def all(self) -> Mapping[DeploymentId, Demand]:
        """What living gateways see together."""

        def work(db: Connection) -> Mapping[DeploymentId, Demand]:
            columns = f"deployment, in_flight, waiting, {db.now_s} - request_at_s, ttft_p50_ms, ttft_p90_ms"
            parts: dict[DeploymentId, list[Demand]] = {}
            for row in db.execute(f"SELECT {columns} FROM demand WHERE expires_at_s > {db.now_s}"):
                seen = Demand(in_flight=row[1], waiting=row[2], idle_s=row[3], ttft_p50_ms=row[4], ttft_p90_ms=row[5])
                parts.setdefault(DeploymentId(row[0]), []).append(seen)
            return {deployment: total(each) for deployment, each in parts.items()}

        return await self._database.read(work)
