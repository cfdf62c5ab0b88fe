/**
 * Stalls: all calls of a process on the folders of its store, judged together (see `stall-core.ts`).
 *
 * Promises  A device that is late alone is given up after `CALL_LIMITS.deviceTimeoutMs`. While so many are late that the
 *           store could not go on without them, none is given up: their calls stay under way, and when they end, all goes
 *           on as if nothing had happened. A group without which the store could go on with half of its devices is waited
 *           for `STALL_MS_MAX`.
 *           `hasCalls` is true for a folder until every call on it has ended, also those that were given up: such a write
 *           may still reach the disk, so that the folder must not be opened before.
 */
import { resolve } from "node:path"
import type { DeviceId } from "@hayloft/base/ids.js"
import { shardsNeeded, type Policy } from "@hayloft/base/policy.js"
import type { Failure } from "@hayloft/base/failures.js"
import type { ControlRecord } from "../../format/device/control-record.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { CALL_LIMITS, queuedDisk, type QueuedDisk } from "./call-queue.js"
import { isVoting } from "../records/control-core.js"
import { isStalled, isStalling, mayGiveUp, type JudgedStore } from "./stall-core.js"

const STALL_MS_MAX = 30_000
/** A call that takes so long is late: the calls of devices that stop together do not begin together. */
const LATE_MS = 1_000
/** A device is late so long after such a call: disks that recover slowly answer from time to time. */
const RECENT_MS = 5_000

/** The facts that the process knows of its store. */
interface StallFacts {
  readonly record: ControlRecord
  /** Policies besides that of the record. */
  readonly policies: readonly Policy[]
  /** The folder of a device that this process has open; undefined if it has not, or not any more. */
  readonly folderOf: (id: DeviceId) => string | undefined
  /** Returns true if this process has the device, if any has. */
  readonly isOwn: (device: ControlRecord["devices"][number]) => boolean
}

interface Watched {
  readonly queue: QueuedDisk
  readonly signal: AbortSignal
}

export class Stalls {
  private readonly folders = new Map<string, Watched[]>()
  private isEnding = false
  private facts: (() => StallFacts | undefined) | undefined

  /** The process stops: what does not answer in its time is given up, so that the end does not wait for a stall. */
  end(): void {
    this.isEnding = true
  }

  /** From now on the record tells which devices there are; until then each folder is one, and votes. */
  follow(facts: () => StallFacts | undefined): void {
    this.facts = facts
  }

  /** The disk of a folder behind a queue; see `queuedDisk`. The signal ends the watch over it. */
  queued(
    folder: string,
    { disk, clock }: { readonly disk: Disk; readonly clock: Clock },
    signal: AbortSignal,
    onSuspect: (failure: Failure) => void = () => undefined,
  ): QueuedDisk {
    const limits = { ...CALL_LIMITS, mayGiveUp: (waitedMs: number) => this.mayGiveUp(waitedMs) }
    const queue = queuedDisk(disk, clock, limits, signal, onSuspect)
    this.watch(folder, queue, signal)
    return queue
  }

  /** Another queue of a folder: its calls count as well. */
  watch(folder: string, queue: QueuedDisk, signal: AbortSignal): void {
    this.prune()
    const path = resolve(folder)
    this.folders.set(path, [...(this.folders.get(path) ?? []), { queue, signal }])
  }

  /** Returns true if calls that were given up have not ended. Without a folder: calls on any. */
  hasCalls(folder?: string): boolean {
    this.prune()
    const watched = folder === undefined ? [...this.folders.values()].flat() : this.folders.get(resolve(folder))
    return watched?.some(({ queue, signal }) => isOver(queue, signal) && queue.running > 0) === true
  }

  /** So many devices are late at this moment that the store could not go on without them. */
  get isStalling(): boolean {
    return !this.isEnding && isStalling(this.judged())
  }

  /** Returns why requests wait now; undefined while no stall has lasted as long as a device may take for a call. */
  get trouble(): string | undefined {
    const judged = this.judged()
    // Devices that have failed otherwise are waited for by nothing.
    const isWaitedFor = [...this.folders.values()].some(watched => stateOf(watched).isSilent)
    if (!isWaitedFor || !isStalled(judged)) return undefined
    const silent = judged.devices.filter(each => each.isSilent).length
    return `${silent} of ${judged.devices.length} devices do not answer: requests wait until what they share answers again (a disk, a controller, a file system)`
  }

  private mayGiveUp(waitedMs: number): boolean {
    return this.isEnding || mayGiveUp(this.judged(), waitedMs >= STALL_MS_MAX)
  }

  private prune(): void {
    for (const [folder, watched] of this.folders) {
      const left = watched.filter(({ queue, signal }) => !isOver(queue, signal) || queue.running > 0)
      if (left.length === 0) this.folders.delete(folder)
      else if (left.length < watched.length) this.folders.set(folder, left)
    }
  }

  private judged(): JudgedStore {
    const facts = this.facts?.()
    if (facts === undefined) {
      const devices = [...this.folders.values()].map(watched => {
        return { ...stateOf(watched), isVoter: true, hasMetadata: true }
      })
      return { devices, needed: 1, devicesElsewhere: 0, devicesDecide: true }
    }
    const { record, policies, folderOf, isOwn } = facts
    const serving = record.devices.filter(isVoting)
    const own = serving.filter(isOwn)
    const holders = new Set(record.tablets.flatMap(({ replicas }) => replicas.map(({ id }) => id)))
    return {
      devices: own.map(({ id }) => {
        const folder = folderOf(id)
        const state = folder === undefined ? GONE : stateOf(this.folders.get(resolve(folder)) ?? [])
        return { ...state, isVoter: true, hasMetadata: holders.has(id) }
      }),
      needed: Math.min(serving.length, Math.max(...[record.policy, ...policies].map(shardsNeeded))),
      devicesElsewhere: serving.length - own.length,
      devicesDecide: record.tablets.length > 0,
    }
  }
}

const GONE = { isLate: true, isSilent: true }

/** Nothing waits for the queue any more. */
const isOver = ({ suspect }: QueuedDisk, signal: AbortSignal): boolean => suspect !== undefined || signal.aborted

const stateOf = (watched: readonly Watched[]) => ({
  isLate: watched.some(({ queue }) => queue.isLate(LATE_MS, RECENT_MS)),
  isSilent: watched.some(({ queue }) => queue.isLate(CALL_LIMITS.deviceTimeoutMs, 0)),
})
