/**
 * Conversion of the running store: its metadata moves to a database, or back to the devices, behind ports that stay open.
 *
 * Order     to a database: rows are copied while clients work; then requests are held back, background work and commands
 *           end, the rest is copied, and the devices' control record names the database: the point of no return. To the
 *           devices: requests are held back, the node's engine closes, all rows are copied, and the record is written.
 *           Then the store is opened the other way, and requests continue.
 * Promises  Whatever fails, the store is opened again in the way that its devices decide (`reopen.ts`). What can be known
 *           to fail after the point of no return is tried before it: the node's port.
 */
import { resolve } from "node:path"
import { assert, must } from "@hayloft/base/assert.js"
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import { lockedNamesOf, requireLockedNames } from "@hayloft/base/locked-names.js"
import { clusterConfigOf, type ClusterConfig, type ServeConfig } from "@hayloft/node/config/index.js"
import { probeAddresses } from "@hayloft/protocols/http/index.js"
import { CheckpointThreads } from "@hayloft/node/metadata/checkpoint-threads.js"
import type { ConversionReport, StoreConversion, ToDatabaseRequest } from "@hayloft/node/convert/contract.js"
import { ToDatabase } from "@hayloft/node/convert/to-database.js"
import { moveToDevices, whyStay } from "@hayloft/node/convert/to-devices.js"
import type { EngineSettings } from "@hayloft/node/engine.js"
import type { Front } from "./threads/front.js"
import { closeWholly, openUntilOpen } from "./reopen.js"
import { CHECKPOINT_ENTRY } from "./run-store.js"
import { rowCipherIn } from "@hayloft/node/control/at-rest.js"
import { StoreSession, type SessionHost } from "./store-session.js"

/** Ends the session, and resolves with the one that continues. */
export type Switch = (session: StoreSession, front: Front) => Promise<StoreSession>

/** Loaded on demand: a store whose devices keep the metadata runs without it. */
const openDatabase = async (url: string) => (await import("@hayloft/engine/sql/index.js")).StoreDatabase.open(url)

const MOVING = "requests wait until the metadata of the store has moved"

export class Conversion implements StoreConversion {
  private shown: ConversionReport = { state: "none", progress: "the metadata is not being moved" }
  private session: StoreSession | undefined
  private copy: ToDatabase | undefined
  private running: Promise<void> | undefined
  /** The switch for which the session has to end; undefined if there is none. */
  private wanted: Switch | undefined
  private onWanted: () => void = () => undefined
  /** The store's clock when the last session ended for another one: the next goes on with it, whatever the wall clock is. */
  storeTime: EngineSettings["storeTime"]

  /** `signal`: the process stops. */
  constructor(
    private readonly host: () => SessionHost,
    private readonly signal: AbortSignal,
  ) {}

  report(): ConversionReport {
    const { copy, shown } = this
    return copy !== undefined && shown.state === "copying" ? { ...shown, progress: copy.progress } : shown
  }

  /** The session that serves from now on. */
  use(session: StoreSession): void {
    this.session = session
  }

  /** Its session ends for another one by itself. */
  get isSwitching(): boolean {
    return this.shown.state === "switching"
  }

  /** Resolves when the session has to end for another one. It stays wanted until the switch is called. */
  async next(): Promise<Switch> {
    while (this.wanted === undefined) await new Promise<void>(resolve => (this.onWanted = resolve))
    const { wanted } = this
    return (session, front) => {
      this.wanted = undefined
      return wanted(session, front)
    }
  }

  private want(wanted: Switch): void {
    this.wanted = wanted
    this.onWanted()
  }

  /** Once the signal has fired: waits for the end of a copy that is under way. */
  async stop(): Promise<void> {
    await this.running
    await this.copy?.stop()
  }

  private begin(): StoreSession {
    if (this.shown.state === "copying" || this.shown.state === "switching")
      throw fail("conflict", { message: "the metadata is being moved already" })
    return must(this.session, "the ports open once a store runs")
  }

