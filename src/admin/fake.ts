/**
 * A store in memory with what the admin API asks of one, for its tests: accounts, keys, buckets, a
 * status and two documents. Records what was asked (`touched`), and fails where `broken` is set.
 */
import type { AccessKey, Account, Accounts } from "../access/contract.js"
import { fail } from "../base/failures.js"
import { parseAccountId, parseAccessKeyId, parseBucketId, parseDeviceId, parseStoreId } from "../base/ids.js"
import type { AccessKeyId, AccountId, BucketName } from "../base/ids.js"
import type { Bucket, Buckets } from "../object/contract.js"
import type { Documents, HealthReport, StoreReport, StoreStatus } from "./contract.js"

export const ROOT = parseAccountId("root")
export const TOKEN = "0123456789abcdef0123456789abcdef"
const NOW_MS = 7

export class FakeStore implements Accounts {
  readonly touched: string[] = []
  readonly accounts = new Map<AccountId, Account>([
    [ROOT, { id: ROOT, displayName: "root", email: "", createdMs: NOW_MS }],
  ])
  readonly keys = new Map<AccessKeyId, AccessKey>()
  broken: Error | undefined
  healthReport: HealthReport = { ready: true, reasons: [] }

  readonly documents: Documents = {
    list: async () => ["install.md", "recipes/restic.md"],
    read: async name => (name === "install.md" ? new TextEncoder().encode("# Install\n") : undefined),
  }

  readonly status: StoreStatus = {
    health: () => this.healthReport,
    report: async () => {
      this.#touch("report")
      return reportOf(this.healthReport)
    },
  }

  readonly #buckets = new Map<BucketName, Bucket>()
  readonly buckets: Buckets = {
    create: async ({ name, owner, location }) => {
      this.#touch("buckets.create")
      if (this.#buckets.has(name)) throw fail("bucketExists")
      const id = parseBucketId(this.#buckets.size + 1)
      const bucket: Bucket = { id, name, owner, createdMs: NOW_MS, location, versioning: "never" }
      this.#buckets.set(name, bucket)
      return bucket
    },
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
    usage: async () => ({ objects: 3, versions: 4, bytes: 5, uploads: 1 }),
  }

  async createAccount(request: { id?: AccountId; displayName: string; email: string }): Promise<Account> {
    this.#touch("createAccount")
    const id = request.id ?? parseAccountId("f".repeat(63) + String(this.accounts.size))
    if (this.accounts.has(id)) throw fail("accountExists")
    const account = { id, displayName: request.displayName, email: request.email, createdMs: NOW_MS }
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

  async createKey(accountId: AccountId): Promise<{ key: AccessKey; secret: string }> {
    const id = parseAccessKeyId(`AKIA${this.keys.size}`)
    return { key: this.#add({ id, accountId, createdMs: NOW_MS }), secret: `secret-of-${id}` }
  }

  async importKey({ accountId, id }: { accountId: AccountId; id: AccessKeyId; secret: string }): Promise<AccessKey> {
    if (this.keys.has(id)) throw fail("accessKeyExists")
    return this.#add({ id, accountId, createdMs: NOW_MS })
  }

  async listKeys(accountId?: AccountId): Promise<readonly AccessKey[]> {
    this.#touch("listKeys")
    return [...this.keys.values()].filter(key => accountId === undefined || key.accountId === accountId)
  }

  async removeKey(id: AccessKeyId): Promise<void> {
    this.#touch("removeKey")
    if (!this.keys.delete(id)) throw fail("noSuchAccessKey")
  }

  async secretOf(): Promise<undefined> {
    return undefined
  }

  #add(key: AccessKey): AccessKey {
    this.#touch("addKey")
    if (!this.accounts.has(key.accountId)) throw fail("noSuchAccount")
    this.keys.set(key.id, key)
    return key
  }

  #touch(what: string): void {
    if (this.broken !== undefined) throw this.broken
    this.touched.push(what)
  }
}

function reportOf(health: HealthReport): StoreReport {
  return {
    storeId: parseStoreId("0".repeat(32)),
    version: "1.2.3",
    region: "us-east-1",
    startedMs: NOW_MS,
    uptimeSeconds: 60,
    policy: "replica:1",
    metaCopies: 1,
    blockBytes: 4 * 1024 * 1024,
    redundancy: "1 folder: nothing may fail",
    health,
    devices: [
      {
        id: parseDeviceId("0123456789abcdef"),
        path: "/data",
        state: "ok",
        reason: "",
        totalBytes: 1000,
        freeBytes: 600,
        fileSystemKind: "ext4",
        queues: [{ name: "writes", depth: 0, limit: 64 }],
      },
    ],
    queues: [],
  }
}
