/**
 * Store session: one opened store with its background work, and the protocols that serve it. A process has one after the
 * other if its metadata moves to a database or back; the ports stay.
 *
 * Order of the end: background work ends; then the engine makes its last checkpoint and closes; then the folders are
 * released.
 */
import { REGION_DEFAULT } from "@hayloft/base/region.js"
import {
  checkIssuer,
  Denials,
  openAdminTokens,
  openConsoleSessions,
  type AuditLog,
  type People,
} from "@hayloft/access/index.js"
import {
  AdminApi,
  AdminProtocol,
  type LdapDoor,
  headOf,
  S3_PREFIX,
  S3OfCallers,
  speaksS3,
} from "@hayloft/admin/index.js"
import { must } from "@hayloft/base/assert.js"
import { after, asPromise, type Soon } from "@hayloft/base/soon.js"
import { fail, type Failure } from "@hayloft/base/failures.js"
import { FEATURE_ROW_JOBS } from "@hayloft/features/index.js"
import type { CliIo } from "@hayloft/cli/io.js"
import { readVersion } from "@hayloft/cli/version.js"
import type { ServeConfig } from "@hayloft/node/config/index.js"
import { type Exchange, type Filter, type Protocol } from "@hayloft/protocols/http/index.js"
import { ProviderSignIn } from "@hayloft/protocols/iam/index.js"
import type { Stalls } from "@hayloft/engine/device/index.js"
import { DisksOfDevices } from "./machine/disk-facts.js"
import { freeDisks } from "./machine/free-disks.js"
import { knownActions } from "./known-actions.js"
import { createKmsHandler, speaksKms } from "@hayloft/protocols/kms/index.js"
import { transformBudgets } from "@hayloft/features/transforms/index.js"
import { openWork, type OpenWork } from "@hayloft/features/user-jobs/index.js"
import { supervise } from "@hayloft/base/life/index.js"
import { LiveNodes } from "@hayloft/node/cluster/cluster-operations.js"
import { reachedNodes } from "@hayloft/node/cluster/cluster-view.js"
import type { Membership } from "@hayloft/node/cluster/membership.js"
import { Simulations } from "@hayloft/node/status/simulations.js"
import { openNode } from "@hayloft/node/cluster/open-node.js"
import { FRONT_INCARNATIONS } from "@hayloft/engine/format/needles/upload-id.js"
import type { HeldFolder } from "@hayloft/node/convert/to-devices.js"
import type { StoreConversion } from "@hayloft/node/convert/contract.js"
import { shownDueTimeMs, type Bucket, type ListPage, type ListRequest } from "@hayloft/objects/index.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import { openStore } from "@hayloft/node/open/open-store.js"
import type { MasterKeyFiles } from "@hayloft/node/open/secrets.js"
import { StoreLive, type Events, type LiveRequests, type Traffic } from "@hayloft/admin/observe/index.js"
import type { EngineSettings } from "@hayloft/node/engine.js"
import { workUnderWay } from "@hayloft/node/status/work-under-way-core.js"
import {
  S3BucketDocuments,
  bucketPolicyReader,
  ForwardedRequests,
  OwnRequests,
  S3Simulator,
  settingsOfNewBucket,
  type S3Settings,
} from "@hayloft/protocols/s3/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { smartctl } from "@hayloft/base/seams/telemetry/real-smartctl.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { FolderLocks } from "@hayloft/base/seams/folder-lock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { renderMetrics, type MetricsSnapshot } from "@hayloft/base/seams/telemetry/metrics-text-core.js"
import { MetricsInMemory } from "@hayloft/base/seams/telemetry/metrics.js"
import type { Telemetry } from "@hayloft/base/seams/telemetry/contract.js"
import { RealWeb } from "@hayloft/base/seams/web/real.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import { type SyncRealms } from "@hayloft/protocols/swift/index.js"
import type { TableStores } from "@hayloft/engine/table/index.js"
import { consoleFiles, documents } from "./documents.js"
import { endpointFor, signedLink, type Links } from "./links.js"
import type { MinioAdmin } from "./minio/admin/contract.js"
import { Derivations } from "./threads/sealing-workers.js"
import { EngineMinioAdmin } from "./minio/admin/minio-admin.js"
import { minioMetrics, type MinioMetricsKind } from "./minio/metrics-core.js"
import { PortRouter, type Guest } from "./ports/port-router.js"
import { Provider } from "./provided/provider.js"
import type { FrontThreads, ServedSession } from "./threads/front-workers.js"
import { iamGuest, isLoopback, s3SettingsOf, type PortParts } from "./ports/ports.js"
import { peopleOf } from "./people.js"
import { QueuePort } from "./ports/queue-port.js"
import { StoreCoordination } from "./coordination.js"
import { ReadStores, type RemoteStoreConfigs } from "./read-stores.js"
import { RemotesOfStore } from "./remotes.js"
import { StoreTransforms, TRANSFORM_PROCESSES } from "./threads/transforms.js"
import { runNode } from "./run-node.js"
import { runStore, type RunningStore } from "./run-store.js"
import { registerWaiting } from "./ports/waiting-requests.js"

