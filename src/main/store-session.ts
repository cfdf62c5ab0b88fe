/**
 * Store session: one opened store with its background work, and the protocols that serve it. A process has one after the
 * other if its metadata moves to a database or back; the ports stay.
 *
 * Order of the end: background work ends; then the engine makes its last checkpoint and closes; then the folders are
 * released.
 */
import { Denials, openAdminTokens, openAuditLog } from "../access/index.js"
import { AdminApi, AdminProtocol } from "../admin/index.js"
import { must } from "../base/assert.js"
import type { Failure } from "../base/failures.js"
import type { CliIo } from "../cli/io.js"
import { readVersion } from "../cli/version.js"
import { REGION_DEFAULT, type ListenAddress, type ServeConfig } from "../config/config.js"
import type { Protocol } from "../http/index.js"
import { createIamHandler, speaksIam } from "../iam/index.js"
import { createKmsHandler, speaksKms } from "../kms/index.js"
import { supervise } from "../life/index.js"
import type { Membership } from "../node/cluster/membership.js"
import { openNode } from "../node/cluster/open-node.js"
import type { HeldFolder } from "../node/convert/to-devices.js"
import type { StoreConversion } from "../node/convert/contract.js"
import type { OpenedStore } from "../node/open/contract.js"
import { openStore } from "../node/open/open-store.js"
import type { MasterKeyFiles } from "../node/open/secrets.js"
import type { EngineSettings } from "../node/engine.js"
import { createS3Handler, createWebsiteHandler, settingsOfNewBucket, type S3Settings } from "../s3/index.js"
import type { Clock } from "../seams/clock/contract.js"
import type { Disk } from "../seams/disk/contract.js"
import type { FolderLocks } from "../seams/lock/contract.js"
import type { Random } from "../seams/random/contract.js"
import { MetricsInMemory } from "../seams/telemetry/metrics.js"
import type { Telemetry } from "../seams/telemetry/contract.js"
import { RealWeb } from "../seams/web/real.js"
import type { TableStores } from "../table/index.js"
import { FolderDocuments } from "./documents.js"
import { PortRouter, type Guest } from "./port-router.js"
import { runNode } from "./run-node.js"
import { runStore, type RunningStore } from "./run-store.js"

const LOOPBACK = /^(127\.|::1$|localhost$)/

export const isLoopback = ({ host }: ListenAddress): boolean => LOOPBACK.test(host)

export interface SessionHost {
  readonly seams: {
    readonly clock: Clock
    readonly disk: Disk
    readonly random: Random
    readonly stores: TableStores
    readonly locks: FolderLocks
    readonly telemetry: Telemetry
  }
  readonly io: CliIo
  readonly masterKeys: MasterKeyFiles
  readonly conversion: StoreConversion
  /** The store's clock as the session before left it. */
  readonly storeTime: () => EngineSettings["storeTime"]
  /** Metrics of the process that are of no store, as text. */
  readonly metricsText: () => string
  /** Another process has taken over a folder. */
  onStolen(failure: Failure): never
  /** The node of this process was removed from the store, or has no key to it any more. */
  onExcluded(reason: Failure): void
}

export class StoreSession {
  private readonly background = new AbortController()
  private behind: Promise<void> | undefined
  private stopped: Promise<void> | undefined
  private readonly denials = new Denials()
  private readonly iam: Guest
  private readonly kms: Guest

  private constructor(
    private readonly host: SessionHost,
    readonly config: ServeConfig,
    readonly store: OpenedStore,
    readonly running: RunningStore,
    private readonly membership: Membership | undefined,
    private readonly metrics: MetricsInMemory,
  ) {
    const { accounts, identities, sessions } = running.engine
    const web = new RealWeb(config.allowLocalIdentityProviders)
    const { clock } = host.seams
    const { denials } = this
    const { rates } = running
    const iam = createIamHandler({ accounts, identities, sessions, web, clock, denials, rates })
    this.iam = { protocol: iam, speaks: speaksIam }
    const { random } = host.seams
    const named = { keys: running.engine.namedKeys.of("service"), policies: running.engine.namedKeys.of("policies") }
    const kms = createKmsHandler({ ...named, accounts, random: random.fork("kms api"), clock, denials, rates })
    this.kms = { protocol: kms, speaks: speaksKms }
  }

  /** Opens the store, and begins its background work. Leaves nothing open if it throws. */
  static async open(host: SessionHost, config: ServeConfig): Promise<StoreSession> {
    const store = await open(host, config)
    const { log } = host.seams.telemetry
    const metrics = new MetricsInMemory()
    const seams = { ...host.seams, telemetry: { log, metrics } }
    const joined: { membership?: Membership } = {}
    try {
      const onStolen = (failure: Failure): never => host.onStolen(failure)
      const onExcluded = (reason: Failure): void => host.onExcluded(reason)
      const ofNode = { nodes: () => joined.membership, storeTime: host.storeTime, onKeyLost: onExcluded }
      const running = await runStore({ ...seams, ...ofNode }, store, config, onStolen)
      try {
        if (config.cluster !== undefined) {
          const node = { version: readVersion(), name: host.io.hostName }
          joined.membership = await runNode(seams, store, running, config.cluster, node, onExcluded)
        }
      } catch (error) {
        await running.stop()
        throw error
      }
      const session = new StoreSession(host, config, store, running, joined.membership, metrics)
      session.begin()
      return session
    } catch (error) {
      await releaseFolders(store)
      throw error
    }
  }

