/**
 * The statements of the SQL engine for PostgreSQL, each prepared once for a connection.
 *
 * They are correct at READ COMMITTED: a statement sees one snapshot; a row that it locks or changes is looked at again,
 * after another transaction on it has ended, and no longer matches if its version has changed. Every part of a commit
 * counts what it did, and any other count than the expected one fails the statement as a whole.
 *
 * Locks are taken in one order, which the counts of earlier parts enforce: the store's row, incarnations, lanes, rows
 * that are changed by key, rows that are only read by key, new rows, counts by key.
 */
import { RESOLVE_JUMP } from "../database.js"
import { FAMILIES } from "@hayloft/base/rows/families.js"
import { commitParameter as p } from "./commit-parameters.js"
import { FETCHED, FETCH_PARAMETERS as at } from "./fetch-parameters.js"
import type { SchemaName } from "./schema.js"

export interface SqlStatement {
  readonly name: string
  readonly text: string
}

export interface Statements {
  readonly fetch: SqlStatement
  /** A fetch that may also have ranges which are folded, or over several buckets. */
  readonly fetchWide: SqlStatement
  readonly commit: SqlStatement
  /** A commit that also increases the generation of every lane. */
  readonly commitAndRaise: SqlStatement
  /** A commit that also closes every other lane for its timestamps. */
  readonly commitAndClose: SqlStatement
  readonly resolve: SqlStatement
  readonly closeTo: SqlStatement
  readonly skipTimestamps: SqlStatement
  readonly storeId: SqlStatement
  readonly claim: SqlStatement
  readonly begin: SqlStatement
  readonly beginThread: SqlStatement
  readonly skipIncarnations: SqlStatement
  readonly end: SqlStatement
  readonly halt: SqlStatement
  readonly resume: SqlStatement
  readonly incarnations: SqlStatement
  readonly foldCounters: SqlStatement
  /** It is not prepared: other products may refuse it. */
  readonly tables: SqlStatement
}

/** The statements on the tables of a schema, which they name: a session has no state that a pooler could lose. */
export const statementsOf = (schema: SchemaName): Statements => ({
  fetch: { name: "fetch-4", text: fetchText(schema) },
  fetchWide: { name: "fetch-wide-2", text: fetchWideText(schema) },
  commit: { name: "commit-3", text: commitText(schema, ownLane(schema)) },
  commitAndRaise: { name: "commit-raise-4", text: commitText(schema, allLanes(schema)) },
  commitAndClose: { name: "commit-close-1", text: commitText(schema, closedLanes(schema)) },
  resolve: { name: "resolve-1", text: resolveText(schema) },
  closeTo: { name: "close-to-1", text: closeToText(schema) },
  skipTimestamps: { name: "skip-timestamps-1", text: skipTimestampsText(schema) },
  storeId: { name: "store-id-1", text: storeIdText(schema) },
  claim: { name: "claim-1", text: claimText(schema) },
  begin: { name: "begin-4", text: beginText(schema) },
  beginThread: { name: "begin-thread-1", text: beginThreadText(schema) },
  skipIncarnations: { name: "skip-incarnations-1", text: skipIncarnationsText(schema) },
  end: { name: "end-2", text: endText(schema) },
  halt: { name: "halt-1", text: haltText(schema) },
  resume: { name: "resume-1", text: resumeText(schema) },
  incarnations: { name: "incarnations-4", text: incarnationsText(schema) },
  foldCounters: { name: "fold-counters-1", text: foldCountersText(schema) },
  tables: { name: "tables-1", text: tablesText(schema) },
})

/** The bucket is fixed, so that a scan ends with the last key: see `fetch-parameters.ts`. */
const IN_BUCKET = "r.family = q.family AND r.bucket = q.bucket AND r.key < q.to_key"
const HAS_COLUMN = "CASE WHEN q.is_head THEN r.head IS NOT NULL ELSE r.value IS NOT NULL END"
const ROW_OF_RANGE = "r.bucket, r.key, r.version, r.value, r.head, NULL::bytea, r.payload IS NOT NULL"
const RANGE_TYPES = ["smallint", "boolean", "bigint", "bytea", "bytea", "integer"] as const
const RANGE_COLUMNS = "family, is_head, bucket, from_key, to_key, max"

