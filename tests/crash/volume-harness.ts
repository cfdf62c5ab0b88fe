/**
 * Power cuts against volumes: plays a script on the simulated disk over several processes, records it, and checks
 * the recovery from each state of the disk that a cut could have left.
 *
 * A needle's bytes are derived from its number, so bytes of another needle, or invented ones, are detected. The
 * metadata store is a plain value: after a crash it is the last completed checkpoint.
 */
import { must } from "@hayloft/base/assert.js"
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { asPromise } from "@hayloft/base/soon.js"
import { waitIfSlow } from "@hayloft/engine/volume/contract.js"
import { needleIdOfKey, needleKeyOf } from "@hayloft/engine/format/needles/needle.js"
import { crashStates, SimDisk } from "@hayloft/base/seams/disk/index.js"
import type { CrashState, Disk, DiskRecord } from "@hayloft/base/seams/disk/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { VolumeScanSource } from "@hayloft/engine/volume/checkpoint-source.js"
import { Compaction } from "@hayloft/engine/volume/compaction.js"
import type { Needle, NeedleId, Volumes } from "@hayloft/engine/volume/contract.js"
import type { KeptVolumes, VolumeUpkeep } from "@hayloft/engine/volume/upkeep.js"
import { volumeDirectory, MapRows, needleIdFor, needleOf } from "@hayloft/engine/volume/testing-volumes.js"
import { COMPACTION_LIMITS, VOLUME_LIMITS } from "@hayloft/engine/volume/limits.js"
import { openVolumes } from "@hayloft/engine/volume/volumes.js"

export const LIMITS = { ...VOLUME_LIMITS, volumeBytesMax: 96 * KIB, groupBytesMax: 40 * KIB }
const BODY_BYTES_MAX = 141 * 64
/** So small that a few needles suffice for a compaction. */
const COMPACTION = {
  ...COMPACTION_LIMITS,
  deadBytesMin: 8 * KIB,
  copyBytes: 12 * KIB,
  stepNeedlesMax: 30,
  stepRowsMax: 40,
  quietMs: 0,
}

/** One needle of the run. Moments are numbers of recorded events; Infinity means never. */
export interface Issued {
  readonly number: number
  readonly issuedAt: number
  /** When its append resolved, or a recovery found it. */
  ackedAt: number
  /** When a recovery did not find it. */
  lostAt: number
  removeIssuedAt: number
  removeAckedAt: number
}

/** The index after a checkpoint. */
export interface Checkpoint {
  readonly at: number
  readonly mark: Uint8Array | undefined
  readonly rows: MapRows
}

export interface Run {
  readonly record: DiskRecord
  readonly issued: readonly Issued[]
  readonly checkpoints: readonly Checkpoint[]
  readonly incarnation: number
  readonly killedInFlight: number
  /** Volumes that compaction removed. */
  readonly removed: number
}

export interface Planted {
  /** Wraps the disk while the script is played. */
  readonly disk?: (disk: Disk) => Disk
  readonly needle?: (needle: Needle) => Needle
  readonly mark?: (mark: Uint8Array) => Uint8Array
  /** The script compacts volumes. */
  readonly compacts?: boolean
  /** Changes the settings of compaction before it begins. */
  readonly upkeep?: (upkeep: VolumeUpkeep) => void
  /** Replaces the recovery under test. */
  readonly recover?: Recover
}

export interface Recovered {
  readonly rows: MapRows
  readonly volumes: KeptVolumes
}
export type Recover = (disk: Disk, base: Checkpoint, incarnation: number) => Promise<Recovered>

const copyOf = (rows: MapRows): MapRows => {
  const copy = new MapRows()
  for (const [key, row] of rows.rows) copy.rows.set(key, row)
  return copy
}

export const recoverReal: Recover = async (disk, base, incarnation) => {
  const rows = copyOf(base.rows)
  return { rows, volumes: await openVolumes(disk, rows, volumeDirectory(incarnation), base.mark, { limits: LIMITS }) }
}

