/**
 * The model of one key: a stack of versions, newest first, and what each operation may do to it.
 *
 * Pure. `step` gives the stack after an operation with the outcome that its client saw, or undefined
 * if that outcome is impossible in this state. A value that the client has not received (an ETag, a version
 * id) matches everything until an answer contains it; from then on it is part of the state. An id names
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

  constructor(private readonly mode: Mode) {}

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

  step(state: Stack, { action, outcome }: Operation): Stack | undefined {
    switch (action.kind) {
      case "write":
        return this.change(state, action.condition, outcome, versionId => this.written(state, action.value, versionId))
      case "remove":
        return this.change(state, action.condition, outcome, versionId => this.removed(state, action, versionId))
      case "read":
        return readFits(state, action.versionId, outcome) ? this.afterRead(state, action.versionId, outcome) : undefined
      case "stack":
        return outcome.kind === "stack" && stackFits(state, outcome.entries)
          ? this.afterListing(state, outcome.entries)
          : undefined
    }
  }

  private afterRead(state: Stack, requested: string | undefined, outcome: Operation["outcome"]): Stack {
    const isRevealed = requested === undefined && outcome.kind === "found"
    return isRevealed ? this.named(state, outcome.versionId) : state
  }

  private afterListing(state: Stack, [entry, ...others]: readonly StackEntry[]): Stack {
    const { below } = state
    if (entry === undefined || below === undefined) return state
    return this.named(state, entry.versionId, this.afterListing(below, others))
  }

  /** Sets the id of the top version, which the writer's client never received. */
  private named(state: Stack, versionId: string | undefined, below = state.below): Stack {
    if (state.top === undefined || below === undefined) return this.empty
    return this.push(below, { ...state.top, versionId: state.top.versionId ?? versionId })
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
    apply: (versionId: string | undefined) => Stack | undefined,
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

const fits = (requested: string | undefined, seen: string | undefined): boolean =>
  requested === undefined || seen === undefined || requested === seen

function readFits(state: Stack, versionId: string | undefined, outcome: Operation["outcome"]): boolean {
  const version = versionId === undefined ? state.top : find(state, versionId)
  if (outcome.kind === "absent") return version?.value === undefined
  if (outcome.kind !== "found" || version?.value === undefined) return false
  const { value } = version
  return (
    fits(outcome.write, value.write) && fits(outcome.etag, value.etag) && mayHaveId(state, version, outcome.versionId)
  )
}

function mayHaveId(state: Stack, version: Version, versionId: string | undefined): boolean {
  return version.versionId === undefined ? isFree(state, versionId) : fits(versionId, version.versionId)
}

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
    if (!mayHaveId(state, version, entry.versionId) || !fits(version.value?.etag, entry.etag)) return false
    at = at.below
  }
  return at?.top === undefined
}
