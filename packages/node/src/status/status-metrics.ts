/**
 * Metrics of the store: gauges rendered from the same StoreReport as the status of the admin API and of the command
 * line. One scrape renders one report. A metric has no rows if the report does not contain its value.
 */
import type { DeviceReport, ScrubReport, StoreReport, StoreStatus } from "./contract.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { sharedMetrics, type Labels, type Metrics } from "@hayloft/base/seams/telemetry/contract.js"

type Rows = readonly (readonly [Labels, number])[]
type ReadReport = () => StoreReport

const rowOf = (value: number | undefined): Rows => (value === undefined ? [] : [[{}, value]])

export function registerStatus(to: Metrics, clock: Clock, status: StoreStatus): void {
  const metrics = sharedMetrics(to)
  const report = oncePerScrape(() => status.report())
  registerHealth(metrics, report)
  registerSafety(metrics, report)
  registerDevices(metrics, report)
  registerWork(metrics, clock, report)
  registerQueues(metrics, report)
  registerDatabase(metrics, report)
  registerEncryption(metrics, report)
}

function registerHealth(metrics: Metrics, report: ReadReport): void {
  const health = () => report().health
  metrics.gauge("hayloft_ready", "1 while the store accepts requests", () => rowOf(health().ready ? 1 : 0))
  metrics.gauge("hayloft_writes_refused", "1 while a device is full, so that new objects may be refused", () =>
    rowOf(health().refusesWrites === true ? 1 : 0),
  )
}

function registerEncryption(metrics: Metrics, report: ReadReport): void {
  metrics.gauge("hayloft_encrypted_at_rest", "1 if everything on the devices is encrypted", () =>
    rowOf(report().isEncryptedAtRest ? 1 : 0),
  )
  metrics.gauge("hayloft_buckets_without_keys", "Buckets whose keys were missing when they were last asked for", () =>
    rowOf(report().bucketsWithoutKeys),
  )
  metrics.gauge("hayloft_devices_short_of_keys", "1 if a device of this node lacks the newest keys", () =>
    rowOf(report().isShortOfKeys ? 1 : 0),
  )
  const erasures = () => report().erasures ?? []
  metrics.gauge("hayloft_erasures_running", "Erasures of buckets under way", () => rowOf(erasures().length))
  metrics.gauge(
    "hayloft_erasures_waiting",
    "Erasures that wait for the device, which may still have the old key",
    () => {
      const waiting = new Map<string, number>()
      for (const { id } of erasures().flatMap(({ devices }) => devices)) waiting.set(id, (waiting.get(id) ?? 0) + 1)
      return [...waiting].map(([device, count]) => [{ device }, count])
    },
  )
}

/** Keeps the report until the synchronous scrape ends. */
function oncePerScrape(read: ReadReport): ReadReport {
  let report: StoreReport | undefined
  return () => {
    if (report === undefined) queueMicrotask(() => (report = undefined))
    report ??= read()
    return report
  }
}

function registerQueues(metrics: Metrics, report: ReadReport): void {
  const queues = () => [
    ...report().queues.map(queue => ({ device: "", ...queue })),
    ...report().devices.flatMap(({ id, queues }) => queues.map(queue => ({ device: String(id), ...queue }))),
  ]
  metrics.gauge("hayloft_queue_depth", "Entries waiting in a bounded queue", () =>
    queues().map(({ device, name, depth }) => [{ device, queue: name }, depth]),
  )
  metrics.gauge("hayloft_queue_limit", "The bound of a queue", () =>
    queues().map(({ device, name, limit }) => [{ device, queue: name }, limit]),
  )
}