/** The parameters of ranges, from the first on, as rows. */
const rangesFrom = (first: number, types: readonly string[], columns: string): string => `
  unnest(${types.map((type, at) => `$${first + at}::${type}[]`).join(", ")}) WITH ORDINALITY AS q(${columns}, n)`

type Order = "ASC" | "DESC"
const ordered = (order: Order): string => `ORDER BY r.family ${order}, r.bucket ${order}, r.key ${order}`

/** Forward and backward ranges are two parts: the order of an index scan is part of its plan. */
const rangesOf = (schema: SchemaName, kind: "forward" | "reverse", order: Order): string => `
SELECT ${FETCHED[kind]}, q.n, r.* FROM ${rangesFrom(at[kind], RANGE_TYPES, RANGE_COLUMNS)},
  LATERAL (
    SELECT ${ROW_OF_RANGE} FROM ${schema}.rows r
    WHERE ${IN_BUCKET} AND r.key >= q.from_key AND ${HAS_COLUMN} ${ordered(order)} LIMIT q.max
  ) r`

/** Ranges over several buckets. A scan ends with the last of them. */
const wideRangesOf = (schema: SchemaName, kind: "wide" | "wideReverse", order: Order): string => `
SELECT ${FETCHED[kind]}, q.n, r.* FROM
  ${rangesFrom(at[kind], [...RANGE_TYPES, "bigint", "bigint"], `${RANGE_COLUMNS}, to_bucket, last_bucket`)},
  LATERAL (
    SELECT ${ROW_OF_RANGE} FROM ${schema}.rows r
    WHERE r.family = q.family AND (r.bucket, r.key) >= (q.bucket, q.from_key)
      AND r.bucket <= q.last_bucket AND (r.bucket < q.to_bucket OR r.key < q.to_key) AND ${HAS_COLUMN}
    ${ordered(order)} LIMIT q.max
  ) r`

const DELIMITER_AT = "position(q.delimiter IN substring(r.key FROM q.prefix_from + 1))"
const ZERO_AT = "position('\\x00'::bytea IN substring(r.key FROM q.prefix_from + 1))"

/** The key as `afterFolded` computes it; it is longer than the row's key only if the row has no common prefix. */
const AFTER_FOLDED = `CASE WHEN ${DELIMITER_AT} > 0 AND (${ZERO_AT} = 0 OR ${DELIMITER_AT} < ${ZERO_AT})
  THEN substring(r.key FROM 1 FOR q.prefix_from + ${DELIMITER_AT} - 1 + length(q.delimiter)) || '\\xff'::bytea
  ELSE r.key || '\\x00'::bytea END`

/** Rows that one step of a walk reads at most. */
const STEP_ROWS_MAX = 128

/**
 * Walks in steps, each of which is one search in the index: of one row while each row has a common prefix, and of more and
 * more rows while steps find few rows to leave out. A search for each row would cost twenty times as much as its reading.
 */
