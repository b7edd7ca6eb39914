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
INSERT INTO alembic_version VALUES ('0002');
INSERT INTO change VALUES (0);
PRAGMA user_version = 1;
