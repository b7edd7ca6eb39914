"""The schema, one script a version; a version once released never changes."""

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE change (version INTEGER NOT NULL);
    INSERT INTO change VALUES (0);
    CREATE TABLE deployment (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec TEXT NOT NULL, generation INTEGER NOT NULL,
        observed TEXT NOT NULL, is_deleting INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL, updated_at TEXT NOT NULL
    );
    CREATE TABLE idempotency (
        key TEXT PRIMARY KEY, body_sha256 TEXT NOT NULL, made TEXT NOT NULL, created_at_s REAL NOT NULL
    );
    CREATE TABLE event (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, at TEXT NOT NULL, reason TEXT NOT NULL,
        message TEXT NOT NULL
    );
    CREATE INDEX event_by_subject ON event(subject, seq);
    CREATE TABLE lease (
        name TEXT PRIMARY KEY, owner TEXT NOT NULL, epoch INTEGER NOT NULL, expires_at_s REAL NOT NULL
    );
    CREATE TABLE api_key (
        id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL,
        created_at TEXT NOT NULL, requests_per_minute INTEGER NOT NULL, concurrency INTEGER NOT NULL
    );
    CREATE TABLE queued_benchmark (
        id TEXT PRIMARY KEY, body TEXT NOT NULL, created_at TEXT NOT NULL, facts TEXT NOT NULL
    );
    CREATE TABLE queued_run (
        id TEXT PRIMARY KEY, benchmark_id TEXT NOT NULL REFERENCES queued_benchmark(id) ON DELETE CASCADE,
        position INTEGER NOT NULL, model TEXT NOT NULL, runtime TEXT NOT NULL, workload TEXT NOT NULL,
        status TEXT NOT NULL, cause TEXT NOT NULL
    );
    CREATE INDEX queued_run_by_benchmark ON queued_run(benchmark_id, position);
    """,
)
