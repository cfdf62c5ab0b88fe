/**
 * Remote buckets in a running store, if they are switched on: what serves them, and what they tell the metrics.
 */
import type { AccountId, BucketName } from "@hayloft/base/ids.js"
import { asPromise } from "@hayloft/base/soon.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import { COPIES_ADMIN, openCopyLog, StoreCopies, type BucketLag } from "@hayloft/features/copies/index.js"
import { STEWARD_LEASE } from "@hayloft/node/cluster/steward.js"
import { REMOTE_ADMIN, StoreRemotes, type RemoteStore } from "@hayloft/features/remote-buckets/index.js"
import { bucketRemoteReader } from "@hayloft/protocols/s3/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { sharedMetrics, type Log, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import type { ServingParts } from "./ports/ports.js"
import type { ReadStores } from "./read-stores.js"

interface RemoteSeams {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Metrics
}

interface RemoteTerms {
  readonly cacheBytesMax: number
  /** Cannot become remote. */
  readonly auditBucket: BucketName | undefined
  readonly rootAccount: AccountId
}

export class RemotesOfStore {
  readonly remotes: StoreRemotes
  readonly copies: StoreCopies
  private readonly stores: ReadonlyMap<string, RemoteStore>

  /** `signal` fires once no request uses the store any more. */
  constructor(
    { metrics, ...seams }: RemoteSeams,
    { engine, leases }: ServingParts,
    private readonly read: ReadStores,
    { cacheBytesMax, auditBucket, rootAccount }: RemoteTerms,
    signal: AbortSignal,
  ) {
    const { objects, buckets, storeClock, tablet: metadata, refuseEarlier } = engine.services
    this.stores = read.stores
    const terms = {
      refuseEarlier,
      objects,
      buckets,
      stores: this.stores,
      auditBucket,
      isSender: () => leases === undefined || leases.holds(STEWARD_LEASE),
      async mayUse(owner: AccountId, accounts: readonly string[] | undefined): Promise<boolean> {
        if (accounts === undefined) return owner === rootAccount
        const account = await asPromise(() => engine.accounts.getAccount(owner))
        return account !== undefined && [account.id, account.displayName].some(name => accounts.includes(name))
      },
    }
    this.remotes = new StoreRemotes({
      ...seams,
      ...terms,
      metrics,
      storeClock,
      isShared: engine.services.core.isShared,
      metadata,
      cacheBytesMax,
      isStoreFull: () => engine.services.core.blocks.isFull,
      signal,
      settingOf: bucketRemoteReader(buckets),
    })
    this.copies = new StoreCopies({ ...seams, ...terms, storeClock, copyLog: openCopyLog(metadata) })
    REMOTE_ADMIN.set(engine.services.core, this.remotes)
    COPIES_ADMIN.set(engine.services.core, this.copies)
    this.register(metrics)
  }

  get services(): readonly BackgroundService[] {
    return [this.read, ...this.remotes.services, this.copies]
  }

  private register(metrics: Metrics): void {
    const { remotes, stores } = this
    const of = (value: (store: RemoteStore) => number) => () =>
      Array.from(stores, ([store, found]) => [{ store }, value(found)] as const)
    metrics.total(
      "hayloft_remote_requests_total",
      "Requests to remote stores",
      of(({ health }) => health.requests),
    )
    const failed = "Requests to remote stores that failed"
    metrics.total(
      "hayloft_remote_failures_total",
      failed,
      of(({ health }) => health.failures),
    )
    metrics.total("hayloft_remote_read_bytes_total", "Bytes of remote buckets that were read", () => [
      [{ from: "cache" }, remotes.cache().hitBytes],
      [{ from: "remote" }, remotes.cache().missBytes],
    ])
    const evicted = "Bytes that the cache of remote buckets has evicted"
    metrics.total("hayloft_remote_evicted_bytes_total", evicted, () => [[{}, remotes.cache().evictedBytes]])
    const shared = sharedMetrics(metrics)
    const cached = "Objects of remote buckets that are cached"
    shared.gauge("hayloft_remote_cache_bytes", cached, () => [[{}, remotes.cache().sizeBytes]])
    const limit = "Limit of the cache of remote buckets"
    shared.gauge("hayloft_remote_cache_limit_bytes", limit, () => [[{}, remotes.cache().sizeBytesMax]])
    const pending = "Keys of remote buckets whose writes the remote does not have yet"
    shared.gauge("hayloft_remote_pending_keys", pending, () => [[{}, remotes.pendingWrites.count]])
    this.registerCopies(metrics)
  }

  private registerCopies(metrics: Metrics): void {
    const { copies } = this
    const shared = sharedMetrics(metrics)
    const of = (value: (lag: BucketLag) => number) => () =>
      copies.lags().map(lag => [{ bucket: lag.bucket }, value(lag)] as const)
    const objects = "Changes of copied buckets that their targets lack, and parked objects"
    shared.gauge(
      "hayloft_copies_lag_objects",
      objects,
      of(lag => lag.objects),
    )
    shared.gauge(
      "hayloft_copies_lag_bytes",
      "Bytes of these changes and objects",
      of(lag => lag.bytes),
    )
    const seconds = "How long ago the oldest change was made that a target lacks"
    shared.gauge(
      "hayloft_copies_lag_seconds",
      seconds,
      of(lag => lag.seconds),
    )
    const filling = "1 while the objects that are in a copied bucket are sent, without the log"
    shared.gauge(
      "hayloft_copies_filling",
      filling,
      of(lag => (lag.isFilling ? 1 : 0)),
    )
    shared.gauge(
      "hayloft_copies_parked",
      "Objects of copied buckets that were not copied",
      of(lag => lag.parked),
    )
    metrics.total("hayloft_copies_sent_total", "Objects and removals that targets of copies have acknowledged", () => [
      [{ kind: "object" }, copies.totals.objects],
      [{ kind: "removal" }, copies.totals.removals],
    ])
    const bytes = "Bytes of objects that targets of copies have acknowledged"
    metrics.total("hayloft_copies_sent_bytes_total", bytes, () => [[{}, copies.totals.bytes]])
  }
}
