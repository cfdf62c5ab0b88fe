/**
 * Crash states: every disk content that a power cut during a recorded run can leave.
 *
 * The cut is placed between any two events of the recording. Changes that were durable by then are
 * present; of pending or unsynced changes (at most the last `window`; older ones have
 * happened) each subset is tried, or a sample if there are too many, and the last write also torn:
 * prefixes by sector and page, its first or a middle sector missing, zeros, the bytes of an older
 * write, one bit flipped. See also Pillai et al., "All File Systems Are Not Created Equal" (OSDI '14).
 */
import { must } from "../../assert.js"
import type { Random } from "../random/contract.js"
import type { DiskCall } from "./calls.js"
import { SECTOR_BYTES } from "./medium.js"
import type { Change, Medium } from "./medium.js"
import type { DiskEvent, DiskRecord } from "./sim.js"

interface CrashStatesOptions {
  /** How many of the latest unsynced changes may be missing. */
  readonly window: number
  /** All subsets are tried up to this many; above, so many are sampled. */
  readonly subsetsMax: number
  /** How many torn forms of the last write are tried at each cut; the rest are left to other cuts. */
  readonly tearsMax: number
  readonly random: Random
}

export interface CrashState {
  /** How many events of the record precede the cut. */
  readonly eventsBefore: number
  /** Which subset and which tear, for a failing test's message. */
  readonly what: string
  readonly medium: Medium
}

const PAGE_BYTES = 4096
type WriteChange = Extract<Change, { kind: "write" }>

export function* crashStates(record: DiskRecord, options: CrashStatesOptions): Iterable<CrashState> {
  const replay = new Replay(record)
  yield* statesAt(record, 0, replay, options)
  for (const [before, event] of record.events.entries()) {
    replay.play(event)
    yield* statesAt(record, before + 1, replay, options)
  }
}

/** A medium to which the events of a record happen again, one after the other. */
class Replay {
  readonly medium: Medium
  private readonly begun = new Map<number, () => void>()

  constructor(private readonly record: DiskRecord) {
    this.medium = record.before.copy()
  }

  play({ at, call }: DiskEvent): void {
    if (at === "start") this.begun.set(call, startOn(this.medium, this.callAt(call)))
    else this.begun.get(call)?.()
  }

  /** The calls that have begun and are uncertain, oldest first. */
  get doubtful(): readonly DiskCall[] {
    const { medium } = this
    const isDoubtful = (call: DiskCall): boolean => {
      if (call.kind === "write" || call.kind === "truncate") return medium.file(call.file).pending.includes(call.change)
      return call.kind === "name" && medium.pendingNames.includes(call.change)
    }
    return [...this.begun.keys()].map(call => this.callAt(call)).filter(isDoubtful)
  }

  private callAt(index: number): DiskCall {
    return must(this.record.calls[index], "an event names a call of its record")
  }
}

/** Begins a recorded call on another medium; the returned function ends it. */
function startOn(medium: Medium, call: DiskCall): () => void {
  switch (call.kind) {
    case "write":
    case "truncate":
      medium.change(call.file, call.change)
      return () => void (call.durable && medium.settle(call.file, [call.change]))
    case "sync": {
      const pending = [...medium.file(call.file).pending]
      return () => medium.settle(call.file, pending)
    }
    case "name":
      if (call.change.kind === "create") medium.newFile()
      medium.changeName(call.change)
      return () => undefined
    case "syncFolder": {
      const pending = medium.pendingNamesIn(call.path)
      return () => medium.settleNames(pending)
    }
    case "makeFolder":
      return () => medium.addFolder(call.path)
    default:
      return () => undefined
  }
}

function* statesAt(
  record: DiskRecord,
  cut: number,
  { medium: atCut, doubtful }: Replay,
  options: CrashStatesOptions,
): Iterable<CrashState> {
  const certain = doubtful.slice(0, -options.window)
  const open = doubtful.slice(-options.window)
  const build = (kept: readonly DiskCall[], torn?: WriteChange): Medium => {
    const medium = atCut.copy()
    for (const call of [...certain, ...kept]) {
      const isTorn = torn !== undefined && call === open.at(-1)
      settleAlone(medium, call, isTorn ? torn : undefined)
    }
    medium.cutPower()
    return medium
  }
  for (const subset of subsets(open.length, options)) {
    const kept = open.filter((_, index) => subset[index])
    yield { eventsBefore: cut, what: `kept ${kept.length} of ${open.length} changes`, medium: build(kept) }
  }
  const last = open.at(-1)
  if (last?.kind !== "write" || last.change.kind !== "write") return
  const { offsetBytes, bytes } = last.change
  const under = new Uint8Array(bytes.length)
  atCut.file(last.file).synced.read(under, offsetBytes)
  const forms = [...tornForms(last.change, under, olderWrites(record, last.change), options.random)]
  for (const form of sample(forms, options)) {
    yield { eventsBefore: cut, what: `the last write ${form.what}`, medium: build(open, form.change) }
  }
}