const BODIES = new Map<number, Uint8Array>()

export function bodyOf(number: number): Uint8Array {
  const known = BODIES.get(number)
  if (known !== undefined) return known
  const random = new SimRandom(number)
  const body = random.bytes(64 * (1 + random.below(number % 4 === 0 ? BODY_BYTES_MAX / 64 : 12)))
  BODIES.set(number, body)
  return body
}
export const needleFor = (number: number): Needle => needleOf(needleIdFor(number), bodyOf(number))

const WARM_UP_STEPS = 12
/** The number of the needle that the process after the crash writes. */
const NEW_LIFE = 1_000_000

/** Plays a generated script; the recording begins once a few volumes exist. */
export async function play(seed: number, steps: number, planted: Planted = {}): Promise<Run> {
  const script = new Script(new SimRandom(seed), planted)
  await script.begin()
  for (let step = 0; step < WARM_UP_STEPS; step += 1) await script.step()
  script.record()
  for (let step = 0; step < steps; step += 1) await script.step()
  return script.run()
}

class Script {
  private readonly sim = new SimDisk()
  private recording: DiskRecord | undefined
  private readonly issued: Issued[] = []
  private checkpoints: Checkpoint[] = [{ at: 0, mark: undefined, rows: new MapRows() }]
  private incarnation = 0
  private lastNumber = 0
  private killedInFlight = 0
  private removed = 0
  private current: Recovered | undefined
  private compaction: Compaction | undefined

  constructor(
    private readonly random: Random,
    private readonly planted: Planted,
  ) {
    // Writes take time, so that a process can be killed during one.
    this.sim.intercept(async call => {
      if (call.kind === "write") await new Promise(resolve => setImmediate(resolve))
    })
  }

  async begin(): Promise<void> {
    this.incarnation += 1
    this.current = await recoverReal(
      this.disk(),
      must(this.checkpoints.at(-1), "there is a first base"),
      this.incarnation,
    )
    const { upkeep } = this.current.volumes
    this.planted.upkeep?.(upkeep)
    this.compaction = compactionOf(this.current)
  }

  record(): void {
    this.recording = this.sim.record()
    for (const each of this.issued) {
      if (each.ackedAt < Infinity) each.ackedAt = 0
      if (each.lostAt < Infinity) each.lostAt = 0
      if (each.removeIssuedAt < Infinity) each.removeIssuedAt = 0
      if (each.removeAckedAt < Infinity) each.removeAckedAt = 0
    }
    this.checkpoints = this.checkpoints.slice(-1).map(({ mark, rows }) => ({ at: 0, mark, rows }))
  }

  run(): Run {
    const { issued, checkpoints, incarnation, killedInFlight, removed } = this
    return {
      record: must(this.recording, "recorded"),
      issued,
      checkpoints,
      incarnation: incarnation,
      killedInFlight,
      removed,
    }
  }

  async step(): Promise<void> {
    const dice = this.random.below(this.planted.compacts === true ? 32 : 20)
    if (dice < 9) await Promise.all(this.appendSome())
    else if (dice < 11) await this.appendAgain()
    else if (dice < 14) await this.remove()
    else if (dice < 16) await this.checkpoint()
    else if (dice < 17) await this.restart()
    else if (dice < 18) await this.failWrite()
    else if (dice < 20) await this.killInFlight()
    else if (dice < 28) await this.compact(1 + this.random.below(12))
    else await Promise.all([this.compact(8), this.remove(), ...this.appendSome()])
  }

  private get now(): number {
    return this.recording?.events.length ?? 0
  }

  private get volumes(): KeptVolumes {
    return must(this.current, "a process has begun").volumes
  }

  private disk(): Disk {
    const disk = this.sim.boot()
    return this.planted.disk?.(disk) ?? disk
  }