const foldedRanges = (schema: SchemaName): string => {
  const found = `SELECT ${ROW_OF_RANGE}, ${AFTER_FOLDED} FROM ${schema}.rows r
    WHERE ${IN_BUCKET} AND r.key >= w.next_key AND ${HAS_COLUMN} ${ordered("ASC")}`
  const row = "bucket, key, version, value, head, payload, has_payload"
  return `
SELECT ${FETCHED.folded}, q.n, r.* FROM
  ${rangesFrom(at.folded, [...RANGE_TYPES, "integer", "bytea"], `${RANGE_COLUMNS}, prefix_from, delimiter`)},
  LATERAL (
    WITH RECURSIVE walk(${row}, next_key, is_first, is_last, count, step) AS (
      SELECT NULL::bigint, NULL::bytea, NULL::bigint, NULL::bytea, NULL::bytea, NULL::bytea, false,
        q.from_key, false, true, 0::bigint, 1
      UNION ALL
      SELECT ${row.replaceAll(/\w+/g, "f.$&")}, f.next_key, f.is_first, f.is_last, w.count + f.firsts, CASE
          WHEN w.step = 1 AND length(f.next_key) <= length(f.key) THEN 1
          WHEN f.firsts = w.step THEN least(4 * w.step, ${STEP_ROWS_MAX})
          WHEN 2 * f.firsts < w.step THEN 1
          ELSE w.step END
      FROM walk w, LATERAL (
        SELECT s.*, true, true, 1::bigint FROM (${found} LIMIT 1) s WHERE w.step = 1
        UNION ALL
        SELECT s.*, lead(s.key) OVER (ORDER BY s.key) IS NULL,
          count(*) FILTER (WHERE s.is_first) OVER (ORDER BY s.key ROWS UNBOUNDED PRECEDING)
        FROM (
          SELECT s.*, s.key >= lag(s.next_key, 1, s.key) OVER (ORDER BY s.key) AS is_first
          FROM (${found} LIMIT w.step) s(${row}, next_key)
        ) s WHERE w.step > 1
      ) f(${row}, next_key, is_first, is_last, firsts) WHERE w.is_last AND w.count < q.max
    )
    SELECT ${row} FROM walk WHERE is_first ORDER BY key LIMIT q.max
  ) r`
}

const CLOCK_US = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

/** The greatest commit timestamp: see `Timestamps.latestUs`. No lane is closed further than the store's row says. */
const latestUs = (schema: SchemaName): string => `greatest((SELECT s.timestamps FROM ${schema}.store s),
  (SELECT max(l.committed) FROM ${schema}.lanes l WHERE NOT l.folded))`

/** Everything that a batch of decisions or queries needs, of one moment: the lane's row, rows, ranges, counters, usage. */
const fetchText = (schema: SchemaName): string => `
SELECT ${FETCHED.lane}, 0::bigint, l.number, NULL::bytea, l.generation, CASE WHEN $${at.wantsTimestamps}::boolean THEN int8send(${CLOCK_US}) END,
    CASE WHEN $${at.wantsTimestamps}::boolean THEN int8send(${latestUs(schema)}) END, NULL::bytea, l.ended
  FROM ${schema}.lanes l WHERE l.incarnation = $1::bigint AND l.lane = $2::smallint
UNION ALL
SELECT ${FETCHED.row}, q.n, r.bucket, r.key, r.version, r.value, r.head, r.payload, r.payload IS NOT NULL
  FROM unnest($3::smallint[], $4::bigint[], $5::bytea[]) WITH ORDINALITY AS q(family, bucket, key, n)
  JOIN ${schema}.rows r ON r.family = q.family AND r.bucket = q.bucket AND r.key = q.key
UNION ALL ${rangesOf(schema, "forward", "ASC")}
UNION ALL ${rangesOf(schema, "reverse", "DESC")}
UNION ALL
SELECT ${FETCHED.counters}, q.n, sum(c.objects)::bigint, NULL, sum(c.versions)::bigint,
    int8send(sum(c.bytes)::bigint), int8send(sum(c.uploads)::bigint), NULL, false
  FROM unnest($${at.counters}::bigint[]) WITH ORDINALITY AS q(bucket, n) JOIN ${schema}.counters c ON c.bucket = q.bucket
  GROUP BY q.n
UNION ALL ${usageWhere(schema, `u.key = ANY ($${at.usage}::bytea[])`)}
UNION ALL ${usageWhere(schema, `$${at.wantsAllUsage}::boolean`)}`

const fetchWideText = (schema: SchemaName): string => `${fetchText(schema)}
UNION ALL ${wideRangesOf(schema, "wide", "ASC")}
UNION ALL ${wideRangesOf(schema, "wideReverse", "DESC")}
UNION ALL ${foldedRanges(schema)}`