function registerDatabase(metrics: Metrics, report: ReadReport): void {
  const ofNode = () => {
    const { database } = report()
    return database?.nodes.find(({ name }) => name === database.own)
  }
  metrics.summary(
    "hayloft_database_response_seconds",
    "Response times of the database for this node over the last minutes, by quantile",
    () => {
      const own = ofNode()
      return (["commits", "reads"] as const).flatMap((statements): Rows => {
        const times = own?.[statements]
        if (times === undefined) return []
        return [
          [{ statements, quantile: "0.5" }, times.medianMs / 1000],
          [{ statements, quantile: "0.99" }, times.slowMs / 1000],
        ]
      })
    },
  )
  metrics.gauge(
    "hayloft_database_clock_ahead_seconds",
    "How far the clock of this node is ahead of the database's",
    () => {
      const clock = ofNode()?.clock
      return rowOf(clock && clock.aheadMs / 1000)
    },
  )
  metrics.gauge("hayloft_database_findings", "What is wrong with the database, by kind", () => {
    const checks = (report().database?.findings ?? []).map(({ check }) => check)
    return [...new Set(checks)].map(check => [{ check }, checks.filter(each => each === check).length] as const)
  })
  const health = () => report().database?.health
  metrics.gauge("hayloft_database_bytes", "Size of the database", () => rowOf(health()?.bytes))
  metrics.gauge("hayloft_database_connections_left", "Connections that the database still allows", () =>
    rowOf(health()?.connectionsLeft),
  )
  metrics.gauge(
    "hayloft_database_oldest_snapshot_seconds",
    "Age of the oldest transaction that holds back vacuum; 0: there is none",
    () => {
      const holders = health()?.holders
      return rowOf(holders && Math.max(0, ...holders.map(({ seconds = 0 }) => seconds)))
    },
  )
  metrics.gauge("hayloft_database_dead_rows", "Rows of a table that vacuum has to remove", () =>
    (health()?.tables ?? []).map(({ name, deadRows }) => [{ table: name }, deadRows]),
  )
  metrics.gauge("hayloft_database_standby_lag_bytes", "What a standby has not applied yet", () =>
    (health()?.standbys ?? []).flatMap(({ name, lagBytes }): Rows =>
      lagBytes === undefined ? [] : [[{ standby: name }, lagBytes]],
    ),
  )
}

function registerSafety(metrics: Metrics, report: ReadReport): void {
  metrics.gauge(
    "hayloft_safe_losses",
    "Arbitrary disks that may fail now without a loss; -1: something is not readable",
    () => rowOf(report().safety.safeLosses),
  )
  metrics.gauge("hayloft_safe_losses_when_whole", "hayloft_safe_losses once repair and moving are done", () =>
    rowOf(report().safety.safeLossesWhenWhole),
  )
  metrics.gauge(
    "hayloft_bytes_by_safe_losses",
    "Bytes of blocks, before coding, by the number of further disk losses they survive",
    () => report().safety.levels.map(({ losses, bytes }) => [{ losses: String(losses) }, bytes]),
  )
  metrics.gauge("hayloft_lost_blocks", "Blocks of objects with fewer shards left than a read needs", () =>
    rowOf(report().repair?.lostBlocks),
  )
  metrics.gauge("hayloft_single_copy_blocks", "Blocks that were written as a single copy, whatever their policy", () =>
    rowOf(report().repair?.singleCopyBlocks),
  )
}

function registerDevices(metrics: Metrics, report: ReadReport): void {
  metrics.gauge("hayloft_device_ok", "1 while the device is present and responds", () =>
    report().devices.map(({ id, state }) => [
      { device: String(id) },
      state === "offline" || state === "missing" || state === "failed" ? 0 : 1,
    ]),
  )
  metrics.gauge("hayloft_device_state", "1 for the current state of the device", () =>
    report().devices.map(({ id, state }) => [{ device: String(id), state }, 1]),
  )
  const gauge = (name: string, help: string, read: (device: DeviceReport) => number | undefined) =>
    metrics.gauge(name, help, () =>
      report().devices.flatMap((device): Rows => {
        const value = read(device)
        return value === undefined ? [] : [[{ device: String(device.id) }, value]]
      }),
    )
  gauge("hayloft_memtable_rows", "Rows that the metadata store does not contain yet", device => device.memtableRows)
  gauge("hayloft_metadata_rows_set_aside", "Rows too long for the metadata store", device => device.asideRows)
  gauge("hayloft_log_bytes", "Bytes of the commit log that are not truncated yet", device => device.logBytes)
  gauge("hayloft_volume_bytes", "Bytes of needle volumes", device => device.volumeBytes)
  gauge("hayloft_volume_dead_bytes", "Bytes of removed needles in needle volumes", device => device.deadBytes)
  // A device whose file system is not known reports no sizes.
  const sizeOf = ({ disk }: DeviceReport, bytes: number) => (disk === undefined ? undefined : bytes)
  gauge("hayloft_device_total_bytes", "Size of the device's file system", device => sizeOf(device, device.totalBytes))
  gauge("hayloft_device_free_bytes", "Free on the device's file system", device => sizeOf(device, device.freeBytes))
  gauge("hayloft_device_usable_bytes", "Space left for new blocks", device => device.usableBytes)
  gauge("hayloft_device_reserve_bytes", "Reserved for deletes, repair and compaction", device => device.reserveBytes)
  gauge(
    "hayloft_device_full_in_seconds",
    "Seconds until the device is full at the current rate",
    device => device.fullInSeconds,
  )
}