  private appendSome(): Promise<void>[] {
    return Array.from({ length: 1 + this.random.below(6) }, () => {
      this.lastNumber += 1
      const needle = needleFor(this.lastNumber)
      const issued = { ...NEVER, number: this.lastNumber, issuedAt: this.now }
      this.issued.push(issued)
      return this.volumes.append(this.planted.needle?.(needle) ?? needle).then(() => void (issued.ackedAt = this.now))
    })
  }

  private live(): Issued[] {
    return this.issued.filter(({ ackedAt, removeIssuedAt }) => ackedAt < Infinity && removeIssuedAt === Infinity)
  }

  private pick(count: number): Issued[] {
    const live = this.live()
    return Array.from({ length: Math.min(count, live.length) }, () =>
      live.splice(this.random.below(live.length), 1),
    ).flat()
  }

  /** A second copy of a needle, as after a retry of a client or a repair. */
  private async appendAgain(): Promise<void> {
    for (const { number } of this.pick(1)) await this.volumes.append(needleFor(number))
  }

  private async remove(): Promise<void> {
    const chosen = this.pick(1 + this.random.below(3))
    for (const each of chosen) each.removeIssuedAt = this.now
    await this.volumes.remove(chosen.map(({ number }) => needleIdFor(number)))
    for (const each of chosen) each.removeAckedAt = this.now
  }

  private async checkpoint(): Promise<void> {
    const base = must(this.checkpoints.at(-1), "there is a first base")
    const source = new VolumeScanSource(this.sim.boot(), volumeDirectory(this.incarnation), this.volumes.durable())
    const rows = copyOf(base.rows)
    const upTo = this.volumes.durable()
    for await (const write of source.collect(base.mark)) rows.apply([write])
    const mark = this.planted.mark?.(source.markAfter()) ?? source.markAfter()
    this.checkpoints.push({ at: this.now, mark, rows })
    this.volumes.contained(upTo)
  }

  private async compact(steps: number): Promise<void> {
    const before = this.sim.medium.namesIn("/device/volumes")
    for (let step = 0; step < steps; step += 1) await this.compaction?.step(NEVER_ABORTED)
    const after = new Set(this.sim.medium.namesIn("/device/volumes"))
    this.removed += before.filter(name => !after.has(name)).length
  }

  private async restart(): Promise<void> {
    await this.volumes.close()
    await this.begin()
  }

  /** The device fails a write; the process restarts on the same machine, with the same page cache. */
  private async failWrite(): Promise<void> {
    const slow = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
    let failed = false
    this.sim.intercept(async call => {
      if (call.kind !== "write") return
      await slow()
      if (failed) return
      failed = true
      throw fail("deviceFailed", { code: "EIO" })
    })
    const unsure = this.issued.length
    await Promise.allSettled(this.appendSome())
    this.sim.kill()
    this.sim.intercept(async call => {
      if (call.kind === "write") await slow()
    })
    await this.begin()
    this.settle(this.issued.slice(unsure))
  }

  private async killInFlight(): Promise<void> {
    const unsure = this.issued.length
    for (const append of this.appendSome()) append.catch(() => undefined)
    if (this.planted.compacts === true) void this.compact(1 + this.random.below(12))
    for (let turns = this.random.below(4); turns > 0; turns -= 1) await new Promise(resolve => setImmediate(resolve))
    const flying = this.issued.slice(unsure)
    if (flying.some(({ ackedAt }) => ackedAt === Infinity)) this.killedInFlight += 1
    this.sim.kill()
    await this.begin()
    this.settle(flying)
  }

  /** The needles that the new process found although they were never acknowledged. */
  private settle(unsure: readonly Issued[]): void {
    for (const each of unsure) {
      if (each.ackedAt < Infinity) continue
      if (this.volumes.has(needleIdFor(each.number))) each.ackedAt = this.now
      else each.lostAt = this.now
    }
  }
}

