/**
 * Keeper: the control record of a running store on one machine, and the only way to change it.
 *
 * Promises  Changes take effect one after another, each decided on the record before it. A change that
 *           has taken effect lies on at least half of the devices that counted before, and is found by
 *           every later start that may open the store. One that has not is not in `record`; it may come
 *           to light at a later start, where nothing newer has taken effect.
 * Refuses   With `deviceFailed` where too few devices accept: the record stays what it was (of a change
 *           made in several steps: what the steps so far made of it). The next change tries anew.
 * Limits    COORDINATION_LIMITS.
 */
import { asFailure, fail, isFailure, type Failure } from "../../base/failures.js"
import type { DeviceId, Incarnation } from "../../base/ids.js"
import { votingIds, withBallast, writeControlRecord } from "../../device/index.js"
import type { ControlRecord } from "../../format/control-record.js"
import type { Clock } from "../../seams/clock/contract.js"
import type { Disk } from "../../seams/disk/contract.js"
import { COORDINATION_LIMITS } from "./limits.js"
import { hasTakenEffect, nextGeneration, stepsBetween } from "./steps-core.js"

/** A device that this process holds open. */
export interface KeptFolder {
  readonly id: DeviceId
  /** Ends every call in bounded time. */
  readonly disk: Disk
  readonly path: string
  /** Throws where the folder is not this process's any more, or is gone. */
  readonly check?: () => Promise<void>
}

/** The next record; undefined, or the same, where nothing is to change. The generation is the keeper's to set. */
type DecideChange = (record: ControlRecord) => ControlRecord | undefined

type ChangeListener = (record: ControlRecord, before: ControlRecord) => void

export class ControlRecordManager {
  #record: ControlRecord
  /** Of records tried since `#record`, which may lie on some devices: who counts in them; each set once. */
  readonly #inVain = new Map<string, readonly DeviceId[]>()
  #triedGeneration = 0
  #halted: Failure | undefined
  #turn: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #stopped = false
  readonly #listeners = new Set<ChangeListener>()
  /** By device: the end of its last write, since one file takes one write at a time. */
  readonly #writes = new Map<DeviceId, Promise<void>>()

  /**
   * `record` has taken effect. `incarnation`: of this process, known to more than half of the devices that count.
   * `folders`: those open now. `onFailed` hears of each device that failed to take a record, and why.
   */
  constructor(
    private readonly clock: Clock,
    private readonly incarnation: Incarnation,
    record: ControlRecord,
    private readonly folders: () => readonly KeptFolder[],
    private readonly onFailed: (id: DeviceId, failure: Failure) => void,
  ) {
    this.#record = record
  }

  get record(): ControlRecord {
    return this.#record
  }

  /** Why the last change did not take effect; undefined once one has. */
  get halted(): Failure | undefined {
    return this.#halted
  }

  /** The listener hears of each record that takes effect, in order, before its change resolves. Returns what ends it. */
  onChange(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /**
   * Decides and makes a change, and gives the record then. `name` is for messages. Throws what `decide`
   * throws, `deviceFailed` (too few devices accept), `tooManyInFlight`, `stopping`.
   */
  async change(name: string, decide: DecideChange): Promise<ControlRecord> {
    if (this.#waiting >= COORDINATION_LIMITS.changesWaitingMax) {
      throw fail("tooManyInFlight", { message: "too many changes of the control record are under way", change: name })
    }
    this.#waiting += 1
    const change = this.#turn.then(() => this.#make(name, decide))
    this.#turn = change.catch(() => undefined)
    try {
      return await change
    } finally {
      this.#waiting -= 1
    }
  }

  /** Refuses changes from now on; resolves when nothing is written any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#turn
    await Promise.all(this.#writes.values())
  }

  async #make(name: string, decide: DecideChange): Promise<ControlRecord> {
    if (this.#stopped) throw fail("stopping", { change: name })
    const wanted = decide(this.#record)
    if (wanted === undefined || wanted === this.#record) return this.#record
    const steps = stepsBetween(this.#record, wanted)
    // What was tried in vain must be out of the world before anything else can be.
    for (const step of this.#inVain.size > 0 ? [this.#record, ...steps] : steps) await this.#take(name, step)
    return this.#record
  }

  async #take(name: string, step: ControlRecord): Promise<void> {
    const before = this.#record
    const generation = nextGeneration(this.incarnation, Math.max(before.generation, this.#triedGeneration))
    const record = { ...step, generation }
    this.#triedGeneration = generation
    const accepted = await this.#offer(record)
    if (!hasTakenEffect([votingIds(before), ...this.#inVain.values()], accepted)) {
      const voting = votingIds(record)
      this.#inVain.set(voting.join(), voting)
      const message = "too few devices accept a change of the control record"
      this.#halted = fail("deviceFailed", { message, change: name, accepted: accepted.size })
      throw this.#halted
    }
    this.#inVain.clear()
    this.#halted = undefined
    this.#record = record
    for (const listener of this.#listeners) listener(record, before)
  }

  /**
   * Writes the record to all open devices that count in it, at once; gives who had it in time. One that it
   * says is out is not written: whoever finds the record finds it on a device that it counts.
   */
  async #offer(record: ControlRecord): Promise<ReadonlySet<DeviceId>> {
    const voting = votingIds(record)
    const accepted = new Set<DeviceId>()
    const late = new Set<DeviceId>()
    const writes = this.folders()
      .filter(({ id }) => voting.includes(id))
      .map(async folder => {
        late.add(folder.id)
        try {
          await this.#write(folder, record)
          accepted.add(folder.id)
        } catch (error) {
          // A device without room, or with too much to do, is well.
          if (!isFailure(error, "deviceFull", "tooManyInFlight")) this.onFailed(folder.id, asFailure(error))
        } finally {
          late.delete(folder.id)
        }
      })
    const over = new AbortController()
    await Promise.race([Promise.all(writes), this.clock.sleep(COORDINATION_LIMITS.acceptTimeoutMs, over.signal)])
    over.abort()
    for (const id of late) {
      const message = "the device did not take the control record in time"
      this.onFailed(id, fail("deviceFailed", { message, device: id, code: "ETIMEDOUT" }))
    }
    return new Set(accepted)
  }

  #write({ id, disk, path, check }: KeptFolder, record: ControlRecord): Promise<void> {
    const earlier = this.#writes.get(id) ?? Promise.resolve()
    const write = earlier.then(async () => {
      // Into a folder that was emptied no record is written: it would be no empty folder any more.
      await check?.()
      await withBallast(disk, path, () => writeControlRecord(disk, path, record))
    })
    const ended = write.catch(() => undefined)
    this.#writes.set(id, ended)
    return write
  }
}
