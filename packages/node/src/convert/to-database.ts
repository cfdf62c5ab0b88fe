/**
 * To a database: moves the metadata of a running store from its devices to an empty database.
 *
 * Order     claim the database and note there that rows are being copied; copy all rows while clients work; once commands
 *           are refused, copy what has changed since; then the devices' control record names no tablet any more: the
 *           point of no return, which the caller reaches by `withoutTablets`. A node's start does the rest (`settle.ts`).
 * Promises  Until then the devices keep the metadata, and the database is used by no node: an interrupted copy is worth
 *           nothing, and the next one begins again. No node ever starts on a database that lacks rows. Incarnations, and with them positions, of the database are above
 *           all of the store's, so versions stay in order, and what was released before is kept as long as anything else.
 *           Rows of a store that encrypts everything at rest are encrypted in the database too.
 * Refuses   To go on once the metadata log has failed: the store is opened again then, and commits what this copy never
 *           learns of. It ends with `conflict`.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import { parseNodeName, type Incarnation, type NodeName, type StoreId } from "@hayloft/base/ids.js"
import type { RowCipher } from "@hayloft/base/encryption/row-cipher.js"
import type { ClusterConfig } from "../config/index.js"
import { setConversion } from "@hayloft/engine/coordination/index.js"
import type { ConversionState } from "@hayloft/engine/format/nodes/cluster-rows.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Primary } from "@hayloft/engine/tablet/index.js"
import type { MetadataDatabase, SharedMetadata } from "../metadata/database.js"
import { lowestIncarnation } from "./lowest-core.js"
import { removeCopies, RowCopy } from "./row-copy.js"

const TO_DATABASE_LIMITS = {
  /** Commands may be refused as soon as no more rows are behind: they are copied in a fraction of a second. */
  switchRowsMax: 1_000,
  /** Pause after a step of the copy, as a multiple of its duration: clients come first. */
  pause: 0.5,
  pauseMsMax: 200,
  /** Between two tries while the database does not respond. */
  retryMs: 1_000,
  /** While requests wait: a database that does not take the rest within this is given up. */
  finishMsMax: 10_000,
} as const

interface ConvertSeams {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly database: MetadataDatabase
}

/** The store that is converted. */
interface ConvertedStore {
  readonly storeId: StoreId
  readonly tablet: Primary
  readonly record: () => ControlRecord
  /** The cipher of a store that encrypts everything at rest. */
  readonly cipher: RowCipher | undefined
}

export class ToDatabase {
  private readonly unwatch: () => void
  private isDatabaseAway = false

  private constructor(
    private readonly seams: ConvertSeams,
    private readonly store: ConvertedStore,
    private readonly node: NodeName,
    private readonly metadata: SharedMetadata,
    private readonly copy: RowCopy,
  ) {
    this.unwatch = store.tablet.watch(writes => copy.note(writes))
  }

  /**
   * Claims the database. Throws `foreignDatabase` unless it is empty, or an interrupted copy of this store,
   * `databaseUnreachable`, and `limitExceeded` for a store that was started too often.
   */
  static async begin(seams: ConvertSeams, store: ConvertedStore, node: string): Promise<ToDatabase> {
    const { clock, random, log, database } = seams
    const name = parseNodeName(node)
    const lowest = lowestOf(store)
    const before = await copyIn(database, store.storeId)
    const claimed = await database.claim(store.storeId)
    if (claimed !== store.storeId) throw taken(claimed)
    await database.skipIncarnations(lowest)
    const metadata = await database.open({ clock, random: random.fork("conversion"), log }, name, [], true)
    if (store.cipher !== undefined) metadata.sealRows(store.cipher)
    try {
      await metadata.run(setConversion(before, { state: "copying", generation: store.record().generation }))
      return new ToDatabase(seams, store, name, metadata, new RowCopy(store.tablet, metadata))
    } catch (error) {
      await metadata.stop()
      throw error
    }
  }

  get progress(): string {
    const { progress } = this.copy
    return this.isDatabaseAway ? `${progress}; the database does not respond, and is tried again` : progress
  }

  /**
   * Copies until few rows are behind; while the database is away, it waits. Throws the failure that ends the copy, or the
   * signal's reason.
   */
  async copyRows(signal: AbortSignal): Promise<void> {
    const onAbort = (): void => void this.stop()
    signal.addEventListener("abort", onAbort)
    try {
      await this.copyUntilClose(signal)
    } finally {
      signal.removeEventListener("abort", onAbort)
    }
  }