function registerWork(metrics: Metrics, clock: Clock, report: ReadReport): void {
  metrics.gauge("hayloft_repair_paused", "1 while repair is paused", () => {
    const { repair } = report()
    return rowOf(repair && (repair.isPaused ? 1 : 0))
  })
  metrics.gauge("hayloft_repair_remaining_bytes", "Bytes of missing shards that repair still has to write", () =>
    rowOf(report().repair?.progress.remainingBytes),
  )
  metrics.gauge("hayloft_repair_remaining_partitions", "Partitions that lack shards", () =>
    rowOf(report().repair?.partitionsRemaining),
  )
  metrics.total("hayloft_repair_rebuilt_shards_total", "Shards that repair has written since the start", () =>
    rowOf(report().repair?.rebuiltShards),
  )
  metrics.gauge("hayloft_moving_remaining_bytes", "Bytes of shards that still move to the current layout", () => {
    const { repair, layout } = report()
    return rowOf(repair && (layout.transition?.progress?.remainingBytes ?? 0))
  })
  metrics.gauge(
    "hayloft_reencoding_remaining_bytes",
    "Bytes of blocks that still have to be re-encoded to their policy",
    () => rowOf(report().reencoding?.remainingBytes),
  )
  const ofScrub = (read: (scrub: ScrubReport) => number) => (): Rows =>
    (report().scrub ?? []).map(scrub => [{ device: String(scrub.device) }, read(scrub)])
  metrics.gauge(
    "hayloft_scrub_oldest_seconds",
    "Age of the byte that was verified longest ago",
    ofScrub(({ oldestVerifiedMs }) => Math.max(0, (clock.wallMs() - oldestVerifiedMs) / 1000)),
  )
  metrics.gauge(
    "hayloft_scrub_remaining_bytes",
    "Bytes that the current pass still has to verify",
    ofScrub(({ progress }) => progress.remainingBytes),
  )
  metrics.total(
    "hayloft_scrub_damages_total",
    "Damaged needles that scrub has found since the start",
    ofScrub(({ damagesFound }) => damagesFound),
  )
}

interface BucketSize {
  /** The name is undefined for all buckets together beyond those that have a series of their own. */
  readonly bucket: string | undefined
  readonly objects: number
  readonly bytes: number
}

/** No bucket can have this name. */
const OTHER_BUCKETS = "_other"

/** Registers what buckets hold: bounded, with the rest as one. */
export function registerBuckets(to: Metrics, sizes: () => readonly BucketSize[]): void {
  const metrics = sharedMetrics(to)
  const rows = (valueOf: (size: BucketSize) => number) => () =>
    sizes().map(size => [{ bucket: size.bucket ?? OTHER_BUCKETS }, valueOf(size)] as const)
  metrics.gauge(
    "hayloft_bucket_objects",
    "Stored objects of a bucket, versions and delete markers not counted",
    rows(({ objects }) => objects),
  )
  metrics.gauge(
    "hayloft_bucket_bytes",
    "Stored bytes of a bucket, all versions",
    rows(({ bytes }) => bytes),
  )
}