const usageWhere = (schema: SchemaName, condition: string): string => `
SELECT ${FETCHED.usage}, 0::bigint, u.bytes, u.key, u.objects, int8send(u.part_bytes), NULL, NULL, false
  FROM ${schema}.usage u WHERE ${condition}`

/** Advances the own lane alone. */
const ownLane = (schema: SchemaName): string => `
lanes_done AS (
  UPDATE ${schema}.lanes l SET number = l.number + 1, committed = ${p("lastUs")}
  WHERE l.incarnation = ${p("incarnation")} AND l.lane = ${p("lane")} AND l.number = ${p("number")} AND l.generation = ${p("generation")} AND NOT l.ended
    AND l.closed < ${p("firstUs")}
  RETURNING 1
)`

const IS_OWN = `l.incarnation = ${p("incarnation")} AND l.lane = ${p("lane")}`

/**
 * Advances the own lane, and increases the generation of the store and of every lane; nothing if an incarnation has
 * begun since the snapshot: the part that waits for the store's row sees its newest version, the others do not see the
 * new lanes.
 */
const allLanes = (schema: SchemaName): string => `
store_done AS (
  UPDATE ${schema}.store s SET generation = s.generation + 1
  WHERE s.generation = ${p("generation")} AND s.last_incarnation = (SELECT last_incarnation FROM ${schema}.store)
  RETURNING 1
), lanes_moved AS (
  UPDATE ${schema}.lanes l
  SET generation = ${p("generation")} + 1, number = l.number + CASE WHEN ${IS_OWN} THEN 1 ELSE 0 END,
    committed = CASE WHEN ${IS_OWN} THEN ${p("lastUs")} ELSE l.committed END
  WHERE NOT l.ended AND (SELECT count(*) FROM store_done) = 1
  RETURNING ${IS_OWN} AND l.number = ${p("number")} + 1 AND l.closed < ${p("firstUs")} AS is_own
), lanes_done AS (
  SELECT 1 FROM lanes_moved WHERE is_own
)`

/** Advances the own lane, and closes all others; nothing if an incarnation has begun since the snapshot. */
const closedLanes = (schema: SchemaName): string => `
store_done AS (
  UPDATE ${schema}.store s SET timestamps = greatest(s.timestamps, ${p("lastUs")})
  WHERE s.last_incarnation = (SELECT last_incarnation FROM ${schema}.store)
  RETURNING 1
), lanes_moved AS (
  UPDATE ${schema}.lanes l
  SET number = l.number + CASE WHEN ${IS_OWN} THEN 1 ELSE 0 END,
    committed = CASE WHEN ${IS_OWN} THEN ${p("lastUs")} ELSE l.committed END,
    closed = CASE WHEN ${IS_OWN} THEN l.closed ELSE greatest(l.closed, ${p("lastUs")}) END
  WHERE NOT l.ended AND (SELECT count(*) FROM store_done) = 1
  RETURNING ${IS_OWN} AND l.number = ${p("number")} + 1 AND l.generation = ${p("generation")} AND l.closed < ${p("firstUs")} AS is_own
), lanes_done AS (
  SELECT 1 FROM lanes_moved WHERE is_own
)`

