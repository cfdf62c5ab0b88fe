/**
 * Status as metrics: gauges that are read when scraped. Where a store does not know or do something,
 * its metric has no rows.
 */
import type { StoreStatus } from "../../admin/index.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Labels, Metrics } from "../../seams/telemetry/contract.js"
import type { StatusSources } from "./status-sources.js"

type Rows = readonly (readonly [Labels, number])[]

const rowOf = (value: number | undefined): Rows => (value === undefined ? [] : [[{}, value]])

export function registerStatus(metrics: Metrics, clock: Clock, status: StoreStatus, sources: StatusSources): void {
  registerSafety(metrics, status, sources)
  registerDevices(metrics, status, sources)
  registerSpace(metrics, sources)
  registerWork(metrics, clock, sources)
  const queues = () => [
    ...sources.queues().map(queue => ({ device: "", ...queue })),
    ...sources.devices().map(({ id, calls }) => ({ device: String(id), ...calls })),
  ]
  metrics.gauge("hayloft_queue_depth", "Entries waiting in a bounded queue", () =>
    queues().map(({ device, name, depth }) => [{ device, queue: name }, depth]),
  )
  metrics.gauge("hayloft_queue_limit", "The bound of a queue", () =>
    queues().map(({ device, name, limit }) => [{ device, queue: name }, limit]),
  )
}

function registerSafety(metrics: Metrics, status: StoreStatus, sources: StatusSources): void {
  metrics.gauge(
    "hayloft_safe_losses",
    "Arbitrary disks that may fail now without a loss; -1: something is not readable",
    () => rowOf(status.report().safety.safeLosses),
  )
  metrics.gauge("hayloft_safe_losses_when_whole", "The same, once everything is where it should be", () =>
    rowOf(status.report().safety.safeLossesWhenWhole),
  )
  metrics.gauge(
    "hayloft_bytes_by_safe_losses",
    "Bytes of blocks, before coding, by how many more lost disks they survive",
    () => status.report().safety.levels.map(({ losses, bytes }) => [{ losses: String(losses) }, bytes]),
  )
  metrics.gauge("hayloft_lost_blocks", "Blocks of objects of which fewer shards are left than a read needs", () =>
    rowOf(sources.repair()?.lostBlocks),
  )
  metrics.gauge(
    "hayloft_single_copy_blocks",
    "Blocks that were written as one copy, whatever their policy should be",
    () => rowOf(sources.repair()?.singleCopyBlocks),
  )
}

function registerDevices(metrics: Metrics, status: StoreStatus, sources: StatusSources): void {
  metrics.gauge("hayloft_device_ok", "1 while the device is there and answers", () =>
    status
      .report()
      .devices.map(({ id, state }) => [
        { device: String(id) },
        state === "offline" || state === "missing" || state === "failed" ? 0 : 1,
      ]),
  )
  metrics.gauge("hayloft_device_state", "1 for the state that a device is in", () =>
    status.report().devices.map(({ id, state }) => [{ device: String(id), state }, 1]),
  )
  metrics.gauge("hayloft_memtable_rows", "Rows that the base does not contain yet", () =>
    sources.devices().map(({ id, memtableRows }) => [{ device: String(id) }, memtableRows]),
  )
  metrics.gauge("hayloft_log_bytes", "Bytes of the commit log above its cut", () =>
    sources.devices().map(({ id, logBytes }) => [{ device: String(id) }, logBytes]),
  )
  metrics.gauge("hayloft_volume_bytes", "Bytes of needle volumes", () =>
    sources.devices().map(({ id, volumeBytes }) => [{ device: String(id) }, volumeBytes]),
  )
  metrics.gauge("hayloft_volume_dead_bytes", "Bytes in needle volumes of what is gone", () =>
    sources
      .devices()
      .flatMap(({ id, deadBytes }) => (deadBytes === undefined ? [] : [[{ device: String(id) }, deadBytes]])),
  )
}

function registerSpace(metrics: Metrics, { devices }: StatusSources): void {
  const gauge = (
    name: string,
    help: string,
    read: (space: NonNullable<ReturnType<typeof devices>[number]["space"]>) => number | undefined,
  ) =>
    metrics.gauge(name, help, () =>
      devices().flatMap(({ id, space }): Rows => {
        const value = space && read(space)
        return value === undefined ? [] : [[{ device: String(id) }, value]]
      }),
    )
  gauge("hayloft_device_total_bytes", "Size of the device's file system", space => space.totalBytes)
  gauge("hayloft_device_free_bytes", "Free on the device's file system", space => space.freeBytes)
  gauge("hayloft_device_usable_bytes", "What new blocks may still take", space => space.usableBytes)
  gauge("hayloft_device_reserve_bytes", "Kept back for deletes, repair and compaction", space => space.reserveBytes)
  gauge(
    "hayloft_device_full_in_seconds",
    "Until the device is full at the present rate",
    space => space.secondsUntilFull,
  )
}

function registerWork(metrics: Metrics, clock: Clock, { repair, reencoding, scrub }: StatusSources): void {
  metrics.gauge("hayloft_repair_paused", "1 while repair is paused", () => {
    const view = repair()
    return rowOf(view && (view.isPaused ? 1 : 0))
  })
  metrics.gauge("hayloft_repair_remaining_bytes", "Bytes of missing shards that repair has still to write", () =>
    rowOf(repair()?.mending.remainingBytes),
  )
  metrics.gauge("hayloft_repair_remaining_partitions", "Partitions that lack shards", () =>
    rowOf(repair()?.mending.partitionsLeft),
  )
  metrics.gauge("hayloft_repair_rebuilt_shards", "Shards that repair has written since the start", () =>
    rowOf(repair()?.rebuiltShards),
  )
  metrics.gauge("hayloft_moving_remaining_bytes", "Bytes of shards that still move to the current layout", () =>
    rowOf(repair()?.moving.remainingBytes),
  )
  metrics.gauge(
    "hayloft_reencoding_remaining_bytes",
    "Bytes of blocks that are still under another policy than they should be",
    () => rowOf(reencoding()?.remainingBytes),
  )
  const ofScrub = (read: (view: NonNullable<ReturnType<typeof scrub>>[number]) => number) => (): Rows =>
    (scrub() ?? []).map(view => [{ device: String(view.device) }, read(view)])
  metrics.gauge(
    "hayloft_scrub_oldest_seconds",
    "Age of the byte that was verified longest ago",
    ofScrub(({ oldestVerifiedMs }) => Math.max(0, (clock.wallMs() - oldestVerifiedMs) / 1000)),
  )
  metrics.gauge(
    "hayloft_scrub_remaining_bytes",
    "Bytes that this pass has still to verify",
    ofScrub(({ remainingBytes }) => remainingBytes),
  )
  metrics.gauge(
    "hayloft_scrub_damages",
    "Damages that scrub has found since the start",
    ofScrub(({ damagesFound }) => damagesFound),
  )
}
