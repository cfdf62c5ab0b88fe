/**
 * Searches for an order of one key's operations that respects time and explains every answer.
 *
 * Wing and Gong's search (1993) with Lowe's memory of configurations already tried (2017): a
 * configuration is the set of operations placed so far and the state they lead to. An operation may be placed next
 * when no other unplaced operation ended before it began. An unknown operation may be placed
 * at any time between its start and its end (infinite, or the moment at which its server was killed), or not at all.
 *
 * An operation without effect (a read, a refusal) is placed as soon as it fits, because its place makes no
 * difference to later operations; unless an unknown operation could then no longer be placed. The search branches
 * only on changes, and on the ids of versions whose clients have received none. Lists of versions tell much of the order:
 * those below were made before those above, a listed one was removed after the list, a missing one made after it. A
 * version that no answer shows was made after all lists: nobody knew its id, so nobody could remove it. No other order is
 * tried.
 * Limits  `stepsMax` tries; beyond it the answer is "undecided", which counts as a failure.
 */
import { foundlings, madeVersion, mayHaveMade, type Foundling } from "./foundlings.js"
import type { Mode, Operation } from "./operations.js"
import type { Register, Stack } from "./register.js"

export interface Verdict {
  readonly verdict: "legal" | "illegal" | "undecided"
  /** The longest explanation found, in its order. */
  readonly explained: readonly Operation[]
  /** The operations that could not follow it. */
  readonly stuck: readonly Operation[]
}

interface Entry {
  readonly operation: Operation
  /** Must be placed; the others may be left out. */
  readonly required: boolean
  readonly place: number
  /** The ids that the version may have which it makes; undefined if no answer shows it, or it makes none. */
  readonly ids: readonly (string | undefined)[]
}

interface Candidate extends Entry {
  readonly id: string | undefined
}

interface Frame {
  readonly state: Stack
  /** The entry that was placed last. */
  readonly placed: Candidate | undefined
  readonly candidates: readonly Candidate[]
  /** The latest start of a placed operation: an operation that ended before it can no longer be placed. */
  readonly latestStartMs: number
  next: number
}

class Search {
  private readonly entries: readonly Entry[]
  private readonly done: Uint8Array
  private readonly optional: readonly Entry[]
  private readonly tried = new Set<string>()
  private readonly order: ToldOrder
  /** The ids of versions that were made so far. */
  private readonly made = new Set<string>()
  private requiredLeft: number
  /** Entries before this one are all placed or optional. */
  private low = 0
  /** No entry from this one on was ever placed. */
  private high = 0

  constructor(
    private readonly register: Register,
    operations: readonly Operation[],
  ) {
    const sorted = [...operations].sort((left, right) => left.startMs - right.startMs || left.endMs - right.endMs)
    this.order = toldOrder(sorted, register.mode)
    const shown = foundlings(sorted)
    this.entries = sorted.map((operation, place) => ({
      operation,
      place,
      required: operation.outcome.kind !== "unknown",
      ids: idsOf(operation, shown),
    }))
    this.optional = this.entries.filter(entry => !entry.required)
    this.done = new Uint8Array(sorted.length)
    this.requiredLeft = this.entries.filter(entry => entry.required).length
  }

  run(stepsMax: number): Verdict {
    const frames: Frame[] = [this.frame(this.register.empty, undefined, -Infinity)]
    let best: { explained: readonly Operation[]; stuck: readonly Operation[] } = { explained: [], stuck: [] }
    for (let steps = 0; steps < stepsMax; steps += 1) {
      const top = frames.at(-1)
      if (!top) return { verdict: "illegal", ...best }
      if (this.requiredLeft === 0) return { verdict: "legal", explained: explanation(frames), stuck: [] }
      const candidate = top.candidates[top.next]
      top.next += 1
      if (!candidate) {
        if (frames.length > best.explained.length) {
          best = { explained: explanation(frames), stuck: top.candidates.map(entry => entry.operation) }
        }
        this.undo(top)
        frames.pop()
        continue
      }
      const state = this.register.step(top.state, candidate.operation, candidate.id)
      if (state === undefined) continue
      this.place(candidate, 1)
      if (this.isNew(state)) frames.push(this.frame(state, candidate, top.latestStartMs))
      else this.place(candidate, 0)
    }
    return { verdict: "undecided", ...best }
  }

  private place(entry: Candidate, done: 0 | 1): void {
    this.done[entry.place] = done
    if (entry.id !== undefined && done === 1) this.made.add(entry.id)
    else if (entry.id !== undefined) this.made.delete(entry.id)
    this.high = Math.max(this.high, entry.place + 1)
    if (entry.required) this.requiredLeft += done === 1 ? -1 : 1
    if (done === 0) this.low = Math.min(this.low, entry.place)
    else while (this.passed(this.low)) this.low += 1
  }

  private passed(place: number): boolean {
    const entry = this.entries[place]
    return entry !== undefined && (this.done[place] === 1 || !entry.required)
  }

  private undo({ placed }: Frame): void {
    if (placed) this.place(placed, 0)
  }

  /** Records the configuration; returns false if it was tried before. */
  private isNew(state: Stack): boolean {
    let name = `${state.id};${this.low}`
    for (const entry of this.optional) if (this.done[entry.place] === 1) name += `,${entry.place}`
    for (let place = this.low; place < this.high; place += 1) {
      if (this.done[place] === 1 && this.entries[place]?.required) name += `,${place}`
    }
    if (this.tried.has(name)) return false
    this.tried.add(name)
    return true
  }