const commitText = (schema: SchemaName, lanes: string): string => `
WITH ${lanes}, changed AS MATERIALIZED (
  SELECT r.family, r.bucket, r.key
  FROM unnest(${p("changedFamilies", "changedBuckets", "changedKeys", "changedVersions")}) AS q(family, bucket, key, version)
  JOIN ${schema}.rows r ON r.family = q.family AND r.bucket = q.bucket AND r.key = q.key
  WHERE r.version = q.version AND (SELECT count(*) FROM lanes_done) = 1
  ORDER BY r.family, r.bucket, r.key FOR UPDATE OF r
), expected AS MATERIALIZED (
  SELECT 1
  FROM unnest(${p("expectedFamilies", "expectedBuckets", "expectedKeys", "expectedVersions")}) AS q(family, bucket, key, version)
  JOIN ${schema}.rows r ON r.family = q.family AND r.bucket = q.bucket AND r.key = q.key
  WHERE r.version = q.version AND (SELECT count(*) FROM changed) = cardinality(${p("changedFamilies")})
  ORDER BY r.family, r.bucket, r.key FOR SHARE OF r
), replaced AS (
  UPDATE ${schema}.rows r SET version = ${p("version")}, value = q.value, head = q.head,
    payload = CASE WHEN q.keeps_payload THEN r.payload ELSE q.payload END
  FROM unnest(${p("replacedFamilies", "replacedBuckets", "replacedKeys", "replacedValues", "replacedHeads", "replacedPayloads", "replacedKeepPayloads")})
    AS q(family, bucket, key, value, head, payload, keeps_payload)
  WHERE r.family = q.family AND r.bucket = q.bucket AND r.key = q.key
    AND (SELECT count(*) FROM expected) = cardinality(${p("expectedFamilies")})
  RETURNING 1
), deleted AS (
  DELETE FROM ${schema}.rows r
  USING unnest(${p("deletedFamilies", "deletedBuckets", "deletedKeys")}) AS q(family, bucket, key)
  WHERE r.family = q.family AND r.bucket = q.bucket AND r.key = q.key
    AND (SELECT count(*) FROM expected) = cardinality(${p("expectedFamilies")})
  RETURNING 1
), added AS (
  INSERT INTO ${schema}.rows (family, bucket, key, version, value, head, payload)
  SELECT q.family, q.bucket, q.key, ${p("version")}, q.value, q.head, q.payload
  FROM unnest(${p("addedFamilies", "addedBuckets", "addedKeys", "addedValues", "addedHeads", "addedPayloads")})
    AS q(family, bucket, key, value, head, payload)
  WHERE (SELECT count(*) FROM expected) = cardinality(${p("expectedFamilies")})
  ON CONFLICT DO NOTHING
  RETURNING 1
), counted AS (
  INSERT INTO ${schema}.counters AS c (bucket, incarnation, lane, objects, versions, bytes, uploads)
  SELECT q.bucket, ${p("incarnation", "lane")}, q.objects, q.versions, q.bytes, q.uploads
  FROM unnest(${p("countedBuckets", "countedObjects", "countedVersions", "countedBytes", "countedUploads")})
    AS q(bucket, objects, versions, bytes, uploads)
  WHERE (SELECT count(*) FROM expected) = cardinality(${p("expectedFamilies")})
  ON CONFLICT (bucket, incarnation, lane) DO UPDATE SET
    objects = c.objects + excluded.objects, versions = c.versions + excluded.versions,
    bytes = c.bytes + excluded.bytes, uploads = c.uploads + excluded.uploads
), dropped AS (
  DELETE FROM ${schema}.counters c WHERE c.bucket = ANY (${p("droppedCounters")}) AND (SELECT count(*) FROM expected) = cardinality(${p("expectedFamilies")})
), ${usageParts(schema)}
SELECT 1 / CASE WHEN (SELECT count(*) FROM lanes_done) = 1
  AND (SELECT count(*) FROM changed) = cardinality(${p("changedFamilies")})
  AND (SELECT count(*) FROM expected) = cardinality(${p("expectedFamilies")})
  AND (SELECT count(*) FROM replaced) = cardinality(${p("replacedFamilies")})
  AND (SELECT count(*) FROM deleted) = cardinality(${p("deletedFamilies")})
  AND (SELECT count(*) FROM added) = cardinality(${p("addedFamilies")})
  AND (SELECT count(*) FROM usage_changed WHERE has_limit) = ${LIMITED}
  AND (SELECT count(*) FROM usage_added) = cardinality(${p("newUsageKeys")})
  THEN 1 ELSE 0 END`

/** Rows that must be there, and have room. */
const LIMITED = `cardinality(array_positions(${p("usageHasLimit")}, true))`

/**
 * Returns the parts for counts: a row that has too much by now is not locked, so it fails the statement. A
 * lost row fails only what grows: see `AddedUsage`.
 */