/** Settles one change although others before it may not be. */
function settleAlone(medium: Medium, call: DiskCall, torn: WriteChange | undefined): void {
  if (call.kind === "name") medium.settleNames([call.change])
  if (call.kind !== "write" && call.kind !== "truncate") return
  const file = medium.file(call.file)
  const change = torn ?? call.change
  if (change.kind === "write") file.synced.write(change.bytes, change.offsetBytes)
  else file.synced.truncate(change.lengthBytes)
}

function* subsets(size: number, { subsetsMax, random }: CrashStatesOptions): Iterable<readonly boolean[]> {
  const count = 2 ** size
  const members = (bits: number): boolean[] =>
    Array.from({ length: size }, (_, i) => Math.floor(bits / 2 ** i) % 2 === 1)
  if (count <= subsetsMax) for (let bits = 0; bits < count; bits += 1) yield members(bits)
  else for (let i = 0; i < subsetsMax; i += 1) yield members(random.below(count))
}

function sample<T>(all: readonly T[], { tearsMax, random }: CrashStatesOptions): readonly T[] {
  if (all.length <= tearsMax) return all
  const left = [...all]
  return Array.from({ length: tearsMax }, () => left.splice(random.below(left.length), 1)).flat()
}

interface TornForm {
  readonly what: string
  readonly change: WriteChange
}

/** The possible results of a torn write: see the header. `under` is the old content. */
function* tornForms(
  { bytes, offsetBytes }: WriteChange,
  under: Uint8Array,
  older: readonly Uint8Array[],
  random: Random,
): Iterable<TornForm> {
  const form = (what: string, change: (target: Uint8Array) => void): TornForm => {
    const copy = Uint8Array.from(bytes)
    change(copy)
    return { what, change: { kind: "write", offsetBytes, bytes: copy } }
  }
  const keep = (target: Uint8Array, from: number, to: number): void => target.set(under.subarray(from, to), from)
  const step = bytes.length > 16 * PAGE_BYTES ? PAGE_BYTES : SECTOR_BYTES
  for (let length = step; length < bytes.length; length += step) {
    yield form(`cut after ${length} bytes`, copy => keep(copy, length, copy.length))
  }
  const uneven = random.below(bytes.length)
  yield form(`cut after ${uneven} bytes`, copy => keep(copy, uneven, copy.length))
  if (bytes.length > SECTOR_BYTES) {
    yield form("without its first sector", copy => keep(copy, 0, SECTOR_BYTES))
  }
  const middle = SECTOR_BYTES * random.below(Math.max(1, Math.floor(bytes.length / SECTOR_BYTES)))
  yield form("with a stale sector", copy => keep(copy, middle, middle + SECTOR_BYTES))
  yield form("with a sector of zeros", copy => copy.fill(0, middle, middle + SECTOR_BYTES))
  yield form("as zeros", copy => copy.fill(0))
  const bit = random.below(bytes.length * 8)
  yield form("with a flipped bit", copy => void (copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7))))
  const chosen = older[random.below(Math.max(1, older.length))]
  if (chosen === undefined) return
  yield form("as an older write's bytes", copy => {
    copy.fill(0)
    copy.set(chosen.subarray(0, copy.length))
  })
}

/** Whole writes before this one, to any file, and the files' initial content. */
function olderWrites(record: DiskRecord, change: WriteChange): Uint8Array[] {
  const first = [...record.before.files.values()].map(file => file.synced.slice()).filter(content => content.length > 0)
  const writes: Uint8Array[] = []
  for (const call of record.calls) {
    if (call.kind !== "write" || call.change.kind !== "write") continue
    if (call.change === change) break
    if (call.change.bytes.some(byte => byte !== 0)) writes.push(call.change.bytes)
  }
  return [...first, ...writes]
}
