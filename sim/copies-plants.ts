/** Planted bugs of copies in other stores, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const CORE = "packages/features/src/copies/copy-log-core.ts"
const FEATURE = "packages/features/src/copies/feature.ts"
const EDITOR = "packages/objects/src/commands/row-editor-core.ts"
const COPIER = "packages/features/src/copies/copier.ts"
const WINDOW = "packages/features/src/copies/window-core.ts"
const SENDING = "packages/features/src/copies/sending.ts"
const BACKLOG = "packages/features/src/copies/backlog.ts"
const FILLING = "packages/features/src/copies/filling.ts"
const CASES = "packages/features/src/copies/copies"
const ORDER = "packages/features/src/copies/window-core"
const KINDS = "tests/engines/copies"

const plant = (bug: string, caughtBy: string, file: string, find: string, put: string): TestedPlant => {
  const edits: readonly Edit[] = [{ file, find, put }]
  return { bug: `copies: ${bug}`, edits, caughtBy }
}

export const COPIES_PLANTS: readonly TestedPlant[] = [
  plant(
    "the token passes what is not acknowledged",
    CASES,
    COPIER,
    "if (!signal.aborted) window.finish(key, isDone)",
    "if (!signal.aborted) window.finish(key, true)",
  ),
  plant(
    "changes pass that were taken only",
    ORDER,
    WINDOW,
    "const end = this.entries.findIndex(({ isDone }) => !isDone)",
    "const end = this.entries.findIndex(entry => !entry.isDone && ![...this.keys.values()].some(({ underWay }) => underWay?.includes(entry)))",
  ),
  plant(
    "the log is read past the closed moment",
    CASES,
    BACKLOG,
    "const closedUs = await copyLog.close()",
    "const closedUs = Number.MAX_SAFE_INTEGER - 1",
  ),
  plant(
    "a removal of a version does not write the log",
    KINDS,
    EDITOR,
    "if (part.changed !== undefined)",
    "if (part.changed !== undefined && this.addsObject)",
  ),
  plant(
    "tags are no change",
    KINDS,
    CORE,
    "return then !== undefined && now !== undefined && equalBytes(then, now)",
    "return then !== undefined || now !== undefined || equalBytes(new Uint8Array(0), new Uint8Array(0))",
  ),
  plant(
    "a renamed key has no row of its own",
    KINDS,
    CORE,
    "copyLogRowKey(bucketId, { us: commitUs, key })",
    'copyLogRowKey(bucketId, { us: commitUs, key: "a" })',
  ),
  plant(
    "a removal is sent before the versions below it",
    CASES,
    SENDING,
    "const before = await sendEarlier(parts, sent, signal)\n  const now = await sendLast(parts, sent, signal)",
    "const now = await sendLast(parts, sent, signal)\n  const before = await sendEarlier(parts, sent, signal)",
  ),
  plant(
    "two batches of a key are under way",
    ORDER,
    WINDOW,
    "if (found?.underWay === undefined) this.ready.add(key)",
    "this.ready.add(key)",
  ),
  plant(
    "what failed is taken after later changes",
    ORDER,
    WINDOW,
    "found.waiting = [...found.underWay, ...found.waiting]",
    "found.waiting = [...found.waiting, ...found.underWay]",
  ),
  plant("what arrives as a copy is sent on", CASES, FEATURE, "change.isCopy ? [] :", "change.isCopy && 1 < 0 ? [] :"),
  plant(
    "an object that is refused holds up the others",
    CASES,
    COPIER,
    "return this.park(key, failure, { sizeBytes, isFinal: false })",
    "return this.noteAway(failure)",
  ),
  plant(
    "a target that refuses everything has its objects parked",
    CASES,
    COPIER,
    "if (refused !== undefined) return this.noteAway(refused)",
    "",
  ),
  plant(
    "objects of others are removed from the target",
    CASES,
    FILLING,
    "if (there === undefined || !isCopyFor(there, setting)) return",
    "if (there === undefined) return",
  ),
  plant(
    "copies of what is gone stay though the operator asked for their removal",
    CASES,
    FILLING,
    "if (removesOthers && setting.deletes)",
    "if (removesOthers && setting.deletes && 0 > 1)",
  ),
  plant(
    "a fill that was not requested removes the only copies",
    CASES,
    FILLING,
    "if (removesOthers && setting.deletes)",
    "if (setting.deletes)",
  ),
  plant("a log that is given up keeps its rows", CASES, COPIER, "if (await this.sweep()) return true", ""),
  plant(
    "two processes go on from one state",
    CASES,
    CORE,
    "if (!hasCopies(bucket) || (before?.revision ?? 0) !== revision) return nothing",
    "if (!hasCopies(bucket)) return nothing",
  ),
  plant(
    "what is filled ends before its last objects are acknowledged",
    CASES,
    COPIER,
    'return state.phase === "filling" && this.filling.isListed && this.window.size === 0',
    'return state.phase === "filling" && this.filling.isListed',
  ),
]
