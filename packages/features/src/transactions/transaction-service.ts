/**
 * Transaction service: prepares the operations of a transaction (seals uploads, copies renamed bytes), then runs the
 * command that does all of them. See decision 88.
 *
 * Promises  No client sees a part of a transaction before its command. If it fails, uploads go on, and what was copied is
 *           removed; after a crash both are found to be left by a process that has ended.
 * Limits    TRANSACTION_LIMITS.
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import { RANDOM_BYTES } from "@hayloft/engine/format/objects/version-id.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import type { Core } from "@hayloft/objects/door/index.js"
import { HINTS_PER_COMMAND, type MissingShardHint, recordHints } from "@hayloft/objects/door/rows.js"
import type {
  OperationResult,
  TransactionOperation,
  TransactionRequest,
  Transactions,
  TransactionToken,
} from "./contract.js"
import {
  checkTransaction,
  commitTransaction,
  dropGuards,
  findTransaction,
  type TransactionStep,
} from "./transaction-commands-core.js"

/** Times that objects may have changed while they were prepared. */
const ATTEMPTS_MAX = 3

type Seams = Pick<Core, "storeClock" | "metadata" | "multipart" | "renames" | "prepare">

/** An operation with its place in the request. */
interface Placed {
  readonly number: number
  readonly operation: TransactionOperation
}

type Steps = ReadonlyMap<number, TransactionStep>
type Results = readonly OperationResult[]

export class TransactionService implements Transactions {
  private readonly random: Random

  constructor(
    private readonly seams: Seams,
    random: Random,
  ) {
    this.random = random.fork("transactions")
  }

  async find(token: TransactionToken): Promise<Results | undefined> {
    return this.seams.metadata.ask(findTransaction(token))
  }

  async run(request: TransactionRequest): Promise<Results> {
    const { operations, token } = request
    checkTransaction(operations.map(named))
    await this.seams.prepare()
    const earlier = token && (await this.find(token))
    if (earlier !== undefined) return earlier
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.attempt(request)
      } catch (error) {
        // The same request, sent twice, may have ended an upload or rename that this one needs.
        const done = token && (await this.find(token).catch(() => undefined))
        if (done !== undefined) return done
        if (!isFailure(error, "conflict") || attempt === ATTEMPTS_MAX) throw error
      }
    }
  }

  private attempt({ operations, token }: TransactionRequest): Promise<Results> {
    const placed = operations.map((operation, number) => ({ number, operation }))
    return this.prepare(inOrder(placed), new Map(), steps => this.decide(steps, token))
  }

  /** Prepares one operation after the other; each keeps what it has prepared until all of them are done or refused. */
  private async prepare(
    left: readonly Placed[],
    steps: Steps,
    decide: (steps: Steps) => Promise<Results>,
  ): Promise<Results> {
    const [next, ...later] = left
    if (next === undefined) return decide(steps)
    const { number, operation } = next
    let isPrepared = false
    const goOn = (step: TransactionStep): Promise<Results> => {
      isPrepared = true
      return this.prepare(later, new Map([...steps, [number, step]]), decide)
    }
    try {
      return await this.prepareOne(operation, goOn)
    } catch (error) {
      if (isPrepared || !isFailure(error)) throw error
      throw fail(error.kind, { ...error.details, operation: number }, error)
    }
  }

  private async prepareOne(
    operation: TransactionOperation,
    goOn: (step: TransactionStep) => Promise<Results>,
  ): Promise<Results> {
    const { multipart, renames, storeClock } = this.seams
    switch (operation.kind) {
      case "put":
        return multipart.prepare(operation.complete, complete => goOn({ kind: "put", complete }))
      case "rename":
        return renames.prepare(operation.rename, rename => goOn({ kind: "rename", rename }))
      case "delete": {
        const { bucket, key, versionId, conditions, bypassGovernance = false } = operation.remove
        const removing = { clockMs: storeClock.nowMs(), bypassGovernance }
        const remove = { bucketId: bucket.id, key, conditions, removing }
        if (versionId !== undefined) return goOn({ kind: "delete", remove: { ...remove, versionId } })
        return goOn({ kind: "delete", remove: { ...remove, random: this.random.bytes(RANDOM_BYTES) } })
      }
      case "check": {
        const { bucket, key, conditions } = operation
        return goOn({ kind: "check", check: { bucketId: bucket.id, key, conditions } })
      }
    }
  }

  private async decide(prepared: Steps, token: TransactionToken | undefined): Promise<Results> {
    const { metadata, storeClock } = this.seams
    const ordered = [...prepared].sort(([a], [b]) => a - b).map(([, step]) => step)
    // Hints are recorded before the command, so that none is ever missing: it could not carry those of many renames.
    await this.recordHints(ordered.flatMap(step => (step.kind === "rename" ? step.rename.hints : [])))
    const steps = ordered.map(step =>
      step.kind === "rename" ? { ...step, rename: { ...step.rename, hints: [] } } : step,
    )
    const clockMs = storeClock.nowMs()
    const { results, isRepeated, guards } = await metadata.run(commitTransaction({ steps, token, clockMs }))
    // A failure removes the preparations of this request; `run` then finds the results of the other one.
    if (isRepeated) throw fail("conflict", { reason: "the same transaction was done while this one was prepared" })
    // A job drops the guards that remain.
    if (guards !== undefined) await metadata.run(dropGuards(guards)).catch(() => undefined)
    return results
  }

  private async recordHints(hints: readonly MissingShardHint[]): Promise<void> {
    for (let at = 0; at < hints.length; at += HINTS_PER_COMMAND)
      await this.seams.metadata.run(recordHints(hints.slice(at, at + HINTS_PER_COMMAND)))
  }
}

/** Uploads first, by their ids: two transactions never wait for each other's. */
function inOrder(operations: readonly Placed[]): readonly Placed[] {
  const idOf = ({ operation }: Placed): string => (operation.kind === "put" ? operation.complete.multipartId : "~")
  return [...operations].sort((a, b) => (idOf(a) === idOf(b) ? a.number - b.number : idOf(a) < idOf(b) ? -1 : 1))
}

const named = (operation: TransactionOperation) => ({
  kind: operation.kind,
  names: namesOf(operation),
  ...(operation.kind === "put" && { multipartId: operation.complete.multipartId }),
})

function namesOf(operation: TransactionOperation) {
  const nameOf = ({ bucket, key }: Pick<TransactionOperation & { kind: "check" }, "bucket" | "key">) => ({
    bucketId: bucket.id,
    key,
  })
  switch (operation.kind) {
    case "put":
      return [nameOf(operation.complete)]
    case "delete":
      return [nameOf(operation.remove)]
    case "rename": {
      const { bucket, fromBucket = bucket, from, to } = operation.rename
      return [nameOf({ bucket: fromBucket, key: from }), nameOf({ bucket, key: to })]
    }
    case "check":
      return [nameOf(operation)]
  }
}