  private areDone(places: ReadonlySet<number> = NO_PLACES): boolean {
    for (const place of places) if (this.done[place] !== 1) return false
    return true
  }

  /** Returns true if the version with the id may be made next, as lists tell. */
  private isNext({ operation }: Entry, id: string | undefined): boolean {
    if (id === undefined) return !makesVersion(operation) || this.areDone(this.order.lists)
    if (this.made.has(id) || !this.areDone(this.order.listsWithout.get(id))) return false
    for (const below of this.order.below.get(id) ?? []) if (!this.made.has(below)) return false
    return true
  }

  /** The operations that may be placed next: required ones first, in the order of their ends. */
  private frame(state: Stack, placed: Candidate | undefined, earlierMs: number): Frame {
    const latestStartMs = Math.max(earlierMs, placed?.operation.startMs ?? -Infinity)
    const candidates: Candidate[] = []
    let [endMs, lastChanceMs] = [Infinity, Infinity]
    for (const entry of this.entries) {
      if (this.done[entry.place] === 1) continue
      if (entry.operation.startMs > endMs) break
      const fits = entry.required || entry.operation.endMs >= latestStartMs
      if (fits && this.areDone(this.order.listsBefore.get(entry.place)))
        for (const id of entry.ids) if (this.isNext(entry, id)) candidates.push({ ...entry, id })
      if (entry.required) endMs = Math.min(endMs, entry.operation.endMs)
      else if (fits) lastChanceMs = Math.min(lastChanceMs, entry.operation.endMs)
    }
    const harmless = candidates.find(
      ({ operation }) =>
        operation.startMs <= lastChanceMs &&
        changesNothing(operation) &&
        this.register.step(state, operation) === state,
    )
    if (harmless) return { state, placed, latestStartMs, candidates: [harmless], next: 0 }
    const rank = (entry: Entry) => (entry.required ? entry.operation.endMs : Infinity)
    candidates.sort((left, right) => (rank(left) === rank(right) ? left.place - right.place : rank(left) - rank(right)))
    return { state, placed, latestStartMs, candidates, next: 0 }
  }
}

const changesNothing = ({ action, outcome }: Operation): boolean =>
  action.kind === "read" || action.kind === "stack" || outcome.kind === "refused" || outcome.kind === "absent"

const makesVersion = ({ action, outcome }: Operation): boolean =>
  (action.kind === "write" || (action.kind === "remove" && action.versionId === undefined)) &&
  (outcome.kind === "unknown" || outcome.kind === "done")

/** The ids that the version may have which the operation makes: first those that answers show. */
function idsOf(operation: Operation, shown: readonly Foundling[]): readonly (string | undefined)[] {
  if (operation.outcome.kind !== "unknown" && operation.outcome.kind !== "done") return [undefined]
  const certain = madeVersion(operation)
  if (certain !== undefined) return [certain]
  return [...shown.filter(each => mayHaveMade(operation, each)).map(({ versionId }) => versionId), undefined]
}

interface ToldOrder {
  /** By id: those of versions that were made before. */
  readonly below: ReadonlyMap<string, ReadonlySet<string>>
  /** By id: places of lists that came before the version was made. */
  readonly listsWithout: ReadonlyMap<string, ReadonlySet<number>>
  /** Places of lists of versions that stay until they are removed. */
  readonly lists: ReadonlySet<number>
  /** By place of a removal: those of lists that came before it. */
  readonly listsBefore: ReadonlyMap<number, ReadonlySet<number>>
}

const NO_PLACES: ReadonlySet<number> = new Set()

function add<Key, Value>(sets: Map<Key, Set<Value>>, key: Key, value: Value): void {
  sets.set(key, (sets.get(key) ?? new Set()).add(value))
}

/** The order that lists of versions tell. */
function toldOrder(operations: readonly Operation[], mode: Mode): ToldOrder {
  const below = new Map<string, Set<string>>()
  const listsWithout = new Map<string, Set<number>>()
  const listsBefore = new Map<number, Set<number>>()
  const places = [...operations.entries()]
  const lists = new Set(places.flatMap(([place, { outcome }]) => (outcome.kind === "stack" ? [place] : [])))
  const ids = new Set([...operations.map(madeVersion), ...foundlings(operations).map(({ versionId }) => versionId)])
  const removers = new Map<string, Set<number>>()
  for (const [place, { action }] of places)
    if (action.kind === "remove" && action.versionId !== undefined) add(removers, action.versionId, place)
  const isRemovedAfter = (id: string, ms: number): boolean =>
    [...(removers.get(id) ?? [])].every(place => (operations[place]?.startMs ?? 0) > ms)
  for (const [list, { outcome, endMs }] of places) {
    if (outcome.kind !== "stack") continue
    const listed = outcome.entries.map(({ versionId }) => versionId)
    for (const [at, upper] of listed.entries()) {
      const next = listed[at + 1]
      if (next !== undefined) add(below, upper, next)
      for (const remover of removers.get(upper) ?? []) add(listsBefore, remover, list)
    }
    for (const id of ids) {
      if (id !== undefined && !listed.includes(id) && isRemovedAfter(id, endMs)) add(listsWithout, id, list)
    }
  }
  return { below, listsWithout, lists: mode === "enabled" ? lists : NO_PLACES, listsBefore }
}

const explanation = (frames: readonly Frame[]): Operation[] =>
  frames.flatMap(frame => (frame.placed ? [frame.placed.operation] : []))

export function linearize(register: Register, operations: readonly Operation[], stepsMax: number): Verdict {
  return new Search(register, operations).run(stepsMax)
}