  private begin(): void {
    const { clock, random, telemetry } = this.host.seams
    const services = [...this.running.backgroundServices, ...(this.membership ? [this.membership] : [])]
    this.behind = supervise(services, clock, random, telemetry.log, this.background.signal)
  }

  /** The protocol of the admin port. */
  admin(): Protocol {
    const { config, host, store, metrics, denials } = this
    const { engine, status, operations } = this.running
    const { accounts, services } = engine
    const { conversion } = host
    const { reconciling } = this.running
    const { buckets, lifecycleInspection: lifecycle } = services
    const { clock, random, telemetry } = host.seams
    const tokens = openAdminTokens(clock, random, engine.metadata, services.refuseEarlier)
    const audit = openAuditLog({ clock, random, log: telemetry.log }, engine.metadata, services.refuseEarlier)
    const namedKeys = engine.namedKeys.of("admin")
    const shown = {
      accounts,
      buckets,
      lifecycle,
      erasures: engine.erasures,
      quotas: services.quotas,
      undelete: services.undelete,
      namedKeys,
      masterKey: engine.masterKey,
      status,
      store: operations,
      denials,
      tokens,
      audit,
      conversion,
      reconciling,
    }
    const api = new AdminApi(
      { ...shown, documents: new FolderDocuments() },
      {
        version: readVersion(),
        token: store.secrets.adminToken,
        onLoopback: isLoopback(config.adminListen),
        rootAccount: store.secrets.root.accountId,
        newBucketSettings: settingsOfNewBucket(config),
        metricsText: () => host.metricsText() + metrics.render(),
      },
    )
    return new PortRouter([this.iam, this.kms], new AdminProtocol(api))
  }

  /** The protocols of the S3 port. `adminUrl`: where the admin port listens. */
  s3(adminUrl: string): Protocol {
    return new PortRouter([this.iam], createS3Handler(this.s3Settings(adminUrl)))
  }

  /** The protocol of the port of websites. */
  websites(adminUrl: string): Protocol {
    const websiteDomains = this.config.website?.domains ?? []
    return createWebsiteHandler({ ...this.s3Settings(adminUrl), websiteDomains })
  }

  private s3Settings(adminUrl: string): S3Settings {
    const { config, host, metrics, denials } = this
    const { engine, compute, rates } = this.running
    const { services, accounts } = engine
    const { clock, random } = host.seams
    const { region, domains, refuseSignatureV2 } = config
    return {
      ...{ services, accounts, clock, random, region, domains, refuseSignatureV2, denials, newBuckets: config },
      rates,
      ...{ allowSseCWithoutTls: config.allowSseCWithoutTls, kms: engine.namedKeys.of("s3") },
      ...{ adminUrl, metrics, onLoopback: isLoopback(config.listen) },
      hash: (plan, bytes) => compute.hash(plan, bytes),
      lifecycleDays: services.lifecycle.days,
    }
  }

  get region(): string {
    return this.config.region ?? REGION_DEFAULT
  }

  /** All folders that this process holds. */
  get folders(): readonly HeldFolder[] {
    const { devices, node } = this.store
    const owned = [...devices, ...(node?.joining ?? []).map(({ ownership }) => ownership)]
    return [
      ...owned.map(owner => ({ place: owner.identity, check: () => owner.check() })),
      ...this.running.taken.map(folder => ({ place: folder.place, check: () => folder.check() })),
    ]
  }

  /** Ends the background work; requests may still use the store. */
  async endBackground(): Promise<void> {
    this.background.abort()
    await this.behind
  }

  /** Closes the engine, and keeps the folders. Call it once no request uses the store. */
  async stop(): Promise<void> {
    await this.endBackground()
    this.stopped ??= this.running.stop()
    await this.stopped
  }

  /** Also releases the folders. */
  async close(): Promise<void> {
    try {
      await this.stop()
    } finally {
      this.background.abort()
      await releaseFolders(this.store)
      for (const folder of this.running.taken) await folder.release().catch(() => undefined)
    }
  }
}

async function releaseFolders({ devices, node }: OpenedStore): Promise<void> {
  for (const device of devices) await device.release()
  for (const { ownership } of node?.joining ?? []) await ownership.release()
}

async function open({ seams, masterKeys }: SessionHost, config: ServeConfig): Promise<OpenedStore> {
  const { cluster } = config
  if (cluster === undefined) return openStore(seams, config, masterKeys.current, masterKeys.next)
  // Loaded on demand: a store whose devices keep the metadata starts without it.
  const { StoreDatabase } = await import("../sql/index.js")
  const database = await StoreDatabase.open(cluster.databaseUrl)
  const { log } = seams.telemetry
  const masterKey = must(masterKeys.current ?? masterKeys.next, "--cluster needs --master-key-file")
  return openNode({ ...seams, log, database }, config, cluster, masterKey, masterKeys.next)
}
