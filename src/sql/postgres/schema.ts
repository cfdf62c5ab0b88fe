/**
 * Schema of the metadata in a PostgreSQL database, and its forward migrations.
 *
 * `rows` holds every row of every family, ordered by bytes; the bucket is a column, so that the table can be
 * partitioned. Small rows that change with every commit have tables of their own, whose pages keep free space for the
 * next version of a row. Counters are kept for each lane and summed when read, so that commits do not wait for one
 * another.
 *
 * Promises  A migration runs once, in one transaction, under a lock; a newer schema than this program knows is refused.
 */
export const SCHEMA_VERSION = 1

/** By the version that they lead to. They are run by the simple protocol: several statements each. */
export const MIGRATIONS: readonly string[] = [
  `
CREATE TABLE hayloft.store (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  generation bigint NOT NULL DEFAULT 1,
  last_incarnation bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO hayloft.store DEFAULT VALUES;

CREATE TABLE hayloft.incarnations (
  incarnation bigint PRIMARY KEY,
  node text NOT NULL,
  ended boolean NOT NULL DEFAULT false
);

CREATE TABLE hayloft.lanes (
  incarnation bigint NOT NULL,
  lane smallint NOT NULL,
  number bigint NOT NULL DEFAULT 0,
  generation bigint NOT NULL,
  ended boolean NOT NULL DEFAULT false,
  PRIMARY KEY (incarnation, lane)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE hayloft.rows (
  family smallint NOT NULL,
  bucket bigint NOT NULL,
  key bytea NOT NULL,
  version bigint NOT NULL,
  value bytea,
  head bytea,
  payload bytea,
  PRIMARY KEY (family, bucket, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE hayloft.rows ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE hayloft.counters (
  bucket bigint NOT NULL,
  incarnation bigint NOT NULL,
  lane smallint NOT NULL,
  objects bigint NOT NULL,
  versions bigint NOT NULL,
  bytes bigint NOT NULL,
  uploads bigint NOT NULL,
  PRIMARY KEY (bucket, incarnation, lane)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
`,
]
