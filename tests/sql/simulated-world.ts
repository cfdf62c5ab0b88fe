/** A simulated database with engines on it: everything on one simulated clock and from one seed. */
import type { DatabaseMark } from "@hayloft/engine/format/device/database-mark.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { NO_FAULTS, type FaultPlan } from "@hayloft/engine/sql/simulated/faults.js"
import { SimulatedDatabase } from "@hayloft/engine/sql/simulated/simulated-database.js"
import { ConnectionLost, OutcomeUnknown, TryAgain, type Database, type Session } from "@hayloft/engine/sql/database.js"

/** Statements take time and overlap; nothing fails. */
export const SLOW: FaultPlan = {
  ...NO_FAULTS,
  requestMs: 4,
  partMs: 3,
  commitMs: 4,
  answerMs: 4,
  stalls: 0.02,
  stallMs: 200,
}

/** Connections end before, during and after statements, some of which arrive much later. */
export const UNRELIABLE: FaultPlan = {
  ...SLOW,
  refused: 0.05,
  lostBefore: 0.02,
  late: 0.03,
  lateMs: 2_000,
  lostDuring: 0.03,
  lostAfter: 0.03,
  aborted: 0.02,
  warned: 0.02,
}

export class SimulatedWorld {
  readonly clock = new SimClock()
  readonly random: Random
  readonly database: SimulatedDatabase
  readonly telemetry = new SimTelemetry()
  /** Engines work whatever their store says about where its metadata is. */
  moves = false
  private readonly engines: SqlMetadata[] = []

  constructor(seed: number, faults: FaultPlan) {
    this.random = new SimRandom(seed)
    this.database = new SimulatedDatabase({ clock: this.clock, random: this.random.fork("server"), faults })
  }

  /** Starts an engine. No statement of its start arrives later, which would end it. */
  async open(
    node: string,
    clock: Clock = this.clock,
    marks: readonly DatabaseMark[] = [],
    /** The database as the process of the engine reaches it. */
    database: Database = this.database,
  ): Promise<SqlMetadata> {
    const { faults } = this.database
    this.database.faults = SLOW
    try {
      return await this.openUnreliably(node, clock, marks, database)
    } finally {
      this.database.faults = faults
    }
  }

  /** Starts an engine; repeats a start that fails. */
  async openUnreliably(
    node: string,
    clock: Clock = this.clock,
    marks: readonly DatabaseMark[] = [],
    database: Database = this.database,
  ): Promise<SqlMetadata> {
    const { moves } = this
    const random = this.random.fork(node)
    const { log } = this.telemetry
    const engine = await this.repeat(() => SqlMetadata.open({ clock, random, log, database, node, marks, moves }))
    this.engines.push(engine)
    return engine
  }

  /** Runs statements of an operator, which may be repeated, on a connection of their own. */
  async byOperator<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.repeat(async () => {
      const session = await this.database.connect()
      try {
        return await work(session)
      } finally {
        await session.close()
      }
    })
  }

  private async repeat<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof ConnectionLost || error instanceof TryAgain || error instanceof OutcomeUnknown))
          throw error
        await this.pass(50)
      }
    }
  }

  pass(durationMs: number): Promise<void> {
    return this.clock.sleep(durationMs, new AbortController().signal)
  }

  /** Runs the work on the simulated clock, and stops all engines after it. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const done = async (): Promise<T> => {
      try {
        return await work()
      } finally {
        this.database.faults = SLOW
        await Promise.all(this.engines.map(engine => engine.stop()))
      }
    }
    return this.clock.runUntil(done())
  }
}

/** Runs the work at the same time `count` times. */
export const concurrently = (count: number, work: (worker: number) => Promise<void>): Promise<unknown> =>
  Promise.all(Array.from({ length: count }, (_, worker) => work(worker)))

export const anyOf = <T>(random: Random, items: readonly T[]): T => {
  const item = items[random.below(items.length)]
  if (item === undefined) throw new Error("nothing to choose from")
  return item
}
