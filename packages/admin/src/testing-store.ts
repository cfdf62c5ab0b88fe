/**
 * A store in memory that implements the admin API's services, for its tests: accounts, keys, buckets, a status,
 * recorded changes and two documents. Records calls (`touched`), and fails while `broken` is set.
 */
import type { AccessKey, Account, Accounts, KeyOwner, NewKey } from "@hayloft/access/contract.js"
import { requireLockedNames } from "@hayloft/base/locked-names.js"
import { fail } from "@hayloft/base/failures.js"
import {
  parseAccountId,
  parseAccessKeyId,
  parseBucketId,
  parseDeviceId,
  parseKmsKeyId,
  parseUploadId,
} from "@hayloft/base/ids.js"
import type { AccessKeyId, AccountId, AccountNumber, BucketName } from "@hayloft/base/ids.js"
import { Events } from "./observe/index.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import type { FollowedWork } from "@hayloft/features/user-jobs/index.js"
import { accountNumberOf } from "@hayloft/engine/format/accounts/account-number.js"
import type { Bucket, Buckets } from "@hayloft/objects/contract.js"
import type {
  JobReport,
  HealthReport,
  RepairReport,
  StoreChange,
  StoreConversion,
  StoreOperations,
  StoreReport,
  StoreStatus,
} from "@hayloft/node/index.js"
import type { AdminStore } from "./api.js"
import { attemptsWith } from "@hayloft/access/secrets/testing-attempts.js"
import { FakeAudit } from "@hayloft/access/audit/testing-audit.js"
import { accessInMemory, FREE_DISKS, LINKS, NO_POLICY_FACTS } from "./testing-access.js"
import { FakeDocuments } from "./buckets/testing-documents.js"
import { denialsOfOne } from "./testing-denials.js"
import { CONSOLE, DOCUMENTS } from "./testing-files.js"
import { LAYOUT_DEVICE, LAYOUT_FILE_OF_ONE, SHARD_PLACES } from "./testing-placement.js"
import { bearersOnly } from "./testing-sessions.js"
import { coordinationInMemory } from "./testing-coord.js"
import { queuesInMemory } from "./testing-queues.js"
import { startFakeFeatures } from "./testing-features.js"
import { RECONCILING } from "./testing-reconciling.js"
import { FakeCopies } from "./testing-copies.js"
import { ERASURE, NOW_MS, planOf, REPAIR, REPORT } from "./testing-reports.js"
import { FakeRemotes } from "./testing-remotes.js"
import { SIMULATIONS } from "./testing-simulations.js"
import { jobsOver } from "./testing-jobs.js"
import { EXPLAINED, PREVIEW } from "./testing-lifecycle.js"
import { liveOfTwoNodes } from "./testing-live.js"
import { FakeTokens } from "./testing-tokens.js"
import { COPIES_ADMIN } from "@hayloft/features/copies/index.js"
import { HISTORY_SERVICES } from "@hayloft/features/history/index.js"
import { LIFECYCLE_INSPECTION } from "@hayloft/features/lifecycle/index.js"
import { LOCK_SERVICE } from "@hayloft/features/locks/index.js"
import { QUEUE_SERVICE } from "@hayloft/features/queues/index.js"
import { REMOTE_ADMIN } from "@hayloft/features/remote-buckets/index.js"
import { TRANSFORM_ADMIN } from "@hayloft/features/transforms/index.js"
import { UNDELETE_SERVICE } from "@hayloft/features/undelete/index.js"
import { FakeTransforms } from "./testing-transforms.js"
import { HISTORY_PARTS } from "./testing-history.js"
import { FakeUndelete } from "./testing-undelete.js"
export const ROOT = parseAccountId("root")
export const TOKEN = "0123456789abcdef0123456789abcdef"
const PENDING_UPLOAD = {
  upload: parseUploadId("0000000700000001aabbccddeeff0011"),
  bucket: "photos",
  key: "a",
  blocks: 1,
  bytes: 2,
  removableMs: 3,
}

const HISTORY: AdminStore["usageHistory"] = { of: async () => [{ atMs: NOW_MS, objects: 3, bytes: 9 }] }

type NamedKeyFacts = Awaited<ReturnType<AdminStore["namedKeys"]["rotate"]>>