const usageParts = (schema: SchemaName): string => `
usage_locked AS MATERIALIZED (
  SELECT q.has_limit
  FROM unnest(${p("usageKeys", "usageBytesMax", "usageObjectsMax", "usageHasLimit")}) AS q(key, bytes_max, objects_max, has_limit)
  JOIN ${schema}.usage u ON u.key = q.key
  WHERE u.bytes + u.part_bytes <= q.bytes_max AND u.objects <= q.objects_max
    AND (SELECT count(*) FROM added) = cardinality(${p("addedFamilies")})
  ORDER BY u.key FOR UPDATE OF u
), usage_changed AS (
  UPDATE ${schema}.usage u SET bytes = u.bytes + q.bytes, objects = u.objects + q.objects,
    part_bytes = u.part_bytes + q.part_bytes
  FROM unnest(${p("usageKeys", "usageBytes", "usageObjects", "usagePartBytes", "usageHasLimit")})
    AS q(key, bytes, objects, part_bytes, has_limit)
  WHERE u.key = q.key AND (SELECT count(*) FROM usage_locked WHERE has_limit) = ${LIMITED}
  RETURNING q.has_limit
), usage_added AS (
  INSERT INTO ${schema}.usage (key, bytes, objects, part_bytes)
  SELECT q.key, q.bytes, q.objects, q.part_bytes
  FROM unnest(${p("newUsageKeys", "newUsageBytes", "newUsageObjects", "newUsagePartBytes")}) AS q(key, bytes, objects, part_bytes)
  WHERE (SELECT count(*) FROM usage_locked WHERE has_limit) = ${LIMITED}
  ON CONFLICT DO NOTHING
  RETURNING 1
), usage_dropped AS (
  DELETE FROM ${schema}.usage u WHERE u.key = ANY (${p("droppedUsage")})
    AND (SELECT count(*) FROM usage_locked WHERE has_limit) = ${LIMITED}
)`

/** SQLSTATE of a commit that found something else than it expected. */
export const CONFLICT_STATE = "22012"

/** How far a lane's number is advanced to make sure that a commit cannot take effect later. */
const JUMP = Number(RESOLVE_JUMP)

/** The lock waits for a commit under way; a commit that arrives later finds another number. */
const resolveText = (schema: SchemaName): string => `
WITH before AS MATERIALIZED (
  SELECT l.number, l.generation, l.ended FROM ${schema}.lanes l WHERE l.incarnation = $1::bigint AND l.lane = $2::smallint FOR UPDATE
), moved AS (
  UPDATE ${schema}.lanes l SET number = b.number + ${JUMP} FROM before b WHERE l.incarnation = $1::bigint AND l.lane = $2::smallint
)
SELECT number, generation, ended FROM before`

/**
 * The present moment is read first, and what commits later with it waits for nothing: so it is closed too. Nothing if an
 * incarnation has begun since the snapshot: its lanes would stay open.
 */
const closeToText = (schema: SchemaName): string => `
WITH moment AS MATERIALIZED (
  SELECT least($1::bigint, greatest(${CLOCK_US}, ${latestUs(schema)})) AS us
), store_done AS (
  UPDATE ${schema}.store s SET timestamps = greatest(s.timestamps, m.us) FROM moment m
  WHERE s.last_incarnation = (SELECT last_incarnation FROM ${schema}.store)
  RETURNING m.us
), lanes_closed AS (
  UPDATE ${schema}.lanes l SET closed = greatest(l.closed, d.us) FROM store_done d WHERE NOT l.ended
)
SELECT us FROM store_done`

const skipTimestampsText = (schema: SchemaName): string =>
  `UPDATE ${schema}.store s SET timestamps = greatest(s.timestamps, $1::bigint)`

const storeIdText = (schema: SchemaName): string =>
  `SELECT s.store_id FROM ${schema}.store s WHERE s.store_id IS NOT NULL`

const claimText = (schema: SchemaName): string =>
  `UPDATE ${schema}.store s SET store_id = coalesce(s.store_id, $1::bytea) RETURNING s.store_id`

