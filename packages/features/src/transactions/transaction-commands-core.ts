/**
 * The command of a transaction: completions of uploads, deletions, renames and checks of several keys and buckets, of one
 * moment. Pure.
 *
 * Promises  Everything happens or nothing: the first operation that is refused refuses all, and its number is in the
 *           failure's details (`operation`, from 0). All conditions are about the moment before the transaction. With a
 *           token, a transaction that was done is not done again, and returns the same.
 * Limits    TRANSACTION_LIMITS. Callers check them with `checkTransaction`, before anything is written.
 */
import { equalBytes } from "@hayloft/base/bytes.js"
import { fail, isFailure } from "@hayloft/base/failures.js"
import { rowKeyOf, type BucketId, type MultipartId, type RowKey, type VersionId } from "@hayloft/base/ids.js"
import { must } from "@hayloft/base/assert.js"
import type { EntryWrite } from "@hayloft/engine/format/device/entry.js"
import { bucketRowKey, objectRowKey } from "@hayloft/engine/format/row-key.js"
import {
  decodeGuards,
  decodeTransaction,
  encodeGuards,
  encodeTransaction,
  guardsRowKey,
  isGuardsRowKey,
  transactionRowKey,
  type GuardedKey,
  type OperationResult,
  type TransactionToken,
} from "@hayloft/engine/format/objects/transaction-record.js"
import {
  command,
  query,
  type CommandView,
  type DecisionTime,
  type RowView,
  type Touches,
} from "@hayloft/engine/metadata/index.js"
import type { PutResult } from "@hayloft/objects/contract.js"
import {
  addressKeyOf,
  checkWrite,
  completeUploadIn,
  decideEach,
  expiryClock,
  isGuard,
  putResultOf,
  removeLatestIn,
  removeVersionIn,
  renameIn,
  requireBucket,
  RowEditor,
  sourceBucketOf,
  type CheckedWrite,
  type CompleteUpload,
  type Edited,
  type RowAsRead,
  type RemoveLatest,
  type RemoveVersion,
  type RenameObject,
} from "@hayloft/objects/door/rows.js"

export const TRANSACTION_LIMITS = {
  operationsMax: 100,
  /** Rows that all operations together can change; a command may touch 1,024. */
  rowsMax: 1_000,
  /** The maximum of rows that one operation of each kind can change. */
  rowsOf: { put: 11, delete: 9, rename: 20, check: 1 },
  /** Rows of each bucket: its counters, and the counts of features. */
  rowsOfBucket: 4,
  /** The least time for which a token is known. */
  tokenMs: 86_400_000,
  /** The age at which a job drops guards: by then their process has dropped them, unless it has ended. */
  guardsMs: 600_000,
} as const

export type TransactionStep =
  | { readonly kind: "put"; readonly complete: CompleteUpload }
  | { readonly kind: "delete"; readonly remove: RemoveLatest | RemoveVersion }
  /** The hints of a rename are recorded before. */
  | { readonly kind: "rename"; readonly rename: RenameObject }
  | { readonly kind: "check"; readonly check: CheckedWrite }

interface Transaction {
  readonly steps: readonly TransactionStep[]
  readonly token: TransactionToken | undefined
  /** The store's clock, where locks, expiry, or features that keep what is deleted, are possible. */
  readonly clockMs: number
}

interface Committed {
  readonly results: readonly OperationResult[]
  /** An earlier transaction with the token has done the same: nothing of this one is used. */
  readonly isRepeated: boolean
  /** The guards for `dropGuards` to remove; undefined if there are none. */
  readonly guards: Guards | undefined
}

/** Objects whose absence is guarded, and the row that says so. */
interface Guards {
  readonly rowKey: RowKey
  readonly keys: readonly GuardedKey[]
}

/** Returns the results of the transaction with this token; undefined if it was not done. Throws `idempotencyMismatch` for another request. */
function committedBefore(view: RowView, token: TransactionToken): readonly OperationResult[] | undefined {
  const row = view.get("transactions", transactionRowKey(token))
  if (row === undefined) return undefined
  const { digest, results } = decodeTransaction(row.value)
  if (!equalBytes(digest, token.digest)) throw fail("idempotencyMismatch")
  return results
}

export const findTransaction = query("FindTransaction", committedBefore)

