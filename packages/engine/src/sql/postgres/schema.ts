/**
 * Schema of the metadata in a PostgreSQL database, and its forward migrations.
 *
 * `rows` holds every row of every family, ordered by bytes; the bucket is a column, so that the table can be
 * partitioned. Small rows that change with every commit have tables of their own, whose pages keep free space for the
 * next version of a row. Counters are kept for each lane and summed when read, so that commits do not wait for one
 * another. Each count is one row, which the commits of all processes wait for: its limit holds exactly.
 *
 * An incarnation is that of a process, or of a thread of one: then it names the one of the process (`parent`), whose lanes
 * commit for it.
 *
 * A lane has the commit timestamp of its last commit (`committed`), and that up to which it is closed. The store's row has
 * one (`timestamps`) that is above those of all lanes whose timestamps were folded into it, and of all that is closed.
 *
 * Promises  A migration runs once, in one transaction, under a lock. So that nodes can be upgraded one after another, a
 *           migration keeps what programs of the version before need, and a program uses a schema that is one version
 *           newer; any other newer one is refused, and so is a migration over several versions while nodes run.
 */
import type { Brand } from "@hayloft/base/ids.js"
import { fail } from "@hayloft/base/failures.js"

/** The name of a schema, which needs no quotes in a statement. */
export type SchemaName = Brand<string, "SchemaName">

/** Throws `invalidArgument` unless the text is a plain identifier. */
export function parseSchemaName(text: string): SchemaName {
  if (!/^(?!pg_)[a-z_][a-z0-9_]{0,62}$/.test(text))
    throw fail("invalidArgument", { message: "the name of a schema is not a plain identifier" })
  return text as SchemaName
}

export const HAYLOFT_SCHEMA = parseSchemaName("hayloft")

export const SCHEMA_VERSION = 6

export const versionTableOf = (schema: SchemaName): string => `
CREATE SCHEMA IF NOT EXISTS ${schema};
CREATE TABLE IF NOT EXISTS ${schema}.schema_version (
  one boolean PRIMARY KEY DEFAULT true CHECK (one), version integer NOT NULL
);
INSERT INTO ${schema}.schema_version (version) VALUES (0) ON CONFLICT DO NOTHING`

/** By the version that they lead to. They are run by the simple protocol: several statements each. */
export const migrationsOf = (schema: SchemaName): readonly string[] => [
  `
CREATE TABLE ${schema}.store (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  store_id bytea,
  generation bigint NOT NULL DEFAULT 1,
  last_incarnation bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO ${schema}.store DEFAULT VALUES;

CREATE TABLE ${schema}.incarnations (
  incarnation bigint PRIMARY KEY,
  node text NOT NULL,
  process text NOT NULL,
  ended boolean NOT NULL DEFAULT false
);

CREATE TABLE ${schema}.lanes (
  incarnation bigint NOT NULL,
  lane smallint NOT NULL,
  number bigint NOT NULL DEFAULT 0,
  generation bigint NOT NULL,
  ended boolean NOT NULL DEFAULT false,
  PRIMARY KEY (incarnation, lane)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);

CREATE TABLE ${schema}.rows (
  family smallint NOT NULL,
  bucket bigint NOT NULL,
  key bytea NOT NULL,
  version bigint NOT NULL,
  value bytea,
  head bytea,
  payload bytea,
  PRIMARY KEY (family, bucket, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
ALTER TABLE ${schema}.rows ALTER COLUMN payload SET STORAGE EXTERNAL;

CREATE TABLE ${schema}.counters (
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
  `
ALTER TABLE ${schema}.store
  ADD COLUMN halt bytea,
  ADD COLUMN halts bigint NOT NULL DEFAULT 0,
  ADD COLUMN reconciliations bigint NOT NULL DEFAULT 0;
`,
  `
CREATE TABLE ${schema}.usage (
  key bytea PRIMARY KEY,
  bytes bigint NOT NULL,
  objects bigint NOT NULL,
  part_bytes bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
`,
  timestampsOf(schema),
  `ALTER TABLE ${schema}.incarnations ADD COLUMN parent bigint`,
  // Two versions in one: programs of version 4 would end the incarnations of threads, which write no heartbeats. So none of
  // them runs beside one that has threads.
  `COMMENT ON COLUMN ${schema}.incarnations.parent IS 'the incarnation of the process of which this is a thread'`,
]

const timestampsOf = (schema: SchemaName): string => `
ALTER TABLE ${schema}.store ADD COLUMN timestamps bigint NOT NULL DEFAULT 0;
ALTER TABLE ${schema}.lanes
  ADD COLUMN committed bigint NOT NULL DEFAULT 0,
  ADD COLUMN closed bigint NOT NULL DEFAULT 0,
  ADD COLUMN folded boolean NOT NULL DEFAULT false;
CREATE INDEX lanes_of_timestamps ON ${schema}.lanes (incarnation, lane) WHERE NOT folded;
`