const NEVER_ABORTED = new AbortController().signal
const CLOCK = {
  wallMs: () => 0,
  monotonicMs: () => 0,
  sleep: () => Promise.resolve(),
  alarm: () => () => undefined,
  atEndOfTurn: () => undefined,
}
const rot = (id: NeedleId): void => {
  throw new Error(`needle ${parseInt(id.uploadId, 16)} is rotten`)
}
const compactionOf = ({ volumes }: Recovered): Compaction =>
  new Compaction("compaction", volumes.upkeep, CLOCK, rot, COMPACTION)

const NEVER = { ackedAt: Infinity, lostAt: Infinity, removeIssuedAt: Infinity, removeAckedAt: Infinity }

export interface Finding {
  readonly check:
    | ("acknowledged" | "removed" | "unknown" | "unreadable" | "bytes" | "damage")
    | ("rebuild" | "repeated" | "space" | "failed")
  readonly details: string
}

/** Recovers a crashed disk and checks the promises. */
export async function findBrokenPromise(
  run: Run,
  state: CrashState,
  recover: Recover,
  deep?: Random,
): Promise<Finding | undefined> {
  const moment = state.eventsBefore
  const base = must(run.checkpoints.filter(({ at }) => at <= moment).at(-1), "there is a first base")
  const sim = new SimDisk(state.medium)
  const recording = sim.record()
  try {
    const found = await recover(sim.boot(), base, run.incarnation + 1)
    const finding =
      (await checkNeedles(run, moment, found)) ?? (await checkRebuild(sim, found)) ?? checkDamage(found.volumes)
    if (finding !== undefined || deep === undefined) return finding
    const due = run.issued.filter(({ ackedAt, removeIssuedAt }) => ackedAt <= moment && removeIssuedAt > moment)
    const promised = new Set(due.map(({ number }) => `needles/${needleKeyOf(needleIdFor(number))}`))
    const again = (disk: Disk): Promise<Recovered> => recover(disk, base, run.incarnation + 2)
    return await checkRepeated(promised, again, found, recording, deep)
  } catch (error) {
    return { check: "failed", details: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

async function checkNeedles(run: Run, moment: number, { rows, volumes }: Recovered): Promise<Finding | undefined> {
  const known = new Set<string>()
  for (const each of run.issued) {
    const id = needleIdFor(each.number)
    const has = volumes.has(id)
    if (has && each.issuedAt <= moment && each.lostAt > moment) known.add(needleKeyOf(id))
    const due = each.ackedAt <= moment && each.removeIssuedAt > moment
    if (due && !has) return { check: "acknowledged", details: `needle ${each.number} is lost` }
    if (has && each.removeAckedAt <= moment) return { check: "removed", details: `needle ${each.number} is back` }
    if (!has) continue
    const body = bodyOf(each.number)
    const read = await asPromise(() =>
      volumes.read(id, { offsetBytes: 0, lengthBytes: body.length }, waitIfSlow),
    ).catch((error: unknown) => {
      if (isFailure(error)) return error
      throw error
    })
    if (!(read instanceof Uint8Array)) return { check: "unreadable", details: `needle ${each.number}: ${read.message}` }
    if (!equalBytes(read, body)) return { check: "bytes", details: `needle ${each.number} reads as other bytes` }
  }
  const stranger = [...rows.rows.keys()].find(key => !known.has(key.slice("needles/".length)))
  return stranger === undefined ? undefined : { check: "unknown", details: describe(stranger) }
}

const describe = (key: string): string =>
  `needle ${parseInt(needleIdOfKey(rowKeyOf(key.slice("needles/".length))).uploadId, 16)}`

/** The index rebuilt from the volumes equals the one from checkpoint and tail. */
async function checkRebuild(sim: SimDisk, { rows, volumes }: Recovered): Promise<Finding | undefined> {
  const rebuilt = new MapRows()
  const source = new VolumeScanSource(sim.boot(), volumeDirectory(0), volumes.durable())
  for await (const write of source.collect(undefined)) rebuilt.apply([write])
  const text = (index: MapRows): string =>
    JSON.stringify([...index.rows].map(([key, { value }]) => [key, Buffer.from(value).toString("hex")]).sort())
  return text(rebuilt) === text(rows)
    ? undefined
    : { check: "rebuild", details: `${rebuilt.rows.size} and ${rows.rows.size}` }
}

const checkDamage = ({ damages }: Volumes): Finding | undefined =>
  damages.length === 0 ? undefined : { check: "damage", details: JSON.stringify(damages[0]) }

/** Continues from a recovered disk, then cuts power at any moment of the recovery or the operations after it. */
async function checkRepeated(
  promised: ReadonlySet<string>,
  again: (disk: Disk) => Promise<Recovered>,
  found: Recovered,
  recording: DiskRecord,
  random: Random,
): Promise<Finding | undefined> {
  const held = [...found.rows.rows.keys()]
  const recoveredAt = recording.events.length
  await found.volumes.append(needleFor(NEW_LIFE))
  const ackedAt = recording.events.length
  for (const state of crashStates(recording, { window: 4, subsetsMax: 8, tearsMax: 2, random })) {
    const { rows, volumes } = await again(new SimDisk(state.medium).boot())
    // Until the first recovery has returned, clients rely only on acknowledged needles.
    const relied = state.eventsBefore >= recoveredAt ? held : held.filter(key => promised.has(key))
    const lost = relied.find(key => !rows.rows.has(key))
    if (lost !== undefined)
      return { check: "repeated", details: `${describe(lost)} was found by the first recovery only: ${state.what}` }
    const isNewHeld = volumes.has(needleIdFor(NEW_LIFE))
    if (state.eventsBefore >= ackedAt && !isNewHeld)
      return { check: "repeated", details: "the new process's needle is lost" }
    const finding = checkDamage(volumes)
    if (finding !== undefined) return finding
  }
  return undefined
}

/**
 * Runs compaction and checkpoints to their end on a recovered disk: all due needles must still exist with their
 * bytes, and the space of the others must be free.
 */
export async function checkSpace(run: Run, state: CrashState): Promise<Finding | undefined> {
  const moment = state.eventsBefore
  const base = must(run.checkpoints.filter(({ at }) => at <= moment).at(-1), "there is a first base")
  const sim = new SimDisk(state.medium)
  const found = await recoverReal(sim.boot(), base, run.incarnation + 1)
  const compaction = compactionOf(found)
  const collected = copyOf(base.rows)
  let { mark } = base
  for (let [steps, idle] = [0, 0]; idle < 4; steps += 1) {
    if (steps > 2000) return { check: "space", details: `compaction does not end: ${compaction.progress()}` }
    idle = (await compaction.step(NEVER_ABORTED)) === "busy" ? 0 : idle + 1
    if (idle === 0) continue
    const upTo = found.volumes.durable()
    const source = new VolumeScanSource(sim.boot(), volumeDirectory(run.incarnation + 1), upTo)
    for await (const write of source.collect(mark)) collected.apply([write])
    mark = source.markAfter()
    found.volumes.contained(upTo)
  }
  const { volumes, writtenBytes, liveBytes = 0 } = found.volumes.usage()
  const pages = volumes + found.rows.rows.size / 8 + writtenBytes / COMPACTION.copyBytes
  const allowed = 0.25 * writtenBytes + volumes * COMPACTION.deadBytesMin + pages * 4 * KIB
  if (writtenBytes - liveBytes > allowed) return { check: "space", details: `${liveBytes} of ${writtenBytes} live` }
  const again = await recoverReal(sim.boot(), { at: 0, mark, rows: collected }, run.incarnation + 2)
  return (
    (await checkNeedles(run, moment, found)) ??
    (await checkNeedles(run, moment, again)) ??
    (await checkRebuild(sim, again)) ??
    checkDamage(again.volumes)
  )
}