/** The admin API records its changes itself, with who asks for them. */
const NO_AUDIT: S3Settings["audit"] = { begin: async () => ({ end: async () => undefined }) }

/** A session of the console lasts no longer. */
const CONSOLE_SESSION_SECONDS = 8 * 3_600

/** The start goes on after this time, and what is left is made meanwhile. */
const PROVIDE_MS_MAX = 10_000

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
  /** The filters of the ports of S3 and Swift. */
  readonly filters: readonly Filter[]
  /** Clusters with which containers of Swift may be synchronized. */
  readonly realms: SyncRealms
  /** The remote stores are undefined if remote buckets are switched off. */
  readonly remoteStores: RemoteStoreConfigs | undefined
  readonly conversion: StoreConversion
  /** The store's clock as the session before left it. */
  readonly storeTime: () => EngineSettings["storeTime"]
  /** All calls of this process on folders of the store. */
  readonly stalls: Stalls
  /** Returns why the process should be restarted; undefined: it is alive. */
  readonly unhealthy: () => string | undefined
  /** The address of the S3 port, once it listens. */
  readonly endpoints: { s3: string | undefined }
  readonly events: Events
  /** The live requests and the traffic at the ports. */
  readonly live: { readonly requests: LiveRequests; readonly traffic: Traffic }
  /** The front threads that serve S3; undefined: this thread does. */
  readonly threads: FrontThreads | undefined
  /** All metrics, those of the store included. */
  readonly allMetrics: (ofStore: MetricsInMemory) => Soon<MetricsSnapshot>
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
  private readonly audit: AuditLog
  private readonly iam: Guest
  private readonly web: RealWeb
  /** The people of the LDAP directory; undefined: none is configured. */
  private readonly people: People | undefined
  /** For services that the operator has named: wherever they are. */
  private readonly chosenWeb = new RealWeb(true)
  private readonly kms: Guest
  readonly queuePort: QueuePort
  /** The transforms are undefined if they are switched off. */
  private readonly transforms: StoreTransforms | undefined
  /** Transforms of all threads of the process. */
  private readonly budgets = transformBudgets(TRANSFORM_PROCESSES)
  /** The remotes are undefined if they are switched off. */
  private readonly remotes: RemotesOfStore | undefined
  /** Fires once no request uses the store any more. */
  private readonly closing = new AbortController()
  /** It is undefined if coordination is switched off. */
  private readonly coordination: StoreCoordination | undefined
  private readonly derivations: Derivations
  private adminApi: AdminApi | undefined

  private constructor(
    private readonly host: SessionHost,
    readonly config: ServeConfig,
    readonly store: OpenedStore,
    readonly running: RunningStore,
    private readonly metrics: MetricsInMemory,
    private readonly ofNode: { readonly membership: Membership | undefined; readonly disks: DisksOfDevices },
  ) {
    const { membership } = ofNode
    const { accounts } = running.engine
    this.web = new RealWeb(config.allowLocalIdentityProviders)
    const { clock } = host.seams
    this.people = peopleOf({ clock, log: host.seams.telemetry.log }, config, accounts)
    const { denials } = this
    const { rates, attempts } = running
    const audit = (this.audit = running.audit)
    const { random } = host.seams
    const named = { keys: running.engine.namedKeys.of("service"), policies: running.engine.namedKeys.of("policies") }
    const ofKms = { ...named, accounts, random: random.fork("kms api"), clock, denials }
    const kms = createKmsHandler({ ...ofKms, metrics, rates, attempts, audit })
    this.kms = { protocol: kms, speaks: speaksKms }
    const node = { name: this.nodeName, others: () => reachedNodes(membership) }
    this.derivations = new Derivations(clock)
    this.queuePort = new QueuePort({ clock, random }, running.engine, node)
    this.iam = iamGuest(this.parts())
    const ofCoordination = { clock, random, log: host.seams.telemetry.log, metrics, denials }
    const isShared = membership !== undefined
    const seams = { clock, log: host.seams.telemetry.log, metrics }
    const { budgets } = this
    const shared = config.threads > 0 ? { budgets, share: 1 } : undefined
    this.transforms = config.transforms
      ? new StoreTransforms(seams, running, config.transformResultsBytesMax, this.closing.signal, shared)
      : undefined
    const { accountId } = store.secrets.root
    const { disk } = host.seams
    const { log } = seams
    this.remotes =
      host.remoteStores &&
      new RemotesOfStore(
        { ...seams, random },
        running,
        new ReadStores({ clock, disk, log }, config.remotes, host.remoteStores, this.closing.signal),
        { cacheBytesMax: config.remoteCacheBytesMax, auditBucket: config.auditSinks.bucket, rootAccount: accountId },
        this.closing.signal,
      )
    this.coordination = config.coordination
      ? new StoreCoordination(ofCoordination, running, store.secrets.root.accountId, isShared)
      : undefined
  }

  /** Opens the store, and begins its background work. Leaves nothing open if it throws. */
  static async open(host: SessionHost, config: ServeConfig): Promise<StoreSession> {
    const store = await open(host, config)
    const { log, tracer } = host.seams.telemetry
    const metrics = new MetricsInMemory()
    const seams = { ...host.seams, telemetry: { log, metrics, tracer } }
    const joined: { membership?: Membership } = {}
    try {
      const onStolen = (failure: Failure): never => host.onStolen(failure)
      const onExcluded = (reason: Failure): void => host.onExcluded(reason)
      const ofNode = { nodes: () => joined.membership, storeTime: host.storeTime, onExcluded }
      const running = await runStore({ ...seams, ...ofNode, realms: host.realms }, store, config, onStolen)
      const disks = new DisksOfDevices(seams.disk, seams.clock, smartctl, () => ownDevices(running))
      try {
        if (config.cluster !== undefined) {
          const node = { version: readVersion(), name: host.io.hostName, live: { ...host.live, disks } }
          joined.membership = await runNode(seams, store, running, config.cluster, node, onExcluded)
        }
      } catch (error) {
        await running.stop()
        throw error
      }
      const { root, isRootKeyReplaced } = store.secrets
      if (isRootKeyReplaced === true) log.info("root_key_replaced", { accessKeyId: root.accessKeyId })
      const session = new StoreSession(host, config, store, running, metrics, {
        membership: joined.membership,
        disks,
      })
      session.begin()
      await session.provide()
      return session
    } catch (error) {
      await releaseFolders(store)
      throw error
    }
  }

  private begin(): void {
    const { root } = this.store.secrets
    this.running.fronts?.serve({ ...this.running, root, nodes: () => this.ofNode.membership })
    this.attachJobs()
    this.running.status.setLiveness(this.host.unhealthy)
    registerWaiting(this.metrics, this.running.engine.services, this.queuePort)
    this.coordination?.register(this.metrics)
    const { clock, random, telemetry } = this.host.seams
    const { engine, backgroundServices } = this.running
    const { storeClock, refuseEarlier: prepare } = engine.services
    const dueTimeMs = () => shownDueTimeMs({ clock, storeClock })
    this.host.events.use({ metadata: engine.metadata, prepare, dueTimeMs })
    const services = [
      ...backgroundServices,
      ...(this.ofNode.membership ? [this.ofNode.membership] : []),
      this.host.events,
      ...(this.coordination?.services ?? []),
      ...(this.transforms?.services ?? []),
      ...(this.remotes?.services ?? []),
    ]
    this.behind = supervise(services, clock, random, telemetry.log, this.background.signal)
  }

  /** Makes the buckets and users of the settings. A store that does not answer in time starts all the same. */
  private async provide(): Promise<void> {
    const { config, host, running, store } = this
    if (config.buckets.length === 0 && config.users.length === 0) return
    const { clock, telemetry } = host.seams
    const { accounts, identities, services } = running.engine
    const { accountId: rootAccount, accessKeyId: rootKey } = store.secrets.root
    const provider = new Provider({
      clock,
      log: telemetry.log,
      rootAccount,
      rootKey,
      accounts,
      identities,
      buckets: services.buckets,
      newBucketSettings: settingsOfNewBucket(config),
      documents: this.documentsOfBuckets(),
    })
    await within(clock, PROVIDE_MS_MAX, provider.provide(config))
  }

  private documentsOfBuckets(): S3BucketDocuments {
    return new S3BucketDocuments(new OwnRequests({ ...this.s3Settings(), audit: NO_AUDIT }))
  }

  /** Jobs that callers start send requests as their starters, and follow the work of the store. */
  private attachJobs(): void {
    const { engine, status, operations, startedJobs, containerSync } = this.running
    const requests = new OwnRequests(this.s3Settings())
    containerSync.attach(requests)
    const list = (request: ListRequest, isCached: boolean) => this.listFor(request, isCached)
    const hasConditions = async (bucket: Bucket): Promise<boolean> =>
      (await asPromise(() => this.remotes?.remotes.settingOf(bucket)))?.writes !== "Back"
    const { services } = engine
    const open: OpenWork = job =>
      FEATURE_ROW_JOBS.find(({ kinds }) => kinds.includes(job.kind))?.open(services, job) ??
      openWork({ ...services, requests, list, hasConditions }, job)
    const followed = () => workUnderWay(status.report(), engine.masterKey.report(), engine.services.reencode.report())
    startedJobs.attach(open, followed, () => void operations.wakeJob(startedJobs.name).catch(() => undefined))
  }

  /** A listing for a job. */
  private async listFor(request: ListRequest, isCached: boolean): Promise<ListPage> {
    const { bucket } = request
    const remotes = this.remotes?.remotes
    const setting = await asPromise(() => remotes?.settingOf(bucket))
    if (remotes === undefined || setting === undefined) {
      if (!bucket.settings.includes("remote")) return this.running.engine.services.objects.list(request)
      throw fail("invalidArgument", { message: "remote buckets are switched off: start the store with --remotes" })
    }
    if (isCached) return remotes.listCached(bucket, request)
    return remotes.list(setting, { ...request, withStatus: false }, { signal: this.background.signal, hops: undefined })
  }

  /** The protocol of the admin port. */
  admin(): Protocol {
    return this.adminPort(this.api())
  }

  /** The admin API, which ends with the admin port. */
  private api(): AdminApi {
    return (this.adminApi ??= this.makeApi())
  }

  private makeApi(): AdminApi {
    const { config, host, store, metrics, denials, audit } = this
    const { engine, status, operations, attempts } = this.running
    const { accounts, identities, services } = engine
    const { conversion } = host
    const { reconciling } = this.running
    const { buckets } = services
    const { clock, random } = host.seams
    const tokens = openAdminTokens(clock, random, engine.metadata, services.refuseEarlier)
    const simulator = new S3Simulator(services, accounts, clock)
    const namedKeys = engine.namedKeys.of("admin")
    const { masterKeys } = this.running
    const operatorToken = store.secrets.adminToken
    const sessions = openConsoleSessions({ clock, random, masterKeys }, engine.metadata, {
      accounts,
      tokens,
      operatorToken,
      prepare: services.refuseEarlier,
      dueTimeMs: () => shownDueTimeMs({ clock, storeClock: services.storeClock }),
    })
    const shown = {
      core: services.core,
      accounts,
      identities,
      policyFacts: {
        knownActions: knownActions(),
        decideS3: (request: Parameters<S3Simulator["simulate"]>[0]) => simulator.simulate(request),
        nowMs: () => clock.wallMs(),
      },
      checkIssuer: (url: string) => checkIssuer(url, this.web),
      buckets,
      bucketDocuments: this.documentsOfBuckets(),
      shardPlaces: services.shardPlaces,
      erasures: engine.erasures,
      usageHistory: services.usageHistory,
      namedKeys,
      masterKey: engine.masterKey,
      status,
      store: operations,
      simulations: new Simulations(clock, status),
      denials,
      tokens,
      audit,
      conversion,
      reconciling,
      live: new StoreLive(clock, { ...host.live, disks: this.ofNode.disks }, this.liveNodes()),
      links: this.links(),
      freeDisks: () => freeDisks(host.seams.disk),
      events: host.events,
      sessions,
      attempts,
      policyOfBucket: bucketPolicyReader(buckets),
      webSignIn: this.webSignIn(),
      ldapDoor: this.ldapDoor(),
      people: this.people,
      entries: engine.entries,
      startedJobs: this.running.startedJobs,
    }
    return new AdminApi(
      { ...shown, documents: documents(), console: config.hasConsole ? consoleFiles() : undefined },
      {
        version: readVersion(),
        clock,
        hosts: config.adminHosts,
        onLoopback: isLoopback(config.adminListen),
        rootAccount: store.secrets.root.accountId,
        region: this.region,
        newBucketSettings: settingsOfNewBucket(config),
        metricsText: () => after(host.allMetrics(metrics), all => renderMetrics([all])),
      },
    )
  }

  /** MinIO's admin API, which front threads reach by their links. */
  private minioAdmin(): MinioAdmin {
    const { host, store, running, derivations } = this
    const { clock, random } = host.seams
    const { accountId: rootAccount, accessKeyId: rootKey } = store.secrets.root
    const { accounts } = running.engine
    const api: Pick<AdminApi, "call" | "checkCaller"> = {
      call: (id, asked) => this.api().call(id, asked),
      checkCaller: (id, asked) => this.api().checkCaller(id, asked),
    }
    const { argon2id } = derivations
    const storeId = (): string => running.status.report().storeId
    const root = { rootAccount, rootKey, storeId }
    return new EngineMinioAdmin({ api, accounts, ...root, clock, random: random.fork("mc"), argon2id })
  }

  /** The admin API, and the other protocols on its port. */
  private adminPort(api: AdminApi): Protocol {
    const { config, store, region } = this
    const port = new AdminProtocol(api)
    const forwarded = { ...this.s3Settings(), pathPrefix: S3_PREFIX }
    const requests = new ForwardedRequests(forwarded, store.secrets.root.accountId)
    const s3 = { protocol: new S3OfCallers(api.callers, requests, port), speaks: speaksS3 }
    const holderOf = async (exchange: Exchange) => (await api.callers.require(headOf(exchange))).holder
    const coord = this.coordination?.guest(config, region, holderOf)
    return new PortRouter([this.iam, this.kms, s3, ...(coord === undefined ? [] : [coord])], port)
  }

  private liveNodes(): LiveNodes | undefined {
    const { node } = this.store
    return node && this.ofNode.membership && new LiveNodes(node.name, this.ofNode.membership)
  }

  private webSignIn(): ProviderSignIn | undefined {
    const { clock, random } = this.host.seams
    const { accounts, identities, sessions } = this.running.engine
    const { consoleSignIn } = this.config
    const parts = { accounts, identities, sessions, web: this.web, clock, random }
    return consoleSignIn && new ProviderSignIn(consoleSignIn, parts)
  }

  private ldapDoor(): LdapDoor | undefined {
    const { people } = this
    const { sessions } = this.running.engine
    if (people === undefined) return undefined
    return {
      async begin(login, password, nowMs) {
        const request = { seconds: CONSOLE_SESSION_SECONDS, policy: undefined, nowMs }
        return sessions.ofPerson(await people.signIn(login, password), request)
      },
    }
  }

  private links(): Links {
    const { host, config, region } = this
    const { accounts } = this.running.engine
    const nowMs = () => host.seams.clock.wallMs()
    return {
      keyOf: id => accounts.secretOf(id, undefined, nowMs()),
      endpoint: adminHost => config.publicUrl ?? endpointFor(host.endpoints.s3 ?? "", config.listen, adminHost),
      sign: (signer, link, expiresSeconds) => signedLink(signer, link, region, expiresSeconds, nowMs()),
      nowMs,
    }
  }

  /** The parts of the store that front threads serve. */
  forThreads(adminUrl: string): ServedSession {
    const { config, denials, audit, host, running, budgets } = this
    const fronts = must(running.fronts, "a store of a process with threads has fronts")
    const { attempts, rates } = running
    attempts.onCounted = counted => host.threads?.attempted(counted)
    const onAudited = (): void => audit.onRecorded()
    const { hotCopies: copies } = running.engine.services.core.blocks
    const devices = () => running.status.report().devices
    const { realms, remoteStores } = host
    const told = { config, adminUrl, realms, remoteStores, nodeName: this.nodeName }
    const minioMetrics = (kind: MinioMetricsKind) => this.minioMetrics(kind)
    const minioAdmin = this.minioAdmin()
    return { ...told, fronts, denials, attempts, rates, copies, budgets, onAudited, devices, minioMetrics, minioAdmin }
  }

  private minioMetrics(kind: MinioMetricsKind): Soon<string> {
    const { host, metrics, running } = this
    const server = new URL(host.endpoints.s3 ?? "http://localhost").host
    return after(host.allMetrics(metrics), all =>
      renderMetrics([minioMetrics(kind, { report: running.status.report(), metrics: all, server })]),
    )
  }

  /** The name of the node, in a store of several, else of the machine. */
  private get nodeName(): string {
    return this.store.node?.name ?? this.host.io.hostName
  }

  /** The settings of requests that the store itself makes. */
  private s3Settings(): S3Settings {
    return s3SettingsOf(this.parts(), "")
  }

  /** The parts of the store for the ports that this thread serves. */
  parts(): PortParts {
    const { config, host, store, running, metrics, denials, audit, web, chosenWeb } = this
    const { filters, realms, seams } = host
    const { clock, random } = seams
    const { engine, compute, status, rates, attempts } = running
    return {
      config,
      clock,
      random,
      metrics,
      engine,
      status,
      devices: () => status.report().devices,
      minioMetrics: kind => this.minioMetrics(kind),
      minioAdmin: this.minioAdmin(),
      rootAccount: store.secrets.root.accountId,
      rates,
      attempts,
      denials,
      audit,
      people: this.people,
      hash: (plan, bytes) => compute.hash(plan, bytes),
      web,
      chosenWeb,
      filters,
      realms,
      queuePort: this.queuePort,
      transforms: this.transforms?.transforms,
      remotes: this.remotes?.remotes,
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
    this.closing.abort()
    await this.endBackground()
    await this.queuePort.queues.settled()
    this.stopped ??= this.running.stop()
    await this.stopped
    this.derivations.end()
    this.web.close()
    this.chosenWeb.close()
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

const ownDevices = ({ engine }: RunningStore) =>
  engine.devices.map(({ place: { id }, space, disk: { failedCalls } }) => ({
    id,
    fileSystemId: space.fullness.fileSystemId,
    failedCalls,
  }))

async function open({ seams: ofHost, masterKeys, stalls }: SessionHost, config: ServeConfig): Promise<OpenedStore> {
  const { cluster } = config
  const reserved = config.threads === 0 ? 0 : FRONT_INCARNATIONS
  const seams = { ...ofHost, stalls, reserved }
  if (cluster === undefined) return openStore(seams, config, masterKeys.current, masterKeys.next)
  // Loaded on demand: a store whose devices keep the metadata starts without it.
  const { StoreDatabase } = await import("@hayloft/engine/sql/index.js")
  const database = await StoreDatabase.open(cluster.databaseUrl)
  const { log } = seams.telemetry
  const masterKey = must(masterKeys.current ?? masterKeys.next, "--cluster needs --master-key-file")
  return openNode({ ...seams, log, database }, config, cluster, masterKey, masterKeys.next)
}