/** Throws what the commands of its operations throw, with `operation`; what features refuse, `idempotencyMismatch`, `notImplemented`. */
export const commitTransaction = command<[transaction: Transaction], Committed>({
  name: "CommitTransaction",
  grows: ({ steps }) => steps.some(({ kind }) => kind === "put" || kind === "rename"),
  touches: ({ steps, token }) => [
    ...steps.flatMap(touchesOf),
    ...(token ? [["transactions", transactionRowKey(token)] as const] : []),
  ],
  decide(view, time, { steps, token, clockMs }) {
    const earlier = token && committedBefore(view, token)
    if (earlier !== undefined) return { writes: [], result: { results: earlier, isRepeated: true, guards: undefined } }
    const { last, results, guarded, changes } = decideAll(view, time, steps, clockMs)
    // Checks alone are answered from rows of one moment.
    if (!changes && token === undefined)
      return { writes: [], result: { results, isRepeated: false, guards: undefined } }
    const finished = last?.finish() ?? { writes: [] }
    const guards = guarded.length === 0 ? undefined : { rowKey: guardsRowKey(time.id), keys: guarded }
    const writes: EntryWrite[] = [...finished.writes]
    const atMs = time.nowMs
    if (guards !== undefined)
      writes.push({ family: "transactions", key: guards.rowKey, value: encodeGuards({ atMs, keys: guarded }) })
    if (token !== undefined) {
      const key = transactionRowKey(token)
      writes.push({ family: "transactions", key, value: encodeTransaction({ digest: token.digest, atMs, results }) })
    }
    return { ...finished, writes, result: { results, isRepeated: false, guards } }
  },
})

interface DecidedSteps {
  readonly last: RowEditor | undefined
  readonly results: readonly OperationResult[]
  readonly guarded: readonly GuardedKey[]
  /** An operation changes something. */
  readonly changes: boolean
}

/** Decides all operations. Throws the refusal of the first that is refused. */
function decideAll(
  view: CommandView,
  time: DecisionTime,
  steps: readonly TransactionStep[],
  clockMs: number,
): DecidedSteps {
  const guarded: GuardedKey[] = []
  let last: RowEditor | undefined
  let changes = false
  const results = decideEach(steps.entries(), ([operation, step]) => {
    try {
      const { editor, result } = decideStep({ view, time, clockMs }, step, last)
      changes ||= editor !== undefined
      last = editor ?? guardOf({ view, time, clockMs, last, guarded }, step)
      return result
    } catch (error) {
      throw isFailure(error) ? fail(error.kind, { ...error.details, operation }, error) : error
    }
  })
  return { last, results, guarded, changes }
}

/** The inputs of the decision on one operation. */
interface Deciding {
  readonly view: CommandView
  readonly time: DecisionTime
  readonly clockMs: number
}

interface Guarding extends Deciding {
  readonly last: RowEditor | undefined
  readonly guarded: GuardedKey[]
}

/** An operation that changes nothing may rely on the absence of its object. */
function guardOf({ view, time, clockMs, last, guarded }: Guarding, step: TransactionStep): RowEditor | undefined {
  const { bucketId, key } = must(namesOf(step)[0], "an operation names a key")
  const editor = new RowEditor(view, time, bucketId, key, clockMs, last)
  if (!editor.guardAbsence()) return last
  guarded.push({ bucketId, key })
  return editor
}

function decideStep(
  { view, time, clockMs }: Deciding,
  step: TransactionStep,
  before: RowEditor | undefined,
): Edited<OperationResult> {
  for (const { bucketId } of namesOf(step)) requireNotRemote(view, bucketId)
  switch (step.kind) {
    case "put": {
      const { editor, result } = completeUploadIn(view, time, step.complete, before)
      return { editor, result: resultOf(putResultOf(result, undefined)) }
    }
    case "rename": {
      const { editor, result } = renameIn(view, time, step.rename, before)
      return { editor, result: resultOf(putResultOf(result, undefined)) }
    }
    case "delete": {
      const { remove } = step
      const { editor, result } =
        "versionId" in remove ? removeVersionIn(view, time, remove, before) : removeLatestIn(view, time, remove, before)
      const { versioning, versionId, deleteMarker } = result
      return {
        editor,
        result: {
          ...namedVersion(versioning === "never" ? undefined : versionId),
          ...(deleteMarker && { deleteMarker }),
        },
      }
    }
    case "check":
      checkWrite(view, step.check, expiryClock(time, clockMs))
      return { editor: undefined, result: {} }
  }
}

const namedVersion = (versionId: VersionId | undefined): Pick<OperationResult, "versionId"> =>
  versionId === undefined ? {} : { versionId }

const resultOf = ({ versionId, etag }: PutResult): OperationResult => ({ ...namedVersion(versionId), etag })

/** Throws `notImplemented`, `noSuchBucket`, `bucketClosing`. */
function requireNotRemote(view: RowView, bucketId: BucketId): void {
  if (requireBucket(view, bucketId).settings.includes("remote"))
    throw fail("notImplemented", { message: "a transaction cannot include objects of a remote bucket" })
}

/** The objects that an operation changes or checks. */
function namesOf(step: TransactionStep): readonly GuardedKey[] {
  switch (step.kind) {
    case "put":
      return [step.complete]
    case "delete":
      return [step.remove]
    case "rename": {
      const { bucketId, from, to } = step.rename
      return [
        { bucketId, key: to },
        { bucketId: sourceBucketOf(step.rename), key: from },
      ]
    }
    case "check":
      return [step.check]
  }
}

