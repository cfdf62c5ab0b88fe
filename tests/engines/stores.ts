/** The engines that histories are played on: the embedded one, and the SQL engine on any database. */
import { isFailure } from "@hayloft/base/failures.js"
import { parseIncarnation, type Incarnation } from "@hayloft/base/ids.js"
import type { Incarnations } from "@hayloft/engine/metadata/index.js"
import type { SqlMetadata } from "@hayloft/engine/sql/index.js"
import { Scene } from "../tablet/scene.js"
import type { ProcessUnderTest, StoreUnderTest } from "./player.js"

/** Three replicas. A restart recovers them; every second one after a checkpoint. */
export class EmbeddedStore implements StoreUnderTest {
  readonly processes: readonly ProcessUnderTest[]
  private starts = 1
  private readonly incarnations: Incarnations

  constructor(private readonly scene = new Scene({ devices: 3 })) {
    const own = () => parseIncarnation(this.starts)
    this.incarnations = {
      get own() {
        return own()
      },
      get oldestLive() {
        return own()
      },
      isOver: incarnation => incarnation < this.starts,
    }
    this.processes = [this.process()]
  }

  private process(): ProcessUnderTest {
    const { scene } = this
    return {
      get metadata() {
        return scene.tablet
      },
      restart: () => this.restart(),
      learn: () => Promise.resolve(),
    }
  }

  open(): Promise<void> {
    return this.scene.open(this.incarnations)
  }

  private async restart(): Promise<void> {
    await this.scene.tablet.stop()
    if (this.starts % 2 === 0) for (const device of this.scene.devices) await device.checkpoint()
    this.starts += 1
    await this.open()
  }

  stop(): Promise<void> {
    return this.scene.tablet.stop()
  }
}

/** Few, so that some are left. */
const COUNTERS_FOLDED = 3

/** One process of a store on a database. */
export class SqlProcess implements ProcessUnderTest {
  private constructor(
    private readonly start: () => Promise<SqlMetadata>,
    private current: SqlMetadata,
    private readonly beforeRetry: () => Promise<void>,
  ) {}

  static async open(start: () => Promise<SqlMetadata>, beforeRetry: () => Promise<void>): Promise<SqlProcess> {
    return new SqlProcess(start, await start(), beforeRetry)
  }

  get metadata(): SqlMetadata {
    return this.current
  }

  /** The successor starts while the predecessor is still running. */
  async restart(): Promise<void> {
    const before = this.current
    this.current = await this.start()
    await before.stop()
    // The sums of counters stay as they are.
    await this.current.foldCounters(COUNTERS_FOLDED).catch((error: unknown) => {
      if (!isFailure(error, "databaseUnreachable", "stopping")) throw error
    })
  }

  async learn(ended: Incarnation): Promise<void> {
    while (!this.current.incarnations.isOver(ended)) {
      const once = new AbortController()
      const kept = this.current.keepUp(once.signal)
      once.abort()
      await kept
      await this.beforeRetry()
    }
  }

  stop(): Promise<void> {
    return this.current.stop()
  }
}
