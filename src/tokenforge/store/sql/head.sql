CREATE TABLE alembic_version (
  version_num VARCHAR(32) NOT NULL,
  CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE change (
  version BIGINT NOT NULL
);
CREATE TABLE deployment (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  generation INTEGER NOT NULL,
  observed TEXT NOT NULL,
  is_deleting INTEGER DEFAULT '0' NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (name)
);
CREATE TABLE idempotency (
  "key" TEXT NOT NULL,
  body_sha256 TEXT NOT NULL,
  made TEXT NOT NULL,
  created_at_s REAL NOT NULL,
  PRIMARY KEY ("key")
);
CREATE TABLE event (
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  subject TEXT NOT NULL,
  at TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL
);
CREATE INDEX event_by_subject ON event (subject, seq);
CREATE TABLE lease (
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  expires_at_s REAL NOT NULL,
  PRIMARY KEY (name)
);
CREATE TABLE api_key (
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  scopes TEXT NOT NULL,
  created_at TEXT NOT NULL,
  requests_per_minute INTEGER NOT NULL,
  concurrency INTEGER NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (name),
  UNIQUE (sha256)
);
CREATE TABLE queued_benchmark (
  id TEXT NOT NULL,
  body TEXT NOT NULL,
  created_at TEXT NOT NULL,
  facts TEXT NOT NULL,
  PRIMARY KEY (id)
);
CREATE TABLE queued_run (
  id TEXT NOT NULL,
  benchmark_id TEXT NOT NULL,
  position INTEGER NOT NULL,
  model TEXT NOT NULL,
  runtime TEXT NOT NULL,
  workload TEXT NOT NULL,
  status TEXT NOT NULL,
  cause TEXT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(benchmark_id) REFERENCES queued_benchmark (id) ON DELETE CASCADE
);
CREATE INDEX queued_run_by_benchmark ON queued_run (benchmark_id, position);
CREATE TABLE demand (
  gateway TEXT NOT NULL,
  deployment TEXT NOT NULL,
  in_flight REAL NOT NULL,
  waiting REAL NOT NULL,
  request_at_s REAL,
  ttft_p50_ms REAL,
  ttft_p90_ms REAL,
  expires_at_s REAL NOT NULL,
  PRIMARY KEY (gateway, deployment)
);
CREATE TABLE environment (
  id TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (id)
);
CREATE TABLE benchmark (
  id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  spec_hash TEXT NOT NULL,
  headline TEXT NOT NULL,
  verdict TEXT NOT NULL,
  folder TEXT NOT NULL,
  queued_id TEXT,
  environment_id TEXT,
  PRIMARY KEY (id),
  UNIQUE (queued_id),
  FOREIGN KEY(environment_id) REFERENCES environment (id)
);
CREATE TABLE run (
  id TEXT NOT NULL,
  benchmark_id TEXT NOT NULL,
  position BIGINT NOT NULL,
  created_at TEXT NOT NULL,
  model TEXT NOT NULL,
  runtime TEXT NOT NULL,
  workload TEXT NOT NULL,
  status TEXT NOT NULL,
  cause TEXT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(benchmark_id) REFERENCES benchmark (id) ON DELETE CASCADE
);
CREATE TABLE trial (
  run_id TEXT NOT NULL,
  number BIGINT NOT NULL,
  trial BIGINT NOT NULL,
  position BIGINT NOT NULL,
  plan_digest TEXT NOT NULL,
  planned_requests BIGINT NOT NULL,
  started_at TEXT NOT NULL,
  duration_s REAL NOT NULL,
  PRIMARY KEY (run_id, number),
  FOREIGN KEY(run_id) REFERENCES run (id) ON DELETE CASCADE
);
CREATE TABLE blob (
  sha256 TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  media_type TEXT NOT NULL,
  kept_at_s REAL NOT NULL,
  removing_since_s REAL,
  PRIMARY KEY (sha256)
);
CREATE TABLE artifact (
  benchmark_id TEXT NOT NULL,
  name TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (benchmark_id, name),
  FOREIGN KEY(benchmark_id) REFERENCES benchmark (id) ON DELETE CASCADE,
  FOREIGN KEY(sha256) REFERENCES blob (sha256)
);
CREATE INDEX artifact_by_blob ON artifact (sha256);
CREATE INDEX run_by_benchmark ON run (benchmark_id, position);
CREATE INDEX run_by_model ON run (model, created_at, id);
CREATE INDEX run_by_runtime ON run (runtime, created_at, id);
CREATE INDEX run_by_status ON run (status, created_at, id);
CREATE INDEX run_by_time ON run (created_at, id);
CREATE INDEX benchmark_by_time ON benchmark (created_at, id);
CREATE INDEX queued_benchmark_by_time ON queued_benchmark (created_at, id);
CREATE INDEX queued_run_by_status ON queued_run (status);
INSERT INTO alembic_version VALUES ('0003');
INSERT INTO change VALUES (0);
PRAGMA user_version = 1;