function touchesOf(step: TransactionStep): Touches {
  const upload: Touches = step.kind === "put" ? [["uploads", addressKeyOf(step.complete)]] : []
  const copied: Touches =
    step.kind === "rename" && step.rename.bytes.kind === "segments"
      ? [["uploads", addressKeyOf({ ...step.rename, key: step.rename.to, multipartId: step.rename.bytes.multipartId })]]
      : []
  const objects = namesOf(step).flatMap(({ bucketId, key }): Touches => [
    ["current", objectRowKey(bucketId, key)],
    ["buckets", bucketRowKey(bucketId)],
  ])
  return [...objects, ...upload, ...copied]
}

/** The kind, objects and upload of an operation, before it is prepared. */
interface NamedOperation {
  readonly kind: TransactionStep["kind"]
  readonly names: readonly GuardedKey[]
  /** The upload that the operation completes. */
  readonly multipartId?: MultipartId
}

/** Throws `invalidRequest` for a key or an upload that two operations name, and for more than one command can change. */
export function checkTransaction(operations: readonly NamedOperation[]): void {
  const { operationsMax, rowsMax, rowsOf, rowsOfBucket } = TRANSACTION_LIMITS
  if (operations.length === 0 || operations.length > operationsMax)
    throw fail("invalidRequest", { message: `a transaction has from 1 to ${operationsMax} operations` })
  const seen = new Map<RowKey, number>()
  const buckets = new Set<BucketId>()
  let rows = 0
  checkUploads(operations)
  for (const [operation, { kind, names }] of operations.entries()) {
    rows += rowsOf[kind]
    for (const { bucketId, key } of names) {
      buckets.add(bucketId)
      const name = objectRowKey(bucketId, key)
      const before = seen.get(name)
      seen.set(name, operation)
      if (before === undefined) continue
      const other = before === operation ? "its own source" : `the key of operation ${before + 1}`
      throw fail("invalidRequest", { operation, message: `names ${other}: each key can be in one operation only` })
    }
  }
  rows += buckets.size * rowsOfBucket
  if (rows <= rowsMax) return
  const counted = Object.entries(rowsOf).map(([kind, most]) => `a ${kind} ${most}`)
  throw fail("invalidRequest", {
    message:
      `the transaction may change ${rows} rows, and at most ${rowsMax} can change together: ` +
      `${counted.join(", ")}, and each bucket ${rowsOfBucket}`,
  })
}

/** An operation keeps its upload until all are done: a second one would wait for it without end. */
function checkUploads(operations: readonly NamedOperation[]): void {
  const seen = new Map<MultipartId, number>()
  for (const [operation, { multipartId }] of operations.entries()) {
    if (multipartId === undefined) continue
    const first = seen.get(multipartId)
    if (first !== undefined) {
      const message = `names the upload of operation ${first + 1}: each upload can be in one operation only`
      throw fail("invalidRequest", { operation, message })
    }
    seen.set(multipartId, operation)
  }
}

/** Removes guards that a transaction has left, and the row that names them. */
export const dropGuards = command<[guards: Guards], void>({
  name: "DropGuards",
  grows: false,
  touches: ({ rowKey, keys }) => [
    ["transactions", rowKey],
    ...keys.map(({ bucketId, key }) => ["heads", objectRowKey(bucketId, key)] as const),
  ],
  decide(view, _time, { rowKey, keys }) {
    if (view.ifPresent("transactions", rowKey) === undefined) return { writes: [], result: undefined }
    const left = keys
      .map(({ bucketId, key }) => objectRowKey(bucketId, key))
      .filter(key => {
        const head = view.ifPresent("heads", key)
        return head !== undefined && isGuard(head)
      })
    const writes = left.map((key): EntryWrite => ({ family: "heads", key, value: undefined }))
    return { writes: [...writes, { family: "transactions", key: rowKey, value: undefined }], result: undefined }
  },
})

/** Rows of transactions from one on: tokens that are forgotten by now, and guards whose process has ended. */
export const overTransactions = query("OverTransactions", (view, start: RowKey, nowMs: number, max: number) => {
  const tokens: RowAsRead[] = []
  const guards: Guards[] = []
  let rows = 0
  const range = { start, end: END_OF_ROWS }
  for (const [rowKey, { value }] of view.range("transactions", range)) {
    if (rows === max) return { tokens, guards, next: rowKey }
    rows += 1
    if (isGuardsRowKey(rowKey)) {
      const { atMs, keys } = decodeGuards(value)
      if (atMs + TRANSACTION_LIMITS.guardsMs <= nowMs) guards.push({ rowKey, keys })
    } else if (decodeTransaction(value).atMs + TRANSACTION_LIMITS.tokenMs <= nowMs)
      tokens.push(["transactions", rowKey, value])
  }
  return { tokens, guards, next: undefined }
})

const END_OF_ROWS = rowKeyOf("\xff")