/**
 * Ends the earlier incarnations of a node and begins another, with its lanes; nothing if the highest one is not the
 * expected one: the statement would not see one that has begun since. The timestamps of lanes that have ended before are
 * folded into the store's row, since they do not change any more: so fetches look at few lanes.
 */
const beginText = (schema: SchemaName): string => `
WITH store_done AS (
  UPDATE ${schema}.store s SET last_incarnation = greatest(s.last_incarnation, $5::bigint) + 1, timestamps = greatest(
      s.timestamps, (SELECT max(l.committed) FROM ${schema}.lanes l WHERE l.ended AND NOT l.folded))
  WHERE s.last_incarnation = $3::bigint
  RETURNING s.last_incarnation AS incarnation, s.generation, s.timestamps
), folded AS (
  UPDATE ${schema}.lanes l SET folded = true WHERE l.ended AND NOT l.folded AND (SELECT count(*) FROM store_done) = 1
), old AS (
  UPDATE ${schema}.incarnations i SET ended = true
  WHERE i.node = convert_from($1::bytea, 'UTF8') AND NOT i.ended AND (SELECT count(*) FROM store_done) = 1
  RETURNING i.incarnation
), old_lanes AS (
  UPDATE ${schema}.lanes l SET ended = true FROM old WHERE l.incarnation = old.incarnation
), own AS (
  INSERT INTO ${schema}.incarnations (incarnation, node, process)
  SELECT s.incarnation, convert_from($1::bytea, 'UTF8'), convert_from($4::bytea, 'UTF8') FROM store_done s
), own_lanes AS (
  INSERT INTO ${schema}.lanes (incarnation, lane, generation, closed)
  SELECT s.incarnation, lane, s.generation, s.timestamps FROM store_done s, generate_series(0, $2::smallint - 1) AS lane
)
SELECT incarnation FROM store_done`

/**
 * A thread that begins while its process ends has ended too: nothing waits for the other. It counts as a beginning for
 * statements that look for others.
 */
const beginThreadText = (schema: SchemaName): string => `
WITH parent AS (
  SELECT i.incarnation, i.node, i.process FROM ${schema}.incarnations i
  WHERE i.incarnation = $1::bigint AND i.parent IS NULL AND NOT i.ended
), store_done AS (
  UPDATE ${schema}.store s SET last_incarnation = s.last_incarnation + 1 WHERE (SELECT count(*) FROM parent) = 1
  RETURNING s.last_incarnation AS incarnation
), own AS (
  INSERT INTO ${schema}.incarnations (incarnation, node, process, parent)
  SELECT s.incarnation, p.node, p.process, p.incarnation FROM store_done s, parent p
)
SELECT incarnation FROM store_done`

const skipIncarnationsText = (schema: SchemaName): string =>
  `UPDATE ${schema}.store s SET last_incarnation = greatest(s.last_incarnation, $1::bigint)`

/** Ends an incarnation. It waits for statements of its lanes that are under way. */
const endText = (schema: SchemaName): string => `
WITH old AS (
  UPDATE ${schema}.incarnations i SET ended = true WHERE i.incarnation = $1::bigint RETURNING i.incarnation
)
UPDATE ${schema}.lanes l SET ended = true FROM old WHERE l.incarnation = old.incarnation`

/** Nothing if an incarnation has begun since the list was read: the statement would not see it. */
const haltText = (schema: SchemaName): string => `
WITH store_done AS (
  UPDATE ${schema}.store s SET halt = coalesce(s.halt, $1::bytea), halts = s.halts + 1,
    last_incarnation = greatest(s.last_incarnation, $2::bigint)
  WHERE s.last_incarnation = $3::bigint AND s.reconciliations = $4::bigint
  RETURNING 1
), old AS (
  UPDATE ${schema}.incarnations i SET ended = true WHERE NOT i.ended AND (SELECT count(*) FROM store_done) = 1
  RETURNING i.incarnation
), old_lanes AS (
  UPDATE ${schema}.lanes l SET ended = true FROM old WHERE l.incarnation = old.incarnation
)
SELECT 1 FROM store_done`

