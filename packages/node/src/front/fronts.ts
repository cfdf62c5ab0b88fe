/**
 * Fronts: the front threads of a process, in the thread of its engine. Each of them is served the rows, the devices and the
 * control record, and follows the state of the store.
 *
 * Promises  A front is over, for those who look after what it has left, once nothing that it has called can take effect any
 *           more. Bytes that were released are kept while a reader of a front may use them.
 *           Once the incarnation of the process is over, its fronts end.
 * Limits    On one machine, `FRONT_INCARNATIONS` fronts for each start of the process, those that were started again
 *           included.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { Incarnation } from "@hayloft/base/ids.js"
import { FRONT_THREADS_MAX } from "@hayloft/base/limits.js"
import { mapBounded, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { after } from "@hayloft/base/soon.js"
import type { MasterKeys, RootKey } from "@hayloft/access/index.js"
import { incarnationsSeen, plainCopy, type Incarnations } from "@hayloft/engine/metadata/index.js"
import { hintsOf, LastChanges, serveMetadata, serveShards, type ThreadLink } from "@hayloft/engine/thread/index.js"
import type { Primary } from "@hayloft/engine/tablet/index.js"
import type { StoreServices } from "@hayloft/features/index.js"
import { reachedNodes, type ClusterView } from "../cluster/cluster-view.js"
import type { RecordManager } from "../control/record-manager.js"
import type { StoreControl } from "../control/store-control.js"
import type { ShardExchange } from "../shard-exchange.js"
import type { StoreStatus } from "../status/contract.js"
import type { BegunFront, FrontNumbers } from "./front-numbers.js"
import { FRONT_METHODS, STORE_METHODS, type FrontStart, type StoreState } from "./methods.js"

const FRONT_LIMITS = {
  /** How often the state of devices is compared with what the fronts know. */
  compareEveryMs: 250,
} as const

/** The parts of an engine that fronts use. */
interface ServedEngine {
  readonly recordManager: RecordManager
  /** The metadata, unless it is in a database, where other processes change it too. */
  readonly tablet: Pick<Primary, "position" | "generation" | "watch"> | undefined
  readonly services: StoreServices
  readonly control: Pick<StoreControl, "singleCopyWritten">
  readonly exchange: ShardExchange
  readonly stalled: string | undefined
  raiseFormatEpoch(formatEpoch: number): Promise<void>
}

/** The store behind the fronts. */
interface ServedStore {
  readonly engine: ServedEngine
  readonly status: Pick<StoreStatus, "health" | "liveness">
  /** The nodes of the store; undefined: it is on one machine, or this node has not joined yet. */
  readonly nodes: () => ClusterView | undefined
  readonly masterKeys: MasterKeys
  readonly root: RootKey
}

interface Front {
  readonly incarnation: Incarnation
  /** The incarnation of the process in which it has begun. */
  readonly process: Incarnation
  /** How often the metadata had been reconciled by then. */
  readonly reconciliations: number | undefined
  readonly link: ThreadLink
  /** The oldest layout under which it may write, as it last said. */
  oldestLayout: number
  /** It knows the record of this generation, and the rest of the state as text. */
  knows: { readonly generation: number; readonly state: string }
  isTelling: boolean
}

export class Fronts implements BackgroundService {
  readonly name = "fronts"
  /** The engine thread sees them, and itself as `own`: on one machine, where that does not change. */
  readonly incarnations: Incarnations
  private readonly fronts = new Set<Front>()
  /** Fronts that have ended, which others do not know yet. */
  private readonly ended = new Set<Incarnation>()
  private ending: Promise<void> | undefined
  private store: ServedStore | undefined
  /** The changes of the metadata, if the engine thread makes all of them. */
  private changes: LastChanges | undefined

  constructor(
    private readonly clock: Clock,
    private readonly numbers: FrontNumbers,
  ) {
    this.incarnations = incarnationsSeen(() => numbers.seen, numbers.own)
  }

  /** How many fronts have begun and not ended. */
  get running(): number {
    return this.fronts.size
  }

  /** Call it once, before the first front begins. */
  serve(store: ServedStore): void {
    this.store = store
    const { recordManager, exchange, tablet } = store.engine
    this.changes = tablet && LastChanges.of(tablet)
    recordManager.onChange(() => this.tellAll())
    exchange.setThreads(() => Math.min(...[...this.fronts].map(({ oldestLayout }) => oldestLayout)))
  }

  /**
   * Begins a front, which receives the result. The caller starts the link then. Throws `limitExceeded`, and in a cluster
   * `databaseUnreachable` and `tooManyInFlight`.
   */
  async begin(link: ThreadLink): Promise<FrontStart> {
    const begun = await this.numbers.begin()
    try {
      return await this.beginAs(begun, link)
    } catch (error) {
      this.ended.add(begun.front)
      this.endAll()
      throw error
    }
  }

