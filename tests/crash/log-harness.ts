/**
 * Power cuts against the commit log: records a run of a log on the simulated disk, and checks the recovery from
 * each state of the disk that a cut could have left.
 *
 * Each record contains its own number, so a record of an earlier process, or an invented one, is detected.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { parseDeviceId, parseLogSequence } from "@hayloft/base/ids.js"
import type { LogSequence } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { LoggedRecord } from "@hayloft/engine/device/contract.js"
import { openLog } from "@hayloft/engine/device/log/log.js"
import type { SegmentedLog } from "@hayloft/engine/device/log/log.js"
import { DeviceCipher, deviceKeysOf } from "@hayloft/base/encryption/device-cipher.js"
import { crashStates, SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { CrashState, Disk, DiskRecord } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"

export const DEVICE = parseDeviceId("00000000000000aa")
export const FOLDER = "/d/log"
/** Four pages per segment: every few batches a new segment is begun and an old one recycled. */
export const LOG_OPTIONS = { segmentBytes: 16 * KIB, fillStepBytes: 8 * KIB }
const RECORD_BYTES_MAX = 6000

/** One append of the run. */
export interface Issued {
  readonly numbers: readonly number[]
  /** The number of recorded events when the append resolved, or a recovery found it. */
  ackedAt: number
  /** The number of recorded events when a recovery did not find it. */
  lostAt: number
  sequence: LogSequence | undefined
}

export interface Run {
  readonly record: DiskRecord
  readonly issued: readonly Issued[]
  /** From this event on, batches up to `upTo` are no longer needed. */
  readonly cuts: readonly { readonly upTo: LogSequence; readonly at: number }[]
  readonly killedInFlight: number
}

/** The interface of a recovery: the real one, or one with a planted bug. */
export interface Recovered {
  readonly durable: LogSequence
  records(after: LogSequence): AsyncIterable<LoggedRecord>
  append(records: readonly Uint8Array[]): Promise<unknown>
}
export type Recover = (disk: Disk) => Promise<Recovered>
export type OpenLog = (disk: Disk) => Promise<SegmentedLog>

export const openReal: OpenLog = disk => openLog(disk, FOLDER, DEVICE, LOG_OPTIONS)

const NONCES = new SimRandom(20_261_123)
const KEYS = deviceKeysOf(new Uint8Array(32).fill(7), DEVICE)

export const openEncrypted: OpenLog = disk =>
  openLog(disk, FOLDER, DEVICE, { ...LOG_OPTIONS, cipher: new DeviceCipher(KEYS, NONCES) })

const lengthOf = (number: number): number =>
  4 + ((((number * 2_654_435_761) % 2 ** 32) >>> 0) % (number % 3 === 0 ? RECORD_BYTES_MAX : 300))