  private async copyUntilClose(signal: AbortSignal): Promise<void> {
    const { clock } = this.seams
    await this.unlessAway(signal, () => removeCopies(this.metadata))
    for (;;) {
      signal.throwIfAborted()
      const why = this.whyEnd(this.store.tablet)
      if (why !== undefined) throw why
      const startedMs = clock.monotonicMs()
      const isBusy = await this.unlessAway(signal, () => this.copy.step())
      if (!isBusy || (this.copy.isThrough && this.copy.rowsChanged <= TO_DATABASE_LIMITS.switchRowsMax)) return
      const { pause, pauseMsMax } = TO_DATABASE_LIMITS
      await clock.sleep(Math.min(pauseMsMax, pause * (clock.monotonicMs() - startedMs)), signal)
    }
  }

  /** Repeats work while the database does not respond. */
  private async unlessAway<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const done = await work()
        this.isDatabaseAway = false
        return done
      } catch (error) {
        if (!isFailure(error, "databaseUnreachable")) throw error
        this.isDatabaseAway = true
      }
      await this.seams.clock.sleep(TO_DATABASE_LIMITS.retryMs, signal)
      signal.throwIfAborted()
    }
  }

  /** Returns why the copy is worth nothing in a session with this tablet; undefined: it learns of all that is committed. */
  whyEnd(tablet: Primary | undefined): Failure | undefined {
    return tablet === this.store.tablet && tablet.isServing ? undefined : openedAgain()
  }

  /**
   * Copies what has changed since. The caller has stopped the tablet of the store that it closes, so that it refuses
   * commands from before the call on. Throws `conflict` if that is not the one whose rows were copied.
   */
  async finish(stopped: Primary): Promise<void> {
    const { clock } = this.seams
    if (stopped !== this.store.tablet || stopped.isHalted) throw openedAgain()
    const over = new AbortController()
    let isLate = false
    // Ends what waits for the database.
    const late = clock.sleep(TO_DATABASE_LIMITS.finishMsMax, over.signal).then(async () => {
      if (over.signal.aborted) return
      isLate = true
      await this.stop()
    })
    try {
      while (await this.copy.step()) if (isLate) throw tooSlow()
      await this.noteCopied()
    } catch (error) {
      throw isLate ? tooSlow() : error
    } finally {
      over.abort()
      await late
    }
  }

  /** From now on the record on the devices decides. */
  private async noteCopied(): Promise<void> {
    const { database } = this.seams
    await database.skipIncarnations(lowestOf(this.store))
    await database.skipTimestamps(this.store.tablet.lastTimestamp)
    if ((await database.control()) !== undefined)
      throw fail("foreignDatabase", { message: "another node has made a store in the database meanwhile" })
    const { generation } = this.store.record()
    await this.metadata.run(setConversion("copying", { state: "copied", generation }))
  }

  /** The record that makes the database decide. */
  withoutTablets(record: ControlRecord, { zone, machine }: Pick<ClusterConfig, "zone" | "machine">): ControlRecord {
    const { own } = this.metadata.incarnations
    const home = { node: this.node, incarnation: own, ...(zone === undefined ? {} : { zone }), machine }
    return { ...record, tablets: [], devices: record.devices.map(device => ({ ...device, home })) }
  }

  /** Ends the own incarnation in the database, and all connections. */
  async stop(): Promise<void> {
    this.unwatch()
    await this.metadata.stop()
  }
}

/** The state of an interrupted copy; undefined: the database is empty. Throws `foreignDatabase` for any other content. */
async function copyIn(database: MetadataDatabase, storeId: StoreId): Promise<ConversionState | undefined> {
  const [owner, control, conversion] = [await database.storeId(), await database.control(), await database.conversion()]
  if (owner !== undefined && owner !== storeId) throw taken(owner)
  const state = conversion?.state
  if (state !== undefined && state !== "copying" && state !== "copied") {
    throw fail("foreignDatabase", {
      message: "the database has the metadata of this store from an earlier time: pass the URL of an empty database",
    })
  }
  if (control !== undefined)
    throw fail("foreignDatabase", {
      message: "the database keeps the metadata of this store already",
      database: storeId,
    })
  return state
}

const openedAgain = () =>
  fail("conflict", {
    message: "the metadata log failed while its rows were copied, and the store stays on its devices: begin again",
  })

const tooSlow = () =>
  fail("databaseUnreachable", {
    message: `the database did not take the last changes within ${TO_DATABASE_LIMITS.finishMsMax / 1_000} seconds`,
  })

const taken = (storeId: StoreId) =>
  fail("foreignDatabase", {
    message: "the database belongs to another store: pass the URL of an empty database",
    database: storeId,
  })

const lowestOf = ({ tablet: { incarnations, position, epoch } }: ConvertedStore): Incarnation =>
  lowestIncarnation({ own: incarnations.own, position, epoch })
