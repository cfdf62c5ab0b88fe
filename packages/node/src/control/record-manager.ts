/**
 * Control-record manager: holds the control record of a running store on one machine, and is the only way to
 * change it.
 *
 * Promises  Changes take effect one after another, each decided on the record before it. A change that has
 *           taken effect is on at least half of the devices that were voting before, and every later start
 *           that may open the store finds it. A change that has not is not in `record`; a later start may
 *           find it if nothing newer has taken effect. After `spread`, every open voting device has the record.
 * Refuses   With `deviceFailed` if too few devices accept: the record stays as it was (after a change with
 *           several steps: as the completed steps left it). The next change tries again. A device fails if a call on
 *           it does; one that is slow is waited for while the change needs it, and gets the record later otherwise.
 * Limits    COORDINATION_LIMITS.
 */
import { asFailure, fail, type Failure } from "@hayloft/base/failures.js"
import { isShortage } from "@hayloft/base/space/full-disk-core.js"
import type { DeviceId, Incarnation } from "@hayloft/base/ids.js"
import { votingIds, withBallast, writeControlRecord } from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import { InOrder } from "@hayloft/base/life/index.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import { hasTakenEffect, nextGeneration, stepsBetween } from "./steps-core.js"

export const COORDINATION_LIMITS = {
  /** Queued changes of the record. */
  changesWaitingMax: 256,
  /**
   * How long a change that has taken effect waits for the other devices, unless they stall together: longer than one device
   * call may take, so that a device that hangs is out by then.
   */
  acceptTimeoutMs: 4_800,
} as const

/** A device that this process holds open. */
export interface KeptFolder {
  readonly id: DeviceId
  /** Every call has a time limit. */
  readonly disk: Disk
  readonly path: string
  /** Throws if the folder no longer belongs to this process, or is gone. */
  readonly check?: () => Promise<void>
}

/**
 * Returns the next record; undefined, or the same one, for no change. The control-record manager sets the generation.
 */
export type DecideChange = (record: ControlRecord) => ControlRecord | undefined

export type ChangeListener = (record: ControlRecord, before: ControlRecord) => void

export interface RecordManager {
  /** The record in effect. */
  readonly record: ControlRecord
  /**
   * Calls the listener for each record that takes effect, in order, before its change resolves. Returns the
   * unsubscriber.
   */
  onChange(listener: ChangeListener): () => void
  /**
   * Decides and makes a change; returns the resulting record. `name` is for messages. Throws what `decide` throws,
   * `tooManyInFlight`, `stopping`, and the failure of what keeps the record.
   */
  change(name: string, decide: DecideChange): Promise<ControlRecord>
  /**
   * Resolves with the record in effect once every device of this process that votes in it has it: what only the record
   * has is then kept as well as the data. Throws `deviceFailed`, `stopping`.
   */
  spread(): Promise<ControlRecord>
  /** Reads the record now; listeners have been called when it resolves. Undefined: no other process changes it. */
  readonly refresh?: () => Promise<void>
  /** Refuses changes from now on; resolves when no write is in progress. */
  stop(): Promise<void>
}

/** The manager for a store whose devices keep the record. */
export class ControlRecordManager implements RecordManager {
  #record: ControlRecord
  /** Voting devices of records that were tried since `#record` and may be on some devices; each set once. */
  readonly #uncommitted = new Map<string, readonly DeviceId[]>()
  #triedGeneration = 0
  readonly #turn = new InOrder()
  #waiting = 0
  #stopped = false
  readonly #listeners = new Set<ChangeListener>()
  /** By device: the end of its last write, since one file accepts one write at a time. */
  readonly #writes = new Map<DeviceId, Promise<void>>()
  /** By device: the generation of the record that was last to be written to it. */
  readonly #offered = new Map<DeviceId, number>()
  /** By device: the generation that it has accepted last from this process. */
  readonly #accepted = new Map<DeviceId, number>()

  /**
   * `record` is in effect. `incarnation`: of this process; more than half of the voting devices have recorded it.
   * `folders`: those open now. `onFailed` is called for each device that failed to accept a record, with the reason.
   * `isStalling`: so many devices are late together that a change waits for them, and none has failed.
   */
  constructor(
    private readonly clock: Clock,
    private readonly incarnation: Incarnation,
    record: ControlRecord,
    private readonly folders: () => readonly KeptFolder[],
    private readonly onFailed: (id: DeviceId, failure: Failure) => void,
    private readonly isStalling: () => boolean = () => false,
  ) {
    this.#record = record
  }

  get record(): ControlRecord {
    return this.#record
  }

  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Also throws `deviceFailed` if too few devices accept. */
  async change(name: string, decide: DecideChange): Promise<ControlRecord> {
    if (this.#waiting >= COORDINATION_LIMITS.changesWaitingMax) {
      throw fail("tooManyInFlight", { message: "too many changes of the control record are under way", change: name })
    }
    this.#waiting += 1
    try {
      return await this.#turn.run(() => this.#make(name, decide))
    } finally {
      this.#waiting -= 1
    }
  }

