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
 * only on changes. Lists of versions tell much of the order: those below were made before those above, a listed one was
 * removed after the list, a missing one made after it. No other order is tried.
 * Limits  `stepsMax` tries; beyond it the answer is "undecided", which counts as a failure.
 */
import type { Operation } from "./operations.js"
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
  /** Places of operations that came before it, as lists of versions tell. */
  readonly after: readonly number[]
}

interface Frame {
  readonly state: Stack
  /** The entry that was placed last. */
  readonly placed: Entry | undefined
  readonly candidates: readonly Entry[]
  /** The latest start of a placed operation: an operation that ended before it can no longer be placed. */
  readonly latestStartMs: number
  next: number
}

class Search {
  private readonly entries: readonly Entry[]
  private readonly done: Uint8Array
  private readonly optional: readonly Entry[]
  private readonly tried = new Set<string>()
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
    const order = toldOrder(sorted)
    this.entries = sorted.map((operation, place) => ({
      operation,
      place,
      required: operation.outcome.kind !== "unknown",
      after: [...(order.get(place) ?? [])],
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
      const state = this.register.step(top.state, candidate.operation)
      if (state === undefined) continue
      this.place(candidate, 1)
      if (this.isNew(state)) frames.push(this.frame(state, candidate, top.latestStartMs))
      else this.place(candidate, 0)
    }
    return { verdict: "undecided", ...best }
  }

  private place(entry: Entry, done: 0 | 1): void {
    this.done[entry.place] = done
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

  /** The operations that may be placed next: required ones first, in the order of their ends. */
  private frame(state: Stack, placed: Entry | undefined, earlierMs: number): Frame {
    const latestStartMs = Math.max(earlierMs, placed?.operation.startMs ?? -Infinity)
    const candidates: Entry[] = []
    let endMs = Infinity
    for (const entry of this.entries) {
      if (this.done[entry.place] === 1) continue
      if (entry.operation.startMs > endMs) break
      const fits = entry.required || entry.operation.endMs >= latestStartMs
      if (fits && entry.after.every(place => this.done[place] === 1)) candidates.push(entry)
      if (entry.required) endMs = Math.min(endMs, entry.operation.endMs)
    }
    const lastChanceMs = Math.min(...candidates.map(entry => (entry.required ? Infinity : entry.operation.endMs)))
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

/** The version that the operation certainly made. */
export const madeVersion = ({ action, outcome }: Operation): string | undefined =>
  outcome.kind === "done" && (action.kind === "write" || (action.kind === "remove" && action.versionId === undefined))
    ? outcome.versionId
    : undefined

/** For the place of each operation: those that came before it, as lists of versions tell. */
function toldOrder(operations: readonly Operation[]): Map<number, ReadonlySet<number>> {
  const before = new Map<number, Set<number>>()
  const add = (place: number, earlier: number): void => {
    before.set(place, (before.get(place) ?? new Set()).add(earlier))
  }
  const places = [...operations.entries()]
  const makers = new Map(places.map(([place, operation]) => [madeVersion(operation), place]))
  const removersOf = (versionId: string) =>
    places.filter(([, { action }]) => action.kind === "remove" && action.versionId === versionId)
  const removers = new Map([...makers.keys()].flatMap(id => (id === undefined ? [] : [[id, removersOf(id)]])))
  for (const [list, { outcome, endMs }] of places) {
    if (outcome.kind !== "stack") continue
    const listed = outcome.entries.map(({ versionId }) => versionId)
    for (const [at, upper] of listed.entries()) {
      const [maker, below] = [makers.get(upper), makers.get(listed[at + 1] ?? "")]
      if (maker !== undefined && below !== undefined) add(maker, below)
      for (const [remover] of removers.get(upper) ?? []) add(remover, list)
    }
    for (const [versionId, maker] of makers) {
      if (versionId === undefined || listed.includes(versionId)) continue
      if (removers.get(versionId)?.every(([, { startMs }]) => startMs > endMs)) add(maker, list)
    }
  }
  return before
}

const explanation = (frames: readonly Frame[]): Operation[] =>
  frames.flatMap(frame => (frame.placed ? [frame.placed.operation] : []))

export function linearize(register: Register, operations: readonly Operation[], stepsMax: number): Verdict {
  return new Search(register, operations).run(stepsMax)
}
