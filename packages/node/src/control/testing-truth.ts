/**
 * A model of all sequences of starts, changes and losses on a few devices, with the real decisions at each point;
 * `truth.test.ts` explores it.
 *
 * Devices are bits. A device holds the record last written there and the incarnation last begun there. A process may
 * end at any moment, and every write reaches any subset of its target devices. A record is stale if it is neither the
 * one that took effect last, nor was decided on that one; opening the store with it means that a change in effect is
 * forgotten. Each record has the starts of the processes behind it, and no device may be taken for one of a copy.
 */
import { assert, must } from "@hayloft/base/assert.js"
import { parseIncarnation } from "@hayloft/base/ids.js"
import {
  isApart,
  lastOpened,
  mayOpen,
  newestControlRecord,
  votingIds,
  withOpened,
  withStart,
} from "@hayloft/engine/device/index.js"
import type { ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import {
  FORGET_LIVES,
  GENERATIONS_PER_INCARNATION,
  hasTakenEffect,
  nextGeneration,
  nextIncarnation,
  stepsBetween,
} from "./steps-core.js"
import { deviceEntry, idOf, recordOf, STORE } from "./testing-record.js"

/** A set of devices, one bit each. */
type Devices = number

interface ModelRecord {
  readonly generation: number
  readonly voting: Devices
  readonly named: Devices
  readonly starts: NonNullable<ControlRecord["starts"]>
  /** `truth`: took effect last; `next`: was decided on that one; `stale`: another one took effect instead or since. */
  readonly standing: "truth" | "next" | "stale"
}

interface Copy {
  readonly record: ModelRecord | undefined
  readonly incarnation: number
}

/** A process that has opened the store. */
interface Running {
  readonly incarnation: number
  readonly open: Devices
  readonly record: ModelRecord
  /** Voting devices of records that have failed since. */
  readonly failedVoters: readonly Devices[]
  readonly tried: number
}

export interface World {
  readonly copies: readonly Copy[]
  /** Not in any record. */
  readonly spare: Devices
  /** Permanently lost. */
  readonly dead: Devices
  /** The devices that the operator has declared as all that remain; later commands never contradict this. */
  readonly left: Devices | undefined
  readonly running: Running | undefined
}

export interface Menu {
  readonly mayDie: boolean
  readonly mayForget: boolean
  /** Changes may take two devices offline together, or put a spare one in another's place. */
  readonly manyAtOnce: boolean
  /** A rule that is omitted, to show that it is needed. */
  readonly without?: Rule
}

/**
 * `more than half`: half of the devices open the store. `one by one`: a change may add or remove several voting
 * devices.
 * `failed records`: failed records are forgotten. `incarnation`: a start writes without recording its incarnation
 * first.
 * `renewal`: a start continues with the record as it found it. `noted first`: a record says that a start has opened the
 * store before more than half of the devices have noted the start.
 */
export type Rule = "more than half" | "one by one" | "failed records" | "incarnation" | "renewal" | "noted first"

export class Divergence extends Error {
  override readonly name = "Divergence"
}

const bits = (set: Devices): number[] => Array.from({ length: 8 }, (_, i) => i).filter(i => (set >> i) & 1)
const setOf = (numbers: readonly number[]): Devices => numbers.reduce((set, i) => set | (1 << i), 0)
const ALL_SUBSETS = new Map<Devices, readonly Devices[]>()

/** All subsets of a set, including the empty one and the set itself. */
function subsetsOf(set: Devices): readonly Devices[] {
  const known = ALL_SUBSETS.get(set)
  if (known !== undefined) return known
  const subsets: Devices[] = []
  for (let part = set; ; part = (part - 1) & set) {
    subsets.push(part)
    if (part === 0) break
  }
  ALL_SUBSETS.set(set, subsets)
  return subsets
}

function memoized<Result>(decide: (...sets: readonly number[]) => Result): (...sets: readonly number[]) => Result {
  const known = new Map<string, Result>()
  return (...sets) => {
    const key = sets.join()
    const found = known.get(key)
    if (found !== undefined) return found
    const result = decide(...sets)
    known.set(key, result)
    return result
  }
}

function realRecord(voting: Devices, named: Devices): ControlRecord {
  const devices = bits(named).map(n => deviceEntry(n, (voting >> n) & 1 ? "active" : "offline"))
  return { ...recordOf(1, []), devices }
}

const numberOf = (id: string): number => Number.parseInt(id, 16)

/** The real decision: whether a record may be opened with these devices. */
const mayCount = memoized((voting, named, here) => {
  const record = realRecord(voting, named)
  const present = bits(here).map(n => ({ id: idOf(n), storeId: STORE, path: `/d${n}`, record }))
  return mayOpen(must(newestControlRecord(present), "somebody has a record"))
})

/** The real decision: the voting and named sets of the steps of a change. */
const stepsOf = memoized((voting, named, votingAfter, namedAfter) =>
  stepsBetween(realRecord(voting, named), realRecord(votingAfter, namedAfter)).map(step => ({
    voting: setOf(votingIds(step).map(numberOf)),
    named: setOf(step.devices.map(({ id }) => numberOf(id))),
  })),
)

const takesEffect = memoized((accepted, ...standing) =>
  hasTakenEffect(
    standing.map(set => bits(set).map(idOf)),
    new Set(bits(accepted).map(idOf)),
  ),
)

export function firstWorld(named: number, spare: number): World {
  const set = (1 << named) - 1
  const record = { generation: 1, voting: set, named: set, starts: [], standing: "truth" as const }
  const copies = Array.from({ length: named + spare }, (_, i) => ({
    record: i < named ? record : undefined,
    incarnation: 0,
  }))
  return { copies, spare: ((1 << spare) - 1) << named, dead: 0, left: undefined, running: undefined }
}

const copiesIn = (world: World, set: Devices): readonly Copy[] =>
  bits(set).map(n => must(world.copies[n], "devices are known"))

/** Returns the newest record on these devices; undefined if they have none, or if a start refuses them together. */
function newestIn(world: World, here: Devices): ModelRecord | undefined {
  let newest: ModelRecord | undefined
  for (const { record } of copiesIn(world, here)) {
    if (record === undefined) continue
    if (record.generation === newest?.generation && record !== newest && keyOfRecord(record) !== keyOfRecord(newest)) {
      throw new Divergence("two records of one generation")
    }
    if (newest === undefined || record.generation > newest.generation) newest = record
  }
  if (newest === undefined) return undefined
  const apart = setOf(bits(here & newest.named).filter(n => isFromCopy(world.copies[n], newest)))
  if (apart === 0) return newest
  // A device went on with the others, and the operator's word that it is lost has reached only some of the rest.
  if (world.left !== undefined && (apart & world.left) === 0) return undefined
  throw new Divergence("a device is taken for one of a copy")
}

/** The real decision about a device; there is no copy in these worlds. */
const isFromCopy = (copy: Copy | undefined, newest: ModelRecord): boolean =>
  copy?.record !== undefined && isApart(copy.record, newest)

/** The record that a start with these devices opens; undefined if it refuses. */
function opened(world: World, here: Devices, without?: Rule): ModelRecord | undefined {
  const newest = newestIn(world, here)
  if (newest === undefined) return undefined
  const known = here & newest.named
  const [voting, votingHere] = [bits(newest.voting).length, bits(known & newest.voting).length]
  if (without === "more than half" && 2 * votingHere >= voting) return newest
  return mayCount(newest.voting, newest.named, known) ? newest : undefined
}

const incarnationAfter = (world: World, here: Devices): number =>
  nextIncarnation(
    copiesIn(world, here).map(({ record, incarnation }) => ({
      incarnation: incarnation,
      generation: record?.generation ?? 0,
    })),
  )

function withCopies(world: World, set: Devices, change: (copy: Copy) => Copy): World {
  return { ...world, copies: world.copies.map((copy, n) => ((set >> n) & 1 ? change(copy) : copy)) }
}

/** The record is the one that took effect last: all others are stale, unless it had taken effect already. */
function withTruth(world: World, truth: ModelRecord): World {
  if (truth.standing === "truth") return world
  const evaluate = (record: ModelRecord | undefined): ModelRecord | undefined => {
    if (record === undefined) return undefined
    return { ...record, standing: record.generation === truth.generation ? "truth" : "stale" }
  }
  return { ...world, copies: world.copies.map(copy => ({ ...copy, record: evaluate(copy.record) })) }
}

/** All possible next events. Throws `Divergence` if the store opens with a stale record. */
export function* after(world: World, menu: Menu): Generator<World> {
  const alive = ((1 << world.copies.length) - 1) & ~world.dead
  for (const here of subsetsOf(alive)) if (here !== 0) yield* starts(world, here, menu)
  if (world.running !== undefined) yield* changes(world, world.running, menu)
  const stopped = { ...world, running: undefined }
  if (menu.mayDie) for (const n of bits(alive)) yield { ...stopped, dead: world.dead | (1 << n) }
  if (menu.mayForget) for (const here of subsetsOf(alive & ~world.spare)) yield* forgets(stopped, here)
}

function* starts(world: World, here: Devices, { without }: Menu): Generator<World> {
  const record = opened(world, here, without)
  if (record === undefined) return
  if (record.standing === "stale") throw new Divergence("the store is opened with a record that is not the truth")
  const open = here & record.voting
  const incarnation = incarnationAfter(world, here)
  const stopped = { ...world, running: undefined }
  for (const promised of subsetsOf(open)) {
    const begun =
      without === "incarnation" ? stopped : withCopies(stopped, promised, copy => ({ ...copy, incarnation }))
    if (promised !== open) {
      yield begun
      continue
    }
    const begins = renewedBy(record, incarnation)
    const renewed = without === "renewal" ? record : without === "noted first" ? withOpened(begins) : begins
    for (const written of subsetsOf(open)) {
      const reached = withCopies(begun, written, copy => ({ ...copy, record: renewed }))
      if (written !== open) yield reached
      else {
        const truth: ModelRecord = { ...renewed, standing: "truth" }
        const running = {
          incarnation,
          open: here & (record.named | world.spare),
          record: truth,
          failedVoters: [],
          tried: 0,
        }
        yield { ...withTruth(reached, renewed), running }
      }
    }
  }
}

const renewedBy = (record: ModelRecord, incarnation: number): ModelRecord => ({
  ...withStart(record, { incarnation: parseIncarnation(incarnation), id: incarnation, startedMs: 0 }),
  generation: nextGeneration(parseIncarnation(incarnation), record.generation),
  standing: "next",
})

interface Target {
  readonly voting: Devices
  readonly named: Devices
}

function* targets(world: World, { record, open }: Running, { manyAtOnce }: Menu): Generator<Target> {
  const { voting, named } = record
  yield record
  const singles = subsetsOf(voting).filter(
    set => set !== 0 && (bits(set).length === 1 || (manyAtOnce && bits(set).length === 2)),
  )
  for (const offline of singles) {
    if (offline === voting) continue
    yield { voting: voting & ~offline, named }
    yield { voting: voting & ~offline, named: named & ~offline }
  }
  for (const back of bits(named & ~voting & open)) yield { voting: voting | (1 << back), named }
  for (const spare of bits(world.spare & open)) {
    const [added] = [1 << spare]
    yield { voting: voting | added, named: named | added }
    if (!manyAtOnce) continue
    for (const old of bits(voting)) {
      const kept = ~(1 << old)
      yield { voting: (voting & kept) | added, named: (named & kept) | added }
    }
  }
}

function* changes(world: World, running: Running, menu: Menu): Generator<World> {
  for (const target of targets(world, running, menu)) {
    const { voting, named } = running.record
    const inOne = menu.without === "one by one" ? [target] : undefined
    const steps = inOne ?? stepsOf(voting, named, target.voting, target.named)
    yield* stepping(world, running, running.failedVoters.length > 0 ? [running.record, ...steps] : steps, menu)
  }
}

function* stepping(world: World, running: Running, steps: readonly Target[], menu: Menu): Generator<World> {
  const [step, ...more] = steps
  if (step === undefined) {
    yield world
    return
  }
  const last = Math.max(running.record.generation, running.tried)
  const generation = nextGeneration(parseIncarnation(running.incarnation), last)
  const { starts } = withOpened(running.record)
  const record: ModelRecord = { ...step, generation, starts, standing: "next" }
  for (const accepted of subsetsOf(running.open & step.voting)) {
    const spare = world.spare & ~step.named
    const written = { ...withCopies(world, accepted, copy => ({ ...copy, record })), spare }
    if (takesEffect(accepted, running.record.voting, ...running.failedVoters)) {
      const next: Running = {
        ...running,
        record: { ...record, standing: "truth" },
        failedVoters: [],
        tried: generation,
      }
      yield* stepping({ ...withTruth(written, record), running: next }, next, more, menu)
    } else {
      const known = menu.without === "failed records" ? [] : [...running.failedVoters, step.voting]
      const failedVoters = [...new Set(known)].sort()
      yield { ...written, running: { ...running, tried: generation, failedVoters } }
    }
  }
}

/**
 * An operator's command on a stopped store: absent devices are lost. It is true if they could not open by themselves.
 */
function* forgets(world: World, here: Devices): Generator<World> {
  const newest = newestIn(world, here)
  if (newest === undefined || opened(world, here) !== undefined) return
  const known = here & newest.named
  const kept = newest.voting & here
  if (kept === 0 || (world.left !== undefined && (world.left & ~world.dead & ~here) !== 0)) return
  const others = ((1 << world.copies.length) - 1) & ~world.dead & ~kept
  if (subsetsOf(others).some(set => set !== 0 && opened(world, set) !== undefined)) return
  const incarnation = incarnationAfter(world, here) + FORGET_LIVES
  const steps = stepsOf(newest.voting, newest.named, kept, newest.named & ~(newest.voting & ~here))
  let at = withCopies({ ...world, left: kept }, known, copy => ({ ...copy, incarnation }))
  let generation = newest.generation
  for (const step of steps) {
    generation = nextGeneration(parseIncarnation(incarnation), generation)
    const { starts } = newest
    const record: ModelRecord = { voting: step.voting, named: step.named, generation, starts, standing: "next" }
    const reached = here & step.voting
    for (const accepted of subsetsOf(reached)) {
      if (accepted !== reached) yield withCopies(at, accepted, copy => ({ ...copy, record }))
    }
    at = withTruth(
      withCopies(at, reached, copy => ({ ...copy, record })),
      record,
    )
    yield at
  }
}

const keyOfRecord = ({ generation, voting, named, standing }: ModelRecord): string =>
  `${generation}:${voting}:${named}:${standing}`

const openedBy = ({ starts }: ModelRecord): number | undefined => lastOpened(starts)?.id

/** Equal for worlds with the same possible events: of incarnations and generations only the order matters. */
export function keyOf(world: World): string {
  const { copies, running } = world
  const generations = copies.flatMap(({ record }) => (record === undefined ? [] : [record.generation]))
  if (running !== undefined) generations.push(running.record.generation, running.tried)
  const incarnations = copies.map(({ incarnation }) => incarnation)
  if (running !== undefined) incarnations.push(running.incarnation)
  // A start matters that is the last one of a record, or may become so.
  const opened = [...copies, ...(running ? [running] : [])].flatMap(({ record }) => (record && openedBy(record)) ?? [])
  const counted = new Set([...opened, ...(running ? [running.incarnation] : [])])
  const order = [
    ...new Set([
      ...incarnations,
      ...counted,
      ...generations.map(each => Math.floor(each / GENERATIONS_PER_INCARNATION)),
    ]),
  ].sort((a, b) => a - b)
  const ranks = new Map(order.map((incarnation, rank) => [incarnation, rank]))
  const inOrder = [...new Set(generations)].sort((a, b) => a - b)
  const shown = new Map(
    inOrder.map((generation, rank) => [
      generation,
      `${ranks.get(Math.floor(generation / GENERATIONS_PER_INCARNATION)) ?? 0}.${rank}`,
    ]),
  )
  const startsKey = (record: ModelRecord): string =>
    [openedBy(record), ...record.starts.map(({ id }) => id).filter(id => counted.has(id))]
      .map(id => (id === undefined ? "" : (ranks.get(id) ?? 0)))
      .join(",")
  const recordKey = (record: ModelRecord): string =>
    `${shown.get(record.generation) ?? ""}:${record.voting}:${record.named}${record.standing}${startsKey(record)}`
  const parts = copies.map(
    ({ record, incarnation }) => `${record === undefined ? "-" : recordKey(record)}@${ranks.get(incarnation) ?? 0}`,
  )
  if (running !== undefined) {
    const { open, failedVoters, incarnation, record, tried } = running
    parts.push(
      `${open}/${ranks.get(incarnation) ?? 0}/${recordKey(record)}/${shown.get(tried) ?? ""}/${failedVoters.join()}`,
    )
  }
  assert(parts.length > 0, "a world has devices")
  return `${parts.join(" ")} ${world.spare} ${world.dead} ${world.left ?? "-"}`
}