  /** `hasEnough`: devices whose own record has all that matters to the caller. */
  spread(hasEnough: (id: DeviceId) => boolean = () => false): Promise<ControlRecord> {
    return this.#turn.run(async () => {
      if (this.#stopped) throw fail("stopping", { change: "spread" })
      // A device that has a newer record, which failed, must not get an older one.
      if (this.#uncommitted.size > 0) await this.#take("spread", this.#record)
      const lacking = this.#lacking()
      const isEnough = (accepted: ReadonlySet<DeviceId>): boolean =>
        lacking.every(id => accepted.has(id) || hasEnough(id))
      if (lacking.length > 0) await this.#offer(this.#record, isEnough, lacking)
      const devices = this.#lacking().filter(id => !hasEnough(id))
      if (devices.length === 0) return this.#record
      throw fail("deviceFailed", { message: "devices lack the control record in effect", devices: devices.join() })
    })
  }

  /** The open devices that vote in the record in effect and are not known to have it. */
  #lacking(): readonly DeviceId[] {
    const voting = votingIds(this.#record)
    const ids = this.folders().map(({ id }) => id)
    return ids.filter(id => voting.includes(id) && this.#accepted.get(id) !== this.#record.generation)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#turn.ended()
    await Promise.all(this.#writes.values())
  }

  async #make(name: string, decide: DecideChange): Promise<ControlRecord> {
    if (this.#stopped) throw fail("stopping", { change: name })
    const wanted = decide(this.#record)
    if (wanted === undefined || wanted === this.#record) return this.#record
    const steps = stepsBetween(this.#record, wanted)
    // Records that failed to take effect must be superseded before another record is tried.
    for (const step of this.#uncommitted.size > 0 ? [this.#record, ...steps] : steps) await this.#take(name, step)
    return this.#record
  }

  async #take(name: string, step: ControlRecord): Promise<void> {
    const before = this.#record
    const generation = nextGeneration(this.incarnation, Math.max(before.generation, this.#triedGeneration))
    const record = { ...step, generation }
    this.#triedGeneration = generation
    const isEnough = (accepted: ReadonlySet<DeviceId>): boolean =>
      hasTakenEffect([votingIds(before), ...this.#uncommitted.values()], accepted)
    const accepted = await this.#offer(record, isEnough)
    if (!isEnough(accepted)) {
      const voting = votingIds(record)
      this.#uncommitted.set(voting.join(), voting)
      const message = "too few devices accept a change of the control record"
      throw fail("deviceFailed", { message, change: name, accepted: accepted.size })
    }
    this.#uncommitted.clear()
    this.#record = record
    for (const listener of this.#listeners) listener(record, before)
  }

  /**
   * Writes the record to its open voting devices concurrently, or to some of them. Waits until enough have accepted it or
   * all others have failed, and then a while for the rest; returns those that have accepted it. Devices that the record
   * marks as offline are not written: a record is only ever found on a device that votes in it.
   */
  async #offer(
    record: ControlRecord,
    isEnough: (accepted: ReadonlySet<DeviceId>) => boolean,
    voting = votingIds(record),
  ): Promise<ReadonlySet<DeviceId>> {
    const accepted = new Set<DeviceId>()
    const late = new Set<DeviceId>()
    let settle = (): void => undefined
    const enough = new Promise<void>(resolve => (settle = resolve))
    if (isEnough(accepted)) settle()
    const writes = this.folders()
      .filter(({ id }) => voting.includes(id))
      .map(async folder => {
        late.add(folder.id)
        try {
          await this.#write(folder, record)
          accepted.add(folder.id)
          if (isEnough(accepted)) settle()
        } catch (error) {
          if (!isShortage(error)) this.onFailed(folder.id, asFailure(error))
        } finally {
          late.delete(folder.id)
        }
      })
    const written = Promise.all(writes)
    await Promise.race([written, enough])
    do await within(this.clock, COORDINATION_LIMITS.acceptTimeoutMs, written)
    while (late.size > 0 && this.isStalling())
    return new Set(accepted)
  }

  #write({ id, disk, path, check }: KeptFolder, record: ControlRecord): Promise<void> {
    this.#offered.set(id, record.generation)
    const earlier = this.#writes.get(id) ?? Promise.resolve()
    const write = earlier.then(async () => {
      // The device has it by an earlier offer; or was slow, and a newer one waits, whose offer follows this one's end.
      if (this.#accepted.get(id) === record.generation || this.#offered.get(id) !== record.generation) return
      // Do not write into an emptied folder: it must stay empty.
      await check?.()
      await withBallast(disk, path, () => writeControlRecord(disk, path, record))
      this.#accepted.set(id, record.generation)
    })
    const ended = write.catch(() => undefined)
    this.#writes.set(id, ended)
    return write
  }
}
