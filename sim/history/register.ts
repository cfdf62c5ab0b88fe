/**
 * The model of one key: a stack of versions, newest first, and what each operation may do to it.
 *
 * Pure. `step` gives the stack after an operation with the outcome that its client saw, or undefined
 * if that outcome is impossible in this state. The caller chooses the id of a version whose client has received none: one
 * that an answer shows, or none if no answer does. An ETag that no client has received matches everything. An id names
 * one version: none takes the id of another, nor one that was removed, because clients learn ids from answers. Equal
 * stacks are the same object, so states are compared by identity.
 */
import type { Action, Condition, Mode, Operation, StackEntry, Value } from "./operations.js"

interface Version {
  readonly versionId: string | undefined
  /** The value is undefined for a delete marker. */
  readonly value: Value | undefined
}

export interface Stack {
  readonly id: number
  readonly top: Version | undefined
  /** The bottom has no version, and nothing is below it. */
  readonly below: Stack | undefined
  /** The version ids that were removed, in their order: a part of the bottom. */
  readonly removed: readonly string[]
}

export class Register {
  private readonly known = new Map<string, Stack>()
  readonly empty = this.bottom([])

  constructor(readonly mode: Mode) {}

  /** The same names always return the same object. */
  private stack(name: string, parts: Omit<Stack, "id">): Stack {
    const found = this.known.get(name)
    if (found) return found
    const made: Stack = { id: this.known.size, ...parts }
    this.known.set(name, made)
    return made
  }

  private bottom(removed: readonly string[]): Stack {
    return this.stack(JSON.stringify(removed), { top: undefined, below: undefined, removed })
  }

  private push(below: Stack, top: Version): Stack {
    const name = JSON.stringify([below.id, top.versionId, top.value?.write, top.value?.etag, top.value === undefined])
    return this.stack(name, { top, below, removed: below.removed })
  }

  private without(stack: Stack, versionId: string): Stack {
    if (!stack.top || !stack.below) return this.bottom([...stack.removed, versionId].sort())
    const below = this.without(stack.below, versionId)
    return stack.top.versionId === versionId ? below : this.push(below, stack.top)
  }

  /** `madeId`: the id of the version that the operation makes, if its client has received none. */
  step(state: Stack, { action, outcome }: Operation, madeId?: string): Stack | undefined {
    switch (action.kind) {
      case "write":
        return this.change(state, action.condition, outcome, given =>
          this.written(state, action.value, given ?? madeId),
        )
      case "remove":
        return this.change(state, action.condition, outcome, given => this.removed(state, action, given ?? madeId))
      case "read":
        return readFits(state, action.versionId, outcome) ? state : undefined
      case "stack":
        return outcome.kind === "stack" && stackFits(state, outcome.entries) ? state : undefined
    }
  }

  private written(state: Stack, value: Value, versionId: string | undefined): Stack | undefined {
    if (this.mode === "never") return this.push(this.empty, { versionId, value })
    return isFree(state, versionId) ? this.push(state, { versionId, value }) : undefined
  }

  private removed(state: Stack, action: Action & { kind: "remove" }, versionId: string | undefined): Stack | undefined {
    if (action.versionId !== undefined)
      return state.removed.includes(action.versionId) ? state : this.without(state, action.versionId)
    if (this.mode === "never") return this.empty
    return isFree(state, versionId) ? this.push(state, { versionId, value: undefined }) : undefined
  }

  private change(
    state: Stack,
    condition: Condition | undefined,
    outcome: Operation["outcome"],
    apply: (given: string | undefined) => Stack | undefined,
  ): Stack | undefined {
    const current = state.top?.value
    switch (outcome.kind) {
      case "done":
        return mayHold(condition, current) ? apply(outcome.versionId) : undefined
      case "unknown":
        return mayHold(condition, current) ? apply(undefined) : undefined
      case "refused":
        return mayFail(condition, current) ? state : undefined
      case "absent":
        return condition?.kind === "etag" && current === undefined ? state : undefined
      default:
        return undefined
    }
  }
}

function mayHold(condition: Condition | undefined, current: Value | undefined): boolean {
  if (condition === undefined) return true
  if (condition.kind === "absent") return current === undefined
  return current !== undefined && (current.etag === undefined || current.etag === condition.etag)
}

/** Returns true if a 412 is a possible answer to the condition. */
function mayFail(condition: Condition | undefined, current: Value | undefined): boolean {
  if (condition === undefined || current === undefined) return false
  if (condition.kind === "absent") return true
  return current.etag === undefined || current.etag !== condition.etag
}

const fits = (shown: string | undefined, known: string | undefined): boolean =>
  shown === undefined || known === undefined || shown === known

function readFits(state: Stack, versionId: string | undefined, outcome: Operation["outcome"]): boolean {
  const version = versionId === undefined ? state.top : find(state, versionId)
  if (outcome.kind === "absent") return version?.value === undefined
  if (outcome.kind !== "found" || version?.value === undefined) return false
  const { value } = version
  return fits(outcome.write, value.write) && fits(outcome.etag, value.etag) && hasId(version, outcome.versionId)
}

const hasId = (version: Version, shown: string | undefined): boolean =>
  shown === undefined || shown === version.versionId

/** Returns true if no version of the stack has the id, and none that was removed had it. */
const isFree = (state: Stack, versionId: string | undefined): boolean =>
  versionId === undefined || (!state.removed.includes(versionId) && find(state, versionId) === undefined)

function find(stack: Stack, versionId: string): Version | undefined {
  for (let at: Stack | undefined = stack; at; at = at.below) if (at.top?.versionId === versionId) return at.top
  return undefined
}

function stackFits(state: Stack, entries: readonly StackEntry[]): boolean {
  let at: Stack | undefined = state
  for (const entry of entries) {
    const version: Version | undefined = at?.top
    if (!at || !version || (version.value === undefined) !== entry.marker) return false
    if (!hasId(version, entry.versionId) || !fits(version.value?.etag, entry.etag)) return false
    at = at.below
  }
  return at?.top === undefined
}