  private async beginAs({ front: incarnation, process }: BegunFront, link: ThreadLink): Promise<FrontStart> {
    const { engine, masterKeys, root } = this.served
    // Before the process began this incarnation, the layout may have changed twice: see `SharedRecordManager.ready`.
    await engine.recordManager.refresh?.()
    const { reconciliations } = this.numbers.seen
    if (this.isOver({ process, reconciliations }))
      throw fail("tooManyInFlight", { message: "the process was away for too long" })
    const { record } = engine.recordManager
    const state = this.state()
    const knows = { generation: record.generation, state: JSON.stringify(state) }
    const front: Front = {
      incarnation,
      process,
      reconciliations,
      link,
      oldestLayout: record.layout.version,
      knows,
      isTelling: false,
    }
    this.serveStore(front)
    this.fronts.add(front)
    void link.closed.then(() => this.end(front))
    this.tellAll()
    const { current: masterKey, former: formerKey, next: nextKey } = masterKeys
    const secrets = { masterKey, formerKey, nextKey, root }
    const start = plainCopy({ incarnation, storeId: record.storeId, record, state, secrets })
    return { ...start, changes: this.changes?.memory }
  }

  /** Resolves with the position that no reader of a front uses bytes of, if they were released at it or before. */
  readonly oldestPin = async (): Promise<number> => {
    const pins = await mapBounded([...this.fronts], FRONT_THREADS_MAX, ({ link }) =>
      link.call(FRONT_METHODS.oldestPin, undefined).catch((error: unknown) => {
        // Its thread has ended, with its readers.
        if (isFailure(error, "stopping")) return Number.MAX_SAFE_INTEGER
        throw error
      }),
    )
    return Math.min(Number.MAX_SAFE_INTEGER, ...pins)
  }

  /** Compares what the fronts know with what is so now. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.clock.sleep(FRONT_LIMITS.compareEveryMs, signal)
      this.endAll()
      this.tellAll()
    }
  }

  private get served(): ServedStore {
    if (this.store === undefined) throw fail("internal", { message: "fronts begin once there is a store" })
    return this.store
  }

  private state(): StoreState {
    const { engine, status, nodes } = this.served
    return {
      incarnations: this.numbers.seen,
      devices: hintsOf(engine.exchange.all),
      stalled: engine.stalled,
      health: status.health(true),
      liveness: status.liveness(),
      othersReached: reachedNodes(nodes()),
    }
  }

  private serveStore({ incarnation, link }: Front): void {
    const { engine } = this.served
    const { recordManager, services, control, exchange } = engine
    serveMetadata(
      link,
      services.tablet,
      incarnationsSeen(() => this.numbers.seen, incarnation),
      this.changes !== undefined,
    )
    serveShards(link, exchange.all)
    link.handle(STORE_METHODS.changeRecord, async ({ name, before, next }) => {
      let isMade = false
      const record = await recordManager.change(name, present => {
        isMade = present.generation === before
        return isMade ? next : undefined
      })
      return { isMade, record }
    })
    link.handle(STORE_METHODS.readRecord, () => after(recordManager.refresh?.(), () => recordManager.record))
    link.handle(STORE_METHODS.spreadRecord, () => recordManager.spread())
    link.handle(STORE_METHODS.raiseFormatEpoch, epoch => engine.raiseFormatEpoch(epoch))
    link.handle(STORE_METHODS.refuseEarlier, () => services.refuseEarlier())
    link.handle(STORE_METHODS.singleCopyWritten, () => control.singleCopyWritten())
    link.handle(STORE_METHODS.onDamage, damage => services.repair.noteDamage({ ...damage, id: damage.needle }))
  }

  private end(front: Front): void {
    this.fronts.delete(front)
    this.ended.add(front.incarnation)
    this.endAll()
  }

  /** The process has begun another incarnation since, or the store may have another record, with any generation. */
  private isOver({ process, reconciliations }: Pick<Front, "process" | "reconciliations">): boolean {
    const { own, seen } = this.numbers
    return process !== own || reconciliations !== seen.reconciliations
  }

  private endAll(): void {
    if (this.ended.size > 0) this.ending ??= this.endNow().finally(() => (this.ending = undefined))
  }

  /** Never rejects. */
  private async endNow(): Promise<void> {
    for (const incarnation of this.ended) {
      try {
        await this.numbers.end(incarnation)
        this.ended.delete(incarnation)
      } catch {
        // It is tried again with the next comparison: the database is not reached.
      }
    }
    this.tellAll()
  }

  /** Tells the fronts what has changed, which otherwise waits for the next comparison. */
  private tellAll(): void {
    for (const front of this.fronts) if (this.isOver(front)) front.link.close()
    if (this.fronts.size === 0) return
    const state = this.state()
    const text = JSON.stringify(state)
    for (const front of this.fronts) this.tell(front, state, text)
  }

  /** One at a time: a front that does not read is told the newest once it does. */
  private tell(front: Front, state: StoreState, text: string): void {
    const { record } = this.served.engine.recordManager
    const { knows, link, isTelling } = front
    const isBehind = front.oldestLayout < record.layout.version
    if (isTelling || (!isBehind && knows.generation === record.generation && knows.state === text)) return
    front.isTelling = true
    front.knows = { generation: record.generation, state: text }
    const told = knows.generation === record.generation ? undefined : record
    link
      .call(FRONT_METHODS.follow, { record: told, state })
      .then(({ oldestLayout }) => {
        front.oldestLayout = oldestLayout
        front.isTelling = false
        if (this.fronts.has(front) && front.knows.generation !== this.served.engine.recordManager.record.generation) {
          this.tellAll()
        }
      })
      .catch(() => {
        // Unless it has ended, it is told again with the next comparison.
        front.knows = knows
        front.isTelling = false
      })
  }
}