/** Increases the generation, as a change of buckets and identities does: all of them may have changed. */
const resumeText = (schema: SchemaName): string => `
WITH store_done AS (
  UPDATE ${schema}.store s SET halt = NULL, reconciliations = s.reconciliations + 1, generation = s.generation + 1
  WHERE s.halt IS NOT NULL AND s.halts = $1::bigint
    AND s.last_incarnation = (SELECT last_incarnation FROM ${schema}.store)
  RETURNING s.generation
), lanes_moved AS (
  UPDATE ${schema}.lanes l SET generation = s.generation FROM store_done s WHERE NOT l.ended
)
SELECT 1 FROM store_done`

/**
 * A row for each lane of a live incarnation and for each thread of one, and one for the store: highest incarnation, halt and
 * reconciliations.
 */
const incarnationsText = (schema: SchemaName): string => `
SELECT i.incarnation, convert_to(i.node, 'UTF8'), convert_to(i.process, 'UTF8'), l.number, l.lane::bigint, i.parent
  FROM ${schema}.incarnations i LEFT JOIN ${schema}.lanes l ON l.incarnation = i.incarnation
  WHERE NOT i.ended AND (i.parent IS NULL OR EXISTS (
    SELECT 1 FROM ${schema}.incarnations p WHERE p.incarnation = i.parent AND NOT p.ended))
UNION ALL
SELECT s.last_incarnation, NULL, s.halt, s.halts, s.reconciliations, NULL::bigint FROM ${schema}.store s`

/** Incarnations begin with 1: the row of incarnation 0 has what those that have ended counted. */
const bucketExists = (schema: SchemaName, bucket: string): string =>
  `EXISTS (SELECT 1 FROM ${schema}.rows r WHERE r.family = ${FAMILIES.buckets} AND r.bucket = ${bucket})`

/**
 * Nothing is added to the rows of an incarnation that has ended; they may be deleted with their bucket. A bucket that is
 * dropped at the same time may leave a row, which the next run deletes: its id is never used again.
 */
const foldCountersText = (schema: SchemaName): string => `
WITH over AS MATERIALIZED (
  SELECT c.bucket, c.incarnation, c.lane
  FROM ${schema}.counters c JOIN ${schema}.incarnations i ON i.incarnation = c.incarnation
  WHERE i.ended ORDER BY c.bucket, c.incarnation, c.lane LIMIT $1::bigint FOR UPDATE OF c
), gone AS (
  DELETE FROM ${schema}.counters c USING over o
  WHERE c.bucket = o.bucket AND c.incarnation = o.incarnation AND c.lane = o.lane
  RETURNING c.bucket, c.objects, c.versions, c.bytes, c.uploads
), folded AS (
  INSERT INTO ${schema}.counters AS c (bucket, incarnation, lane, objects, versions, bytes, uploads)
  SELECT g.bucket, 0, 0, sum(g.objects)::bigint, sum(g.versions)::bigint, sum(g.bytes)::bigint, sum(g.uploads)::bigint
  FROM gone g WHERE ${bucketExists(schema, "g.bucket")} GROUP BY g.bucket ORDER BY g.bucket
  ON CONFLICT (bucket, incarnation, lane) DO UPDATE SET
    objects = c.objects + excluded.objects, versions = c.versions + excluded.versions,
    bytes = c.bytes + excluded.bytes, uploads = c.uploads + excluded.uploads
), left_over AS (
  DELETE FROM ${schema}.counters c WHERE c.incarnation = 0 AND NOT ${bucketExists(schema, "c.bucket")}
)
SELECT count(*) FROM gone`

/** Returns the query for what the server knows of the tables: dead rows, and when they were last removed. */
const tablesText = (schema: SchemaName): string => `
SELECT relname, n_live_tup::text, n_dead_tup::text, coalesce(pg_total_relation_size(relid)::text, ''),
  coalesce(extract(epoch FROM clock_timestamp() - greatest(last_vacuum, last_autovacuum))::text, '')
FROM pg_catalog.pg_stat_user_tables WHERE schemaname = '${schema}' ORDER BY relname`
