/**
 * Checks a whole history key by key: operations on different keys are independent.
 *
 * Before the search, unknown writes that a read returned become certain: they took effect before the
 * end of the first read that returned them. Unknown operations of which no answer shows anything are left out at first,
 * as if they had never happened; only where that explains nothing are they given a place. This keeps the number of open
 * choices small.
 * Limits  HISTORY_LIMITS; a key that exceeds them is "undecided", which counts as a failure: reduce the workload.
 */
import { foundlings, mayHaveMade } from "./foundlings.js"
import { linearize } from "./linearize.js"
import type { Verdict } from "./linearize.js"
import type { Mode, Operation } from "./operations.js"
import { Register } from "./register.js"

export const HISTORY_LIMITS = { operationsPerKeyMax: 2_000, stepsMax: 3_000_000 } as const

export interface KeyVerdict extends Verdict {
  readonly key: string
  readonly operations: number
  /** All of the key's operations as they were recorded. */
  readonly given: readonly Operation[]
}

interface Sighting {
  endMs: number
  versionId: string | undefined
}

/** For each write, the first read that returned it, and the version id that any read returned with it. */
function sightings(operations: readonly Operation[]): Map<string, Sighting> {
  const seen = new Map<string, Sighting>()
  for (const { outcome, endMs } of operations) {
    if (outcome.kind !== "found" || outcome.write === undefined) continue
    const sighting = seen.get(outcome.write) ?? { endMs, versionId: undefined }
    sighting.endMs = Math.min(sighting.endMs, endMs)
    sighting.versionId ??= outcome.versionId
    seen.set(outcome.write, sighting)
  }
  return seen
}

const isUnknown = ({ outcome }: Operation): boolean => outcome.kind === "unknown"

/** The operation as one that took effect before the end of the answer that showed it. */
const settle = (operation: Operation, { endMs, versionId }: Sighting): Operation => ({
  ...operation,
  endMs: Math.min(operation.endMs, endMs),
  outcome: { kind: "done", ...(versionId === undefined ? {} : { versionId }) },
})

/** Unknown writes that a read returned, as completed writes. */
export function settleSeen(operations: readonly Operation[]): readonly Operation[] {
  const seen = sightings(operations)
  return operations.map(operation => {
    const sighting = operation.action.kind === "write" ? seen.get(operation.action.value.write) : undefined
    return sighting && isUnknown(operation) ? settle(operation, sighting) : operation
  })
}

const removesVersion = ({ action }: Operation): boolean => action.kind === "remove" && action.versionId !== undefined

/**
 * The operations that are enough for most explanations: an unknown one is left out, as if it had never happened, unless
 * it may have made a version that an answer shows. If it alone may have, it did.
 */
export function withoutUnseen(mode: Mode, operations: readonly Operation[]): readonly Operation[] {
  if (mode === "never") {
    const etags = new Set(operations.map(({ outcome }) => (outcome.kind === "found" ? outcome.etag : undefined)))
    return operations.filter(operation => {
      const { action } = operation
      return !isUnknown(operation) || action.kind !== "write" || etags.has(action.value.etag)
    })
  }
  const shown = foundlings(operations)
  const makers = new Map(shown.map(each => [each, operations.filter(op => isUnknown(op) && mayHaveMade(op, each))]))
  return operations.flatMap(operation => {
    if (!isUnknown(operation) || removesVersion(operation)) return [operation]
    const candidates = shown.filter(each => makers.get(each)?.includes(operation))
    const only = candidates.find(each => makers.get(each)?.length === 1)
    return only ? [settle(operation, only)] : candidates.length === 0 ? [] : [operation]
  })
}

/** An explanation in which unknown operations never happened is an explanation. Without one, each may have happened. */
function explain(mode: Mode, operations: readonly Operation[], stepsMax: number): Verdict {
  const settled = settleSeen(operations)
  const first = linearize(new Register(mode), withoutUnseen(mode, settled), stepsMax)
  return first.verdict === "legal" ? first : linearize(new Register(mode), settled, stepsMax)
}

function byKey(operations: readonly Operation[]): Map<string, Operation[]> {
  const keys = new Map<string, Operation[]>()
  for (const operation of operations) {
    const list = keys.get(operation.key)
    if (list) list.push(operation)
    else keys.set(operation.key, [operation])
  }
  return keys
}

/** The verdict on every key. */
export function checkHistory(
  mode: Mode,
  operations: readonly Operation[],
  limits: { readonly operationsPerKeyMax: number; readonly stepsMax: number } = HISTORY_LIMITS,
): readonly KeyVerdict[] {
  return [...byKey(operations)].map(([key, list]) => {
    const given = [...list].sort((left, right) => left.startMs - right.startMs)
    const about = { key, operations: list.length, given }
    if (list.length > limits.operationsPerKeyMax) return { ...about, verdict: "undecided", explained: [], stuck: [] }
    return { ...about, ...explain(mode, list, limits.stepsMax) }
  })
}

const LINES_SHOWN_MAX = 60

const line = ({ startMs, endMs, action, outcome, note }: Operation): string =>
  `  ${startMs.toFixed(2)}..${Number.isFinite(endMs) ? endMs.toFixed(2) : "?"} ${JSON.stringify(action)} -> ${JSON.stringify(outcome)} ${note ?? ""}`

/** A failed verdict as text: the end of the longest explanation, and the operations that could not follow. */
export function describeVerdict({ key, verdict, operations, explained, stuck, given }: KeyVerdict): string {
  return [
    `${key}: ${verdict} (${operations} operations, ${explained.length} explained)`,
    ...explained.slice(-12).map(line),
    "could not follow:",
    ...stuck.slice(0, 12).map(line),
    "answers to the key, in the order of their starts:",
    ...given.slice(-LINES_SHOWN_MAX).map(line),
  ].join("\n")
}