export function recordOf(number: number): Uint8Array {
  const bytes = new Uint8Array(lengthOf(number))
  for (let i = 4; i < bytes.length; i += 1) bytes[i] = number * 7 + i
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

/** Returns the number of a record that is exactly as written; undefined for any other bytes. */
export function numberOf(bytes: Uint8Array): number | undefined {
  if (bytes.length < 4) return undefined
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
  return equalBytes(bytes, recordOf(number)) ? number : undefined
}

const WARM_UP_STEPS = 25

/** Plays a generated script; the recording begins once segments are recycled. */
export async function play(seed: number, steps: number, open: OpenLog = openReal): Promise<Run> {
  const script = new Script(new SimRandom(seed), open)
  await script.begin()
  for (let step = 0; step < WARM_UP_STEPS; step += 1) await script.step()
  script.record()
  for (let step = 0; step < steps; step += 1) await script.step()
  return script.run()
}

class Script {
  readonly #sim = new SimDisk()
  readonly #cuts: { upTo: LogSequence; at: number }[] = []
  #issued: Issued[] = []
  #log: SegmentedLog | undefined
  #record: DiskRecord | undefined
  #lastNumber = 0
  #killedInFlight = 0

  constructor(
    private readonly random: Random,
    private readonly open: OpenLog,
  ) {}

  async begin(): Promise<void> {
    this.#log = await this.open(this.#sim.boot())
  }

  record(): void {
    this.#record = this.#sim.record()
    this.#issued = this.#issued.filter(issued => issued.ackedAt !== Infinity)
    for (const issued of this.#issued) issued.ackedAt = 0
    const upTo = this.#cuts.at(-1)?.upTo
    this.#cuts.length = 0
    if (upTo !== undefined) this.#cuts.push({ upTo, at: 0 })
  }

  run(): Run {
    if (this.#record === undefined) throw new Error("nothing was recorded")
    return { record: this.#record, issued: this.#issued, cuts: this.#cuts, killedInFlight: this.#killedInFlight }
  }

  async step(): Promise<void> {
    const log = this.#log
    if (log === undefined) throw new Error("the script has not begun")
    const kind = this.random.below(20)
    if (kind < 10) await this.#append(log)
    else if (kind < 13) await Promise.all([this.#append(log), this.#append(log), this.#append(log)])
    else if (kind < 16) await this.#cut(log)
    else if (kind < 17) await log.confirm()
    else if (kind < 18) await this.#restart(log)
    else await this.#kill(log)
  }

  get #now(): number {
    return this.#record?.events.length ?? 0
  }

  async #append(log: SegmentedLog): Promise<void> {
    const count = this.random.below(4)
    const numbers = Array.from({ length: count }, (_, i) => this.#lastNumber + 1 + i)
    this.#lastNumber += count
    const issued: Issued = { numbers, ackedAt: Infinity, lostAt: Infinity, sequence: undefined }
    this.#issued.push(issued)
    issued.sequence = (await log.append(numbers.map(recordOf))).sequence
    issued.ackedAt = this.#now
  }

  async #cut(log: SegmentedLog): Promise<void> {
    const upTo = parseLogSequence(Math.max(this.#cuts.at(-1)?.upTo ?? 0, log.durable - this.random.below(4)))
    this.#cuts.push({ upTo, at: this.#now })
    await log.cut(upTo)
  }

  async #restart(log: SegmentedLog): Promise<void> {
    await log.close()
    await this.#reopen()
  }

  /** The process is killed during one or two appends; the machine keeps running. */
  async #kill(log: SegmentedLog): Promise<void> {
    const under = [this.#append(log), this.#append(log)]
    for (let turns = this.random.below(30); turns > 0; turns -= 1) await Promise.resolve()
    this.#sim.kill()
    if (this.#issued.slice(-under.length).some(issued => issued.ackedAt === Infinity)) this.#killedInFlight += 1
    await this.#reopen()
  }

  /** Records returned by a recovery must stay; records not returned must not reappear. */
  async #reopen(): Promise<void> {
    const log = await this.open(this.#sim.boot())
    this.#log = log
    const found = new Map<number | undefined, LogSequence>()
    const cut = this.#cuts.at(-1)?.upTo ?? parseLogSequence(0)
    for await (const { bytes, sequence } of log.records(cut)) found.set(numberOf(bytes), sequence)
    for (const issued of this.#issued) {
      if (issued.ackedAt !== Infinity || issued.lostAt !== Infinity || issued.numbers.length === 0) continue
      issued.sequence = found.get(issued.numbers[0])
      if (issued.sequence === undefined) issued.lostAt = this.#now
      else issued.ackedAt = this.#now
    }
    this.#issued = this.#issued.filter(issued => issued.ackedAt !== Infinity || issued.numbers.length > 0)
  }
}

/** The numbers of all records above the cut; undefined for a record that was never written. */
export async function numbersAbove(
  log: Pick<Recovered, "records">,
  after: LogSequence,
): Promise<(number | undefined)[]> {
  const found: (number | undefined)[] = []
  for await (const { bytes } of log.records(after)) found.push(numberOf(bytes))
  return found
}

/** The broken promise, and how it was broken. */
export interface Finding {
  readonly check:
    | "acknowledged is present"
    | "nothing else is present"
    | "recovery repeats"
    | "no false damage"
    | "the log continues"
  readonly what: string
}

/** Checks one crash state. `deep` also continues from it, and cuts the power inside the recovery. */
export async function findBrokenPromise(
  run: Run,
  state: CrashState,
  recover: Recover,
  deep: Random | undefined,
): Promise<Finding | undefined> {
  const sim = new SimDisk(state.medium)
  const cut = run.cuts.filter(({ at }) => at <= state.eventsBefore).at(-1)?.upTo ?? parseLogSequence(0)
  const recording = deep === undefined ? undefined : sim.record()
  let first: (number | undefined)[]
  try {
    const log = await recover(sim.boot())
    if (log.durable < cut)
      return { check: "acknowledged is present", what: `ends with ${log.durable}, below the cut ${cut}` }
    first = await numbersAbove(log, cut)
  } catch (error) {
    if (!isFailure(error, "corruptLog")) throw error
    return { check: "no false damage", what: error.message }
  }
  const finding = checkNumbers(run, state.eventsBefore, cut, first)
  if (finding !== undefined || deep === undefined || recording === undefined) return finding
  return (await checkRepeats(recording, first, cut, recover, deep)) ?? (await checkContinues(sim, first, cut, recover))
}

function checkNumbers(
  run: Run,
  events: number,
  cut: LogSequence,
  found: readonly (number | undefined)[],
): Finding | undefined {
  const wanted = run.issued.filter(issued => issued.sequence === undefined || issued.sequence > cut)
  const acked = wanted.filter(({ ackedAt }) => ackedAt <= events).flatMap(({ numbers }) => numbers)
  const missing = acked.find((number, index) => found[index] !== number)
  if (missing !== undefined && !found.includes(missing)) {
    return { check: "acknowledged is present", what: `record ${missing} is missing` }
  }
  // Beyond the acknowledged records, only whole appends may follow, in the order of their calls, and none that was
  // abandoned.
  const open = wanted.filter(({ ackedAt, lostAt }) => ackedAt > events && lostAt > events)
  const legal = [acked, ...open.map((_, i) => [...acked, ...open.slice(0, i + 1).flatMap(({ numbers }) => numbers)])]
  const isLegal = legal.some(numbers => numbers.length === found.length && numbers.every((n, i) => n === found[i]))
  return isLegal
    ? undefined
    : { check: "nothing else is present", what: `found ${found.join()}, acknowledged ${acked.join()}` }
}

/** A recovery interrupted by a power cut at any point, and repeated, returns what the first one returned. */
async function checkRepeats(
  recording: DiskRecord,
  first: readonly (number | undefined)[],
  cut: LogSequence,
  recover: Recover,
  random: Random,
): Promise<Finding | undefined> {
  for (const state of crashStates(recording, { window: 4, subsetsMax: 4, tearsMax: 2, random })) {
    const log = await recover(new SimDisk(state.medium).boot())
    const again = await numbersAbove(log, cut)
    if (again.join() !== first.join()) {
      return { check: "recovery repeats", what: `${again.join()} after ${first.join()}; ${state.what}` }
    }
  }
  return undefined
}

/** Appends after a recovery; the next recovery must return them after everything else. */
async function checkContinues(
  sim: SimDisk,
  first: readonly (number | undefined)[],
  cut: LogSequence,
  recover: Recover,
): Promise<Finding | undefined> {
  sim.kill()
  const added = [1_000_000, 1_000_001, 1_000_002]
  const log = await recover(sim.boot())
  for (const number of added) await log.append([recordOf(number)])
  sim.crash(new SimRandom(1))
  const after = await numbersAbove(await recover(sim.boot()), cut)
  if (after.join() === [...first, ...added].join()) return undefined
  return { check: "the log continues", what: `${after.join()} after ${first.join()} and ${added.join()}` }
}