const NAMED_KEY: NamedKeyFacts = {
  id: parseKmsKeyId("01234567-89ab-4def-8123-456789abcdef"),
  arn: "arn:aws:kms:us-east-1:111122223333:key/01234567-89ab-4def-8123-456789abcdef",
  accountId: ROOT,
  description: "photos",
  state: "enabled",
  createdMs: NOW_MS,
  versions: 1,
  deletionMs: undefined,
  nextRotationMs: undefined,
  external: undefined,
  aliases: ["alias/photos"],
}

export class FakeStore implements Accounts {
  readonly touched: string[] = []
  readonly accounts = new Map<AccountId, Account>([
    [ROOT, { id: ROOT, number: accountNumberOf(ROOT), displayName: "root", email: "", createdMs: NOW_MS }],
  ])
  readonly keys = new Map<AccessKeyId, AccessKey>()
  broken: Error | undefined
  healthReport: HealthReport = { ready: true, reasons: [] }

  readonly core = {}
  readonly denials = denialsOfOne()
  readonly clock = new SimClock(NOW_MS)
  private readonly ofNodes = liveOfTwoNodes(this.clock)
  readonly requests = this.ofNodes.requests
  readonly tokens = new FakeTokens()
  readonly events = new Events(this.clock, new SimRandom(7), () => "node-1")
  readonly audit = new FakeAudit()
  readonly attempts = attemptsWith(this.clock, this.audit)

