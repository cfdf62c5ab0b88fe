/**
 * The metadata engine on a database, and the planning of layouts.
 *
 * Commands of 64 clients per second of processor time of this process and the database together, against the same rows
 * written in batches of the same size, without any decision, on as many connections of the same client library.
 */
import { Client } from "pg"
import { parseDeviceId, rowKeyOf } from "@hayloft/base/ids.js"
import { PARTITIONS } from "@hayloft/base/limits.js"
import type { PostgresProcess } from "@hayloft/client/testing-postgres.js"
import { command } from "@hayloft/engine/metadata/index.js"
import { planLayout, planNext } from "@hayloft/engine/placement/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { Postgres, SqlMetadata } from "@hayloft/engine/sql/index.js"
import { timed, type Bench } from "../bench.js"
import { openPostgres, removePostgres } from "../own-nodes.js"
import { CPU_SECONDS_MIN, cpuSecondsOf, cpuSecondsOfFamily } from "../process-usage.js"
import { all, atLeast, atMost, type Measured, type Row } from "../row.js"
import { theme, type Fixture } from "../theme.js"

const CLIENTS = 64
/** The lanes of the engine. */
const CONNECTIONS = 2
const ROW_BYTES = 300
const WARM_SHARE = 0.3
const DEVICES = 1000
const ZONES = 40
const WIDTH = 6
const PLANNING_SECONDS_MAX = 10

const writeRow = command<[string, Uint8Array], undefined>({
  name: "BenchWriteRow",
  touches: key => [["pendingDeletions", rowKeyOf(key)]],
  decide(view, _, key, value) {
    const row = { family: "pendingDeletions", key: rowKeyOf(key) } as const
    view.get(row.family, row.key)
    return { writes: [{ ...row, value }], result: undefined }
  },
})

interface Cost {
  /** Thousand rows per second of processor time of this process and the database. */
  readonly perCpuSecond: number
  /** Processor time for a row, in microseconds, of this process and of the database. */
  readonly ownMicros: number
  readonly databaseMicros: number
}

class Commands implements Fixture {
  private readonly row = new RealRandom().bytes(ROW_BYTES)
  private rows = 0

  private constructor(
    private readonly bench: Bench,
    private readonly postgres: PostgresProcess,
    private readonly metadata: SqlMetadata,
    private readonly clients: readonly Client[],
  ) {}

  static async open(bench: Bench): Promise<Commands> {
    const postgres = await openPostgres(bench)
    const database = new Postgres(postgres.url)
    await database.migrate()
    const { clock } = bench
    const { log } = new SimTelemetry()
    const metadata = await SqlMetadata.open({ clock, log, random: new RealRandom(), database, node: "bench" })
    await postgres.sql("CREATE TABLE plain (LIKE hayloft.rows INCLUDING ALL)", "hayloft")
    const clients = Array.from({ length: CONNECTIONS }, () => new Client(postgres.url))
    for (const client of clients) await client.connect()
    return new Commands(bench, postgres, metadata, clients)
  }

  async close(): Promise<void> {
    for (const client of this.clients) await client.end()
    await this.metadata.stop()
    await removePostgres(this.postgres)
  }

  async commands(): Promise<Measured> {
    const own = await this.cost(CLIENTS, async () => {
      await this.metadata.run(writeRow(this.nextKey(), this.row))
      return 1
    })
    const plain = await this.plainBatches()
    const also = {
      ownMicros: own.ownMicros,
      databaseMicros: own.databaseMicros,
      plainOwnMicros: plain.ownMicros,
      plainDatabaseMicros: plain.databaseMicros,
    }
    return { figure: own.perCpuSecond, unit: "k/CPU s", limit: plain.perCpuSecond, also }
  }

  /** While a batch of the engine is running, half of its clients wait for the next one. */
  private plainBatches(): Promise<Cost> {
    const batch = CLIENTS / CONNECTIONS / 2
    return this.cost(CONNECTIONS, async worker => {
      const keys = Array.from({ length: batch }, () => Buffer.from(this.nextKey()))
      await this.clients[worker]?.query({
        name: "plain-batch",
        text: `INSERT INTO plain (family, bucket, key, version, value)
          SELECT 1, 0, key, 1, value FROM unnest($1::bytea[], $2::bytea[]) AS q(key, value)`,
        values: [keys, keys.map(() => Buffer.from(this.row))],
      })
      return batch
    })
  }

  private nextKey(): string {
    this.rows += 1
    return `bench row ${String(this.rows).padStart(12, "0")}`
  }

  private async cost(workers: number, write: (worker: number) => Promise<number>): Promise<Cost> {
    const { seconds } = this.bench.scale
    await this.during(workers, seconds * WARM_SHARE, write)
    const cpuSeconds = () => Promise.all([cpuSecondsOf(process.pid), cpuSecondsOfFamily(this.postgres.pid)])
    const [ownBefore, databaseBefore] = await cpuSeconds()
    const rows = await this.during(workers, seconds, write)
    const [own, database] = await cpuSeconds()
    const [ownSeconds, databaseSeconds] = [
      Math.max(CPU_SECONDS_MIN, own - ownBefore),
      Math.max(CPU_SECONDS_MIN, database - databaseBefore),
    ]
    return {
      perCpuSecond: rows / 1000 / (ownSeconds + databaseSeconds),
      ownMicros: (ownSeconds * 1e6) / rows,
      databaseMicros: (databaseSeconds * 1e6) / rows,
    }
  }

  private async during(workers: number, seconds: number, write: (worker: number) => Promise<number>): Promise<number> {
    const { clock } = this.bench
    const endMs = clock.monotonicMs() + seconds * 1000
    let rows = 0
    const work = async (_: unknown, worker: number): Promise<void> => {
      while (clock.monotonicMs() < endMs) {
        const written = await write(worker)
        rows += written
      }
    }
    await Promise.all(Array.from({ length: workers }, work))
    return rows
  }

  /** A layout of many devices in many zones, and the next one with another device. */
  async planning(): Promise<Measured> {
    const devices = Array.from({ length: DEVICES }, (_, i) => ({
      id: parseDeviceId((i + 1).toString(16).padStart(16, "0")),
      weight: 1 + (i % 3),
      domains: { zone: `zone-${i % ZONES}`, machine: `machine-${i % (DEVICES / 5)}` },
    }))
    const { clock } = this.bench
    const first = await timed(clock, () => Promise.resolve(planLayout(devices.slice(1), WIDTH)))
    const next = await timed(clock, () => Promise.resolve(planNext(first.result, devices, WIDTH, 2)))
    return { figure: first.seconds, unit: "s", also: { nextSeconds: next.seconds, partitions: PARTITIONS } }
  }
}

const ROWS: readonly Row<Commands>[] = [
  {
    work: `commands of ${CLIENTS} clients, against plain batches`,
    target: all(atLeast("ratio", 0.6)),
    measure: it => it.commands(),
  },
  {
    work: `layout of ${DEVICES} devices in ${ZONES} zones`,
    target: all(atMost("figure", PLANNING_SECONDS_MAX), atMost("nextSeconds", PLANNING_SECONDS_MAX)),
    measure: it => it.planning(),
  },
]

/** Needs PostgreSQL. */
export const COMMANDS = theme({
  name: "commands",
  isOnRequest: true,
  open: bench => Commands.open(bench),
  rows: () => ROWS,
})