  async toDatabase(request: ToDatabaseRequest): Promise<ConversionReport> {
    const session = this.begin()
    const { store, running } = session
    const { engine } = running
    if (store.node !== undefined || engine.tablet === undefined)
      throw fail("conflict", { message: "the metadata of this store is in a database already" })
    if (store.secrets.keyInRecord) throw keyInStore(session.config)
    if ((engine.recordManager.record.keyring?.atRest?.converting.length ?? 0) > 0) throw stillEncrypting()
    const { seams, io } = this.host()
    const { databaseUrl, ...rest } = request
    const texts = Object.entries({ ...rest, cluster: databaseUrl }).flatMap(([name, text]) =>
      text === undefined ? [] : [[name, [text]] as const],
    )
    const cluster = must(clusterConfigOf(Object.fromEntries(texts), io.hostName), "a URL is given")
    this.shown = { state: "copying", progress: "the database is being claimed" }
    try {
      await probeNodePort(cluster)
      const database = await openDatabase(cluster.databaseUrl)
      const { clock, random, telemetry } = seams
      const converted = {
        storeId: store.storeId,
        tablet: engine.tablet,
        record: () => engine.recordManager.record,
        cipher: rowCipherIn(engine.recordManager.record, running.masterKeys.current, random),
      }
      const copy = await ToDatabase.begin({ clock, random, log: telemetry.log, database }, converted, cluster.node)
      this.copy = copy
      this.running = this.copyRows(copy, cluster)
      return this.report()
    } catch (error) {
      this.shown = { state: "none", progress: asFailure(error).message }
      throw error
    }
  }

  /** Never rejects. */
  private async copyRows(copy: ToDatabase, cluster: ClusterConfig): Promise<void> {
    this.step("claimed")
    try {
      await copy.copyRows(this.signal)
      this.step("copied")
      this.want((session, front) => this.switchToDatabase(session, front, copy, cluster))
    } catch (error) {
      await this.giveUp(copy, asFailure(error))
    }
  }

  private async giveUp(copy: ToDatabase, failure: Failure): Promise<void> {
    await copy.stop()
    this.copy = undefined
    this.ended(failure)
  }

  private ended(failure: Failure): void {
    this.shown = { state: "failed", progress: failure.message }
    this.host().seams.telemetry.log.error("conversion_failed", { reason: failure.message })
  }

  private async switchToDatabase(
    session: StoreSession,
    front: Front,
    copy: ToDatabase,
    cluster: ClusterConfig,
  ): Promise<StoreSession> {
    const { engine } = session.running
    const why = copy.whyEnd(engine.tablet)
    if (why !== undefined) {
      await this.giveUp(copy, why)
      return session
    }
    this.storeTime = engine.services.storeClock.time
    this.shown = { state: "switching", progress: `${copy.progress}; requests wait` }
    const asNode: ServeConfig = { ...session.config, cluster, metaCopies: undefined }
    const failure = await failureOf(async () => {
      await front.hold(MOVING)
      this.step("requests_held")
      await session.endBackground()
      const tablet = must(engine.tablet, "the devices keep the metadata")
      await tablet.stop()
      this.step("commands_ended")
      await copy.finish(tablet)
      this.step("caught_up")
      await probeNodePort(cluster)
      await engine.recordManager.change("cluster init", record => copy.withoutTablets(record, cluster))
      this.step("decided")
    })
    await copy.stop()
    this.copy = undefined
    await closeWholly(this.host().seams.clock, this.signal, session)
    this.step("closed")
    return this.reopen(front, failure === undefined ? [asNode] : [session.config, asNode], failure)
  }

  private step(name: string): void {
    this.host().seams.telemetry.log.info("conversion_step", { step: name })
  }

  async toDevices(lockedBuckets: readonly string[] = []): Promise<ConversionReport> {
    const session = this.begin()
    const { store, running, config } = session
    const { node } = store
    if (node === undefined || config.cluster === undefined)
      throw fail("conflict", { message: "the devices of this store keep its metadata already" })
    if (node.metadata.halt !== undefined) throw fail("databaseRolledBack")
    const live = node.metadata.live.nodes.map(each => each.node)
    const why = whyStay(running.engine.recordManager.record, node.name, live)
    if (why !== undefined) throw fail("conflict", { message: why })
    const locked = await running.engine.services.buckets.locked()
    const change = "the metadata moves from the database to the devices of this machine"
    requireLockedNames(change, lockedNamesOf(locked.map(({ name }) => name)), lockedBuckets)
    // Another request may have begun meanwhile.
    this.begin()
    this.shown = { state: "switching", progress: "requests wait until all rows are on the devices" }
    this.want((current, front) => this.switchToDevices(current, front))
    return this.report()
  }