  constructor() {
    startFakeFeatures(this.core, what => this.#touch(what))
    TRANSFORM_ADMIN.set(this.core, this.transforms)
    REMOTE_ADMIN.set(this.core, this.remotes)
    COPIES_ADMIN.set(this.core, this.copies)
    LIFECYCLE_INSPECTION.set(this.core, this.lifecycle)
    QUEUE_SERVICE.set(this.core, this.queues)
    LOCK_SERVICE.set(this.core, this.coordination)
    UNDELETE_SERVICE.set(this.core, this.undelete)
    HISTORY_SERVICES.set(this.core, HISTORY_PARTS)
  }

  /** The store in the shape that the admin port requires. */
  get parts(): AdminStore {
    const { buckets, status, operations: store, conversion, denials, tokens, audit, attempts } = this
    const { erasures, events } = this
    const sessions = bearersOnly(TOKEN, tokens)
    return {
      core: this.core,
      accounts: this,
      identities: this.identities,
      checkIssuer: () => undefined,
      policyFacts: NO_POLICY_FACTS,
      buckets,
      erasures,
      bucketDocuments: this.documents,
      usageHistory: HISTORY,
      namedKeys: this.namedKeys,
      masterKey: this.masterKey,
      status,
      store,
      conversion,
      denials,
      simulations: SIMULATIONS,
      reconciling: RECONCILING,
      shardPlaces: SHARD_PLACES,
      documents: DOCUMENTS,
      console: CONSOLE,
      tokens,
      audit,
      live: this.ofNodes.live,
      events,
      links: LINKS,
      freeDisks: async () => FREE_DISKS,
      sessions,
      attempts,
      webSignIn: undefined,
      ldapDoor: undefined,
      people: undefined,
      entries: this.access.entries,
      policyOfBucket: () => undefined,
      startedJobs: this.startedJobs,
    }
  }

  /** Work of the store that jobs follow. */
  works: readonly FollowedWork[] = []
  /** Over rows of their own; they work on no objects. */
  readonly startedJobs = jobsOver(() => this.works)

  /** The identities of no account: their tests have real accounts, too. */
  private readonly access = accessInMemory(ROOT)
  readonly identities: AdminStore["identities"] = this.access.identities
  readonly queues = queuesInMemory(this.clock)
  readonly coordination = coordinationInMemory(this.clock)
  readonly transforms = new FakeTransforms(this.clock)
  readonly remotes = new FakeRemotes()
  readonly copies = new FakeCopies()
  readonly documents = new FakeDocuments()
  readonly undelete = new FakeUndelete(what => this.#touch(what))

  readonly namedKeys: AdminStore["namedKeys"] = {
    list: async () => [NAMED_KEY],
    create: async ({ alias, external }) => {
      if (external?.kind === "aws") throw fail("keyServiceUnavailable", { message: "the key service aws is down" })
      // Vault has one key.
      if (external !== undefined && external.name !== "photos") throw fail("noSuchKmsKey")
      return this.#namedKey(`createNamedKey ${alias ?? ""}`, { external, aliases: alias === undefined ? [] : [alias] })
    },
    adopt: async name => this.#namedKey(`adopt ${name}`, { state: "disabled" }),
    rotate: async name => this.#namedKey(`rotate ${name}`, { versions: 2 }),
    setEnabled: async (name, isEnabled) =>
      this.#namedKey(`setEnabled ${name} ${isEnabled}`, { state: isEnabled ? "enabled" : "disabled" }),
    scheduleDeletion: async (name, days = 30) =>
      this.#namedKey(`scheduleDeletion ${name}`, { state: "pendingDeletion", deletionMs: NOW_MS + days * 86_400_000 }),
    cancelDeletion: async name => this.#namedKey(`cancelDeletion ${name}`, { state: "disabled" }),
    delete: async (name, unreadable) => {
      this.#touch(`deleteNamedKey ${name} ${unreadable}`)
    },
    uses: async () => [{ bucket: "photos", count: 3 }],
  }

  readonly masterKey: AdminStore["masterKey"] = {
    report: () => ({ number: 1, former: undefined, devices: [] }),
    rotate: async () => {
      this.#touch("rotateMasterKey")
      const former = { number: 1, neededUntilMs: NOW_MS + 36 * 3_600_000 }
      const device = { id: parseDeviceId("00000000000000dd"), path: "/mnt/d", isOffline: true, node: "node-3" }
      return { number: 2, former, devices: [device] }
    },
  }

  #namedKey(touched: string, facts: Partial<NamedKeyFacts>): NamedKeyFacts {
    this.#touch(touched)
    return { ...NAMED_KEY, ...facts }
  }

  readonly lifecycle: ReturnType<typeof LIFECYCLE_INSPECTION.of> = {
    explain: async (_, key) => {
      if (key !== "logs/1") throw fail("noSuchKey")
      return { hasRules: true, nowMs: NOW_MS, versions: [EXPLAINED], hasMore: false }
    },
    preview: async () => PREVIEW,
    tryRules: async (name, document) => {
      this.#touch(`tryRules ${name} ${document}`)
      return { ...PREVIEW, isComplete: false }
    },
  }

  /** The erasure of bucket 3. */
  erasure: Awaited<ReturnType<AdminStore["erasures"]["state"]>> = { state: "erasing", report: ERASURE }

  readonly erasures: AdminStore["erasures"] = {
    begin: async (name, confirm) => {
      if (confirm !== name) throw fail("invalidArgument")
      this.#touch(`erase ${name}`)
      return parseBucketId(3)
    },
    state: async id => (id === 3 ? this.erasure : { state: "erased", report: undefined }),
  }

  readonly conversion: StoreConversion = {
    toDatabase: async request => {
      this.#touch(`toDatabase ${request.databaseUrl} ${request.node ?? ""}`)
      return { state: "copying", progress: "0 rows copied" }
    },
    toDevices: async (lockedBuckets = []) => {
      this.#touch(["toDevices", ...lockedBuckets].join(" "))
      return { state: "switching", progress: "requests wait" }
    },
    report: () => ({ state: "done", progress: "the database keeps the metadata", settings: { "--node": "a" } }),
  }

  readonly status: StoreStatus = {
    health: () => this.healthReport,
    liveness: () => ({ ready: true, reasons: [] }),
    report: () => {
      this.#touch("report")
      const { healthReport: health, repair, jobs } = this
      return { ...REPORT, health, repair, jobs: [...jobs.values()], ...this.shown }
    },
  }

  /** Overrides fields of the status report. */
  shown: Partial<StoreReport> = {}
  /** The `confirmBy` of plans. */
  confirmBy: string | undefined
  /** The `lockedBuckets` of plans. */
  lockedBuckets: readonly string[] = []
  /** The `outlook` of plans. */
  outlook: string | undefined
  readonly changes: StoreChange[] = []
  repair: RepairReport = REPAIR
  readonly jobs = new Map<string, JobReport>([
    ["repair", { name: "repair", state: "busy", progress: "3 of 9 partitions", throttle: 2 }],
  ])
  readonly operations: StoreOperations = {
    plan: async change => {
      this.#touch("plan")
      const { confirmBy, lockedBuckets, outlook } = this
      const locked = lockedBuckets.length === 0 ? {} : { lockedBuckets }
      const shown = outlook === undefined ? {} : { outlook }
      return { ...planOf(change), ...(confirmBy === undefined ? {} : { confirmBy }), ...locked, ...shown }
    },
    change: async (change, confirm, named = [], outlook = this.outlook) => {
      this.#touch("change")
      if (outlook !== this.outlook) throw fail("planOutdated", { message: `the change was not made: ${this.outlook}` })
      if (this.confirmBy !== undefined && confirm !== this.confirmBy) {
        const { warnings } = planOf(change)
        throw fail("invalidArgument", { message: `${warnings.join()}; send "confirm": "${this.confirmBy}"` })
      }
      requireLockedNames("as asked", { listed: this.lockedBuckets, more: 0 }, named)
      this.changes.push(change)
      return { plan: planOf(change), generation: 5 + this.changes.length }
    },
    checkDevice: async id => {
      this.#touch("checkDevice")
      return { id, state: "rebuilding", finding: "answers, and has what it had" }
    },
    redundancy: async () => {
      this.#touch("redundancy")
      return { policy: "ec:2+1", isAutomatic: true, meaning: "any 1 of 3 disks", buckets: [], classes: [] }
    },
    setRepairPaused: async isPaused => {
      this.#touch("setRepairPaused")
      this.repair = { ...this.repair, isPaused }
    },
    startScrub: async device => this.#touch(`startScrub ${device ?? "all"}`),
    pauseScrub: async () => this.#touch("pauseScrub"),
    pending: async () => ({ uploads: [PENDING_UPLOAD], more: 1 }),
    resumeOrphans: async () => {
      this.#touch("resumeOrphans")
      this.jobs.set("orphans", { ...this.#job("repair"), name: "orphans" })
      return this.#job("orphans")
    },
    setJobPaused: async (name, isPaused) => {
      this.#touch(`setJobPaused ${name} ${isPaused}`)
      const job = this.jobs.get(name)
      if (job === undefined) throw fail("invalidArgument", { message: "no such job" })
      return { ...job, isPaused }
    },
    setThrottle: async (name, throttle) => {
      this.#touch("setThrottle")
      this.jobs.set(name, { ...this.#job(name), throttle })
      return this.#job(name)
    },
    wakeJob: async name => this.#job(name),
    backup: async () => ({
      process: 7,
      isOrdered: false,
      isPaused: false,
      failures: 0,
      completedMs: Date.UTC(2026, 10, 2, 10),
      sizeBytes: 9,
    }),
    orderBackup: async () => {
      this.#touch("orderBackup")
      return { process: 7, isOrdered: true, isPaused: false, failures: 0 }
    },
    layout: async () => {
      this.#touch("layout")
      return { ...REPORT.layout, devices: [LAYOUT_DEVICE] }
    },
    layoutFile: () => LAYOUT_FILE_OF_ONE,
  }

  readonly #buckets = new Map<BucketName, Bucket>()
  readonly buckets: Buckets = {
    create: async ({ name, owner, location }) => {
      this.#touch("buckets.create")
      if (this.#buckets.has(name)) throw fail("bucketExists")
      const id = parseBucketId(this.#buckets.size + 1)
      const bucket: Bucket = {
        id,
        name,
        owner,
        createdMs: NOW_MS,
        location,
        versioning: "never",
        // By such a name a test has a remote bucket.
        settings: name.startsWith("remote-") ? ["remote"] : [],
        settingsVersion: 1,
      }
      this.#buckets.set(name, bucket)
      return bucket
    },
    openConfirmed: name => this.buckets.open(name),
    confirm: () => undefined,
    open: async name => {
      this.#touch("buckets.open")
      const bucket = this.#buckets.get(name)
      if (bucket === undefined) throw fail("noSuchBucket", { bucket: name })
      return bucket
    },
    remove: async bucket => void this.#buckets.delete(bucket.name),
    list: async ({ owner, after = "", max }) => {
      const own = [...this.#buckets.values()].filter(bucket => bucket.owner === owner && bucket.name > after)
      const sorted = own.sort((a, b) => (a.name < b.name ? -1 : 1))
      const buckets = sorted.slice(0, max)
      return { buckets, next: sorted.length > max ? buckets.at(-1)?.name : undefined }
    },
    setVersioning: async () => {
      throw fail("notImplemented")
    },
    setLock: async () => {
      throw fail("notImplemented")
    },
    setting: async () => undefined,
    setSetting: async () => {
      throw fail("notImplemented")
    },
    changeSetting: async () => {
      throw fail("notImplemented")
    },
    usage: async () => ({ objects: 3, versions: 4, bytes: 5, uploads: 1, kept: { objects: 2, bytes: 700 } }),
  }

  async createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account> {
    this.#touch("createAccount")
    const id = request.id ?? parseAccountId("f".repeat(63) + String(this.accounts.size))
    if (this.accounts.has(id)) throw fail("accountExists")
    const account = {
      id,
      number: accountNumberOf(id),
      displayName: request.displayName,
      email: request.email,
      createdMs: NOW_MS,
    }
    this.accounts.set(id, account)
    return account
  }

  async getAccount(id: AccountId): Promise<Account | undefined> {
    return this.accounts.get(id)
  }

  async listAccounts(): Promise<readonly Account[]> {
    this.#touch("listAccounts")
    return [...this.accounts.values()]
  }

  async accountOfNumber(number: AccountNumber): Promise<Account | undefined> {
    return [...this.accounts.values()].find(account => account.number === number)
  }

  async createKey({ accountId, userName, service }: NewKey): Promise<{ key: AccessKey; secret: string }> {
    const id = parseAccessKeyId(`AKIA${this.keys.size}`)
    const key = this.#add({ id, accountId, userName, service, isActive: true, createdMs: NOW_MS })
    return { key, secret: `secret-of-${id}` }
  }

  async importKey({ accountId, userName, service, id }: NewKey & { id: AccessKeyId }): Promise<AccessKey> {
    if (this.keys.has(id)) throw fail("accessKeyExists")
    return this.#add({ id, accountId, userName, service, isActive: true, createdMs: NOW_MS })
  }

  async getKey(id: AccessKeyId): Promise<AccessKey | undefined> {
    return this.keys.get(id)
  }

  async keysOf({ accountId, userName }: KeyOwner): Promise<readonly AccessKey[]> {
    return (await this.listKeys(accountId)).filter(key => key.userName === userName)
  }

  async listKeys(accountId?: AccountId): Promise<readonly AccessKey[]> {
    this.#touch("listKeys")
    return [...this.keys.values()].filter(key => accountId === undefined || key.accountId === accountId)
  }

  async removeKey(id: AccessKeyId): Promise<void> {
    this.#touch("removeKey")
    if (!this.keys.delete(id)) throw fail("noSuchAccessKey")
  }

  async setKeyActive(id: AccessKeyId, isActive: boolean): Promise<void> {
    this.#touch("setKeyActive")
    const key = this.keys.get(id)
    if (key === undefined) throw fail("noSuchAccessKey")
    this.keys.set(id, { ...key, isActive })
  }

  async changeKey(id: AccessKeyId, { service }: Pick<AccessKey, "service">): Promise<void> {
    this.#touch("changeKey")
    const key = this.keys.get(id)
    if (key === undefined) throw fail("noSuchAccessKey")
    this.keys.set(id, { ...key, service })
  }

  async limitAccount(id: AccountId, limits: Account["limits"]): Promise<void> {
    this.#touch("limitAccount")
    const account = this.accounts.get(id)
    if (account === undefined) throw fail("noSuchAccount")
    this.accounts.set(id, { ...account, limits })
  }

  async limitKey(id: AccessKeyId, limits: AccessKey["limits"]): Promise<void> {
    this.#touch("limitKey")
    const key = this.keys.get(id)
    if (key === undefined) throw fail("noSuchAccessKey")
    this.keys.set(id, { ...key, limits })
  }

  async lastUse(): Promise<undefined> {
    return undefined
  }

  readonly lastUses: Accounts["lastUses"] = async () => new Map()

  #add({ service, ...key }: Omit<AccessKey, "service"> & Pick<NewKey, "service">): AccessKey {
    this.#touch("addKey")
    if (!this.accounts.has(key.accountId)) throw fail("noSuchAccount")
    const added = { ...key, service }
    this.keys.set(key.id, added)
    return added
  }

  #job(name: string): JobReport {
    const job = this.jobs.get(name)
    if (job === undefined) throw fail("invalidArgument", { message: "no such job", job: name })
    return job
  }

  #touch(what: string): void {
    if (this.broken !== undefined) throw this.broken
    this.touched.push(what)
  }
}
