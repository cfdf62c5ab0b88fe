/**
 * Probe: every statement once, prepared statements on a connection whose server process changes, and the time that
 * round trips and commits take.
 */
import { DatabaseError } from "pg"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { must } from "@hayloft/base/assert.js"
import { parseStoreId } from "@hayloft/base/ids.js"
import type { Postgres } from "../postgres/postgres.js"
import type { PostgresSession } from "../postgres/session.js"

const SAMPLES = 15

interface Probed {
  readonly roundTripMs: number
  readonly commitMs: number
}

/** A pooler gave the connection a server process that does not know its prepared statements, or knows others. */
const PREPARED_STATES: ReadonlySet<unknown> = new Set(["26000", "42P05"])

export const isOfPreparedStatements = (error: unknown): boolean =>
  error instanceof DatabaseError && PREPARED_STATES.has(error.code)

/** Throws what the server reports. */
export async function probe(database: Postgres, clock: Clock): Promise<Probed> {
  const session = await database.connect()
  const other = await database.connect()
  try {
    const lane = await runEveryStatement(session)
    for (const [one, holder] of [
      [session, other],
      [other, session],
    ] as const) {
      await one.incarnations()
      // A pooler in transaction mode gives the server process of the one to the holder's transaction.
      await holder.script("BEGIN")
      await one.incarnations()
      await holder.script("COMMIT")
    }
    return {
      roundTripMs: await medianMs(clock, () => session.script("SELECT 1")),
      commitMs: await medianMs(clock, () => session.resolve(lane)),
    }
  } finally {
    session.cut()
    other.cut()
  }
}

const NO_USAGE = { usage: [], newUsage: [], droppedUsage: [] }

async function runEveryStatement(session: PostgresSession) {
  const incarnation = await begin(session, "probe of a check")
  const lane = { incarnation, lane: 0 }
  const plain = { raisesGeneration: false, closesLanes: false }
  const nothing = { expected: [], replaced: [], deleted: [], added: [], counts: [], droppedCounters: [], ...NO_USAGE }
  const kinds = [{}, { raisesGeneration: true }, { closesLanes: true }]
  for (const kind of kinds) {
    const wanted = { keys: [], ranges: [], counters: [], usage: [], wantsTimestamps: true } as const
    const { lane: from, timestamps } = await session.fetch({ lane, ...wanted })
    const us = (timestamps?.latestUs ?? 0) + 1
    if (from)
      await session.makeChanges({ ...nothing, lane, from, version: 0n, ...plain, ...kind, firstUs: us, lastUs: us })
  }
  await session.closeTo(1)
  await session.incarnations()
  await session.storeId()
  await session.claim(parseStoreId("0".repeat(32)))
  await session.end(await begin(session, "ended probe of a check"))
  return lane
}

/** The check alone uses its schema. */
async function begin(session: PostgresSession, node: string): Promise<number> {
  const { highest } = await session.incarnations()
  return must(await session.begin({ node, process: "check" }, 1, highest), "no incarnation has begun since")
}

async function medianMs(clock: Clock, work: () => Promise<unknown>): Promise<number> {
  const samples: number[] = []
  for (let i = 0; i < SAMPLES; i += 1) {
    const startMs = clock.monotonicMs()
    await work()
    samples.push(clock.monotonicMs() - startMs)
  }
  return samples.sort((a, b) => a - b)[SAMPLES >> 1] ?? 0
}