  private async switchToDevices(session: StoreSession, front: Front): Promise<StoreSession> {
    const { config } = session
    const { cluster } = config
    this.storeTime = session.running.engine.services.storeClock.time
    assert(cluster !== undefined, "the store has a database")
    const alone: ServeConfig = { ...config, cluster: undefined }
    const failure = await failureOf(async () => {
      await front.hold(MOVING)
      this.step("requests_held")
      await session.stop()
      this.step("stopped")
      await this.moveToDevices(session, cluster)
    })
    await closeWholly(this.host().seams.clock, this.signal, session)
    return this.reopen(front, failure === undefined ? [alone] : [config, alone], failure)
  }

  /** The session has stopped, and holds its folders. */
  private async moveToDevices({ store, running, folders }: StoreSession, cluster: ClusterConfig): Promise<void> {
    const { seams } = this.host()
    const { log } = seams.telemetry
    const { name, metadata } = must(store.node, "the store is that of a node")
    await moveToDevices(
      {
        ...seams,
        log,
        database: await openDatabase(cluster.databaseUrl),
        checkpoints: new CheckpointThreads(CHECKPOINT_ENTRY, seams.clock, log),
      },
      {
        node: name,
        masterKey: running.masterKeys.current,
        folders,
        seen: { mark: metadata.mark, record: running.engine.recordManager.record },
      },
      {
        rows: count => (this.shown = { state: "switching", progress: `${count} rows copied; requests wait` }),
        step: step => this.step(step),
      },
    )
  }

  private async reopen(
    front: Front,
    configs: readonly ServeConfig[],
    failure: Failure | undefined,
  ): Promise<StoreSession> {
    const { clock, telemetry } = this.host().seams
    const ways = configs.map(config => () => StoreSession.open(this.host(), config))
    const session = await openUntilOpen(clock, this.signal, ways, reason => {
      telemetry.log.error("store_not_opened", { reason: reason.message })
      this.shown = { state: "switching", progress: `requests wait; the store is not open yet: ${reason.message}` }
    })
    front.use(session)
    this.opened(session, failure)
    return session
  }

  private opened(session: StoreSession, failure: Failure | undefined): void {
    const { log } = this.host().seams.telemetry
    const { cluster } = session.config
    this.use(session)
    log.info("store_opened_again", { metadata: cluster === undefined ? "devices" : "database" })
    if (failure !== undefined) {
      this.ended(failure)
      return
    }
    const progress =
      cluster === undefined
        ? "the devices keep the metadata: start without --cluster from now on"
        : "the database keeps the metadata: start with these settings from now on"
    this.shown = { state: "done", progress, ...(cluster && { settings: settingsOf(cluster) }) }
  }
}

async function failureOf(work: () => Promise<void>): Promise<Failure | undefined> {
  try {
    await work()
    return undefined
  } catch (error) {
    return asFailure(error)
  }
}

/** Without the URL, which may contain a password. */
const settingsOf = ({ node, zone, machine }: ClusterConfig): Readonly<Record<string, string>> => ({
  "--node": node,
  ...(zone === undefined ? {} : { "--zone": zone }),
  ...(machine === node ? {} : { "--machine": machine }),
})

const keyInStore = ({ dataFolders }: ServeConfig): Failure => {
  const folders = dataFolders.map(folder => ` --data ${resolve(folder)}`).join("")
  return fail("conflict", {
    message: `the master key of this store is only in its data folders, and every node needs it: stop the store, move the key to a file with: hayloft key move-out FILE${folders}, and start with --master-key-file FILE`,
  })
}

const stillEncrypting = (): Failure =>
  fail("conflict", {
    message:
      "the devices of this store are still being encrypted: move its metadata once that is done; see hayloft jobs",
  })

const probeNodePort = ({ nodeListen }: ClusterConfig): Promise<void> =>
  probeAddresses([{ ...nodeListen, flag: "--node-listen" }])
