"""Deployments, and what control observes of them, in SQL."""

import json
from collections.abc import Callable
from dataclasses import replace

from tokenforge.domain.deployment import Deployment, DeploymentId, DeploymentSpec
from tokenforge.domain.deployment_state import Observed
from tokenforge.domain.errors import AlreadyExists, NotFound
from tokenforge.protocol.deployment_answer import (
    observed_from_stored,
    observed_to_stored,
    spec_from_stored,
    spec_to_stored,
)
from tokenforge.store.base import Admit, IdempotencyKey, Lease
from tokenforge.store.sql.connection import Connection, touch
from tokenforge.store.sql.database import Database
from tokenforge.store.sql.idempotency import made_by, remember
from tokenforge.store.sql.leases import require

_COLUMNS = "id, spec, generation, observed, is_deleting, created_at, updated_at"


class SqlDeployments:
    """The ports Deployments and Observations on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        spec: DeploymentSpec,
        *,
        identity: DeploymentId,
        idempotency: IdempotencyKey | None,
        is_name_chosen: bool,
        admit: Admit | None = None,
    ) -> tuple[Deployment, bool]:
        """Keep a new promise. Raises AlreadyExists, KeyReused, what `admit` raises."""

        def work(db: Connection) -> tuple[Deployment, bool]:
            made = made_by(db, idempotency, among="deployment")
            if made is not None:
                return _get(db, DeploymentId(made)), False
            if admit is not None:
                admit(spec, _others(db, identity))
            named = _named(db, spec, is_name_chosen=is_name_chosen)
            db.execute(
                f"INSERT INTO deployment (name, {_COLUMNS})"
                f" VALUES (:name, :id, :spec, 1, :observed, 0, {db.now_text}, {db.now_text})",
                {"id": identity, "name": named.name, "spec": _spec_text(named), "observed": _observed_text(Observed())},
            )
            remember(db, idempotency, made=identity)
            touch(db)
            return _get(db, identity), True

        return await self._database.write(work)

    async def get(self, identity: DeploymentId) -> Deployment:
        """Raises NotFound."""
        return await self._database.read(lambda db: _get(db, identity))

    async def list(self) -> tuple[Deployment, ...]:
        """All of them, oldest first."""
        query = f"SELECT {_COLUMNS} FROM deployment ORDER BY created_at, id"
        return await self._database.read(lambda db: tuple(_row(row) for row in db.execute(query)))

    async def change(
        self,
        identity: DeploymentId,
        edit: Callable[[DeploymentSpec], DeploymentSpec],
        *,
        admit: Admit | None = None,
    ) -> Deployment:
        """A new spec is a new generation. Raises NotFound, what `admit` raises."""

        def work(db: Connection) -> Deployment:
            now = _get(db, identity)
            if now.is_deleting:
                raise NotFound(f"deployment {identity} is being deleted", hint="Deploy it again")
            then = edit(now.spec)
            if admit is not None and then.kept_replicas > now.spec.kept_replicas:
                admit(then, _others(db, identity))
            if then != now.spec:
                set_spec = f"spec = :spec, generation = generation + 1, updated_at = {db.now_text}"
                values = {"spec": _spec_text(then), "id": identity}
                db.execute(f"UPDATE deployment SET {set_spec} WHERE id = :id", values)
                touch(db)
            return _get(db, identity)

        return await self._database.write(work)

    async def delete(self, identity: DeploymentId) -> Deployment:
        """Ask for its end. Raises NotFound."""

        def work(db: Connection) -> Deployment:
            _get(db, identity)
            set_end = f"is_deleting = 1, updated_at = {db.now_text}"
            db.execute(f"UPDATE deployment SET {set_end} WHERE id = :id", {"id": identity})
            touch(db)
            return _get(db, identity)

        return await self._database.write(work)

    async def observe(self, identity: DeploymentId, observed: Observed, *, lease: Lease) -> None:
        """Keep what was seen. Raises LeaseLost."""

        def work(db: Connection) -> None:
            require(db, lease)
            values = {"observed": _observed_text(observed), "id": identity}
            db.execute("UPDATE deployment SET observed = :observed WHERE id = :id", values)
            touch(db)

        await self._database.write(work)

    async def remove(self, identity: DeploymentId, *, lease: Lease) -> None:
        """Forget it. Raises LeaseLost."""

        def work(db: Connection) -> None:
            require(db, lease)
            db.execute("DELETE FROM deployment WHERE id = :id", {"id": identity})
            touch(db)

        await self._database.write(work)

    async def version(self) -> int:
        """Grows with every change."""
        return await self._database.read(lambda db: int(db.execute("SELECT version FROM change").fetchone()[0]))


def _others(db: Connection, identity: DeploymentId) -> list[DeploymentSpec]:
    """What is wanted beside that deployment."""
    rows = db.execute("SELECT spec FROM deployment WHERE id <> :id AND is_deleting = 0", {"id": identity})
    return [spec_from_stored(json.loads(row[0])) for row in rows]


def _named(db: Connection, spec: DeploymentSpec, *, is_name_chosen: bool) -> DeploymentSpec:
    """The spec under a free name."""
    like = "SELECT name FROM deployment WHERE name LIKE :name || '%'"
    taken = {row[0] for row in db.execute(like, {"name": spec.name})}
    if spec.name not in taken:
        return spec
    if is_name_chosen:
        raise AlreadyExists(
            f"a deployment named {spec.name!r} is there already", hint="Choose another name or delete it"
        )
    number = 2
    while f"{spec.name}-{number}" in taken:
        number += 1
    return replace(spec, name=f"{spec.name}-{number}")


def _get(db: Connection, identity: DeploymentId) -> Deployment:
    row = db.execute(f"SELECT {_COLUMNS} FROM deployment WHERE id = :id", {"id": identity}).fetchone()
    if row is None:
        raise NotFound(f"there is no deployment {identity}", hint="GET /deployments lists them")
    return _row(row)


def _row(row: tuple[str, str, int, str, int, str, str]) -> Deployment:
    return Deployment(
        id=DeploymentId(row[0]),
        spec=spec_from_stored(json.loads(row[1])),
        generation=row[2],
        observed=observed_from_stored(json.loads(row[3])),
        is_deleting=bool(row[4]),
        created_at=row[5],
        updated_at=row[6],
    )


def _spec_text(spec: DeploymentSpec) -> str:
    return json.dumps(spec_to_stored(spec))


def _observed_text(observed: Observed) -> str:
    return json.dumps(observed_to_stored(observed))
