/** The model's transactions: one operation after the other; if one is refused, everything is put back. */
import { isDeepStrictEqual } from "node:util"
import { asFailure, fail } from "@hayloft/base/failures.js"
import type {
  OperationResult,
  TransactionOperation,
  TransactionRequest,
  Transactions,
  TransactionToken,
} from "@hayloft/features/transactions/index.js"
import type { Multipart, Objects, PutResult, Renames } from "@hayloft/objects/contract.js"
import { checkWrite } from "./conditions.js"
import { currentOf, type ModelState } from "./state.js"

interface Done {
  readonly digest: Uint8Array
  readonly results: readonly OperationResult[]
}

export class ModelTransactions implements Transactions {
  readonly #done = new Map<string, Done>()

  constructor(
    private readonly state: ModelState,
    private readonly services: {
      readonly objects: Objects
      readonly multipart: Multipart
      readonly renames: Renames
    },
  ) {}

  async find({ account, token, digest }: TransactionToken): Promise<readonly OperationResult[] | undefined> {
    const done = this.#done.get(`${account} ${token}`)
    if (done !== undefined && !isDeepStrictEqual(Buffer.from(done.digest), Buffer.from(digest)))
      throw fail("idempotencyMismatch")
    return done?.results
  }

  async run({ operations, token }: TransactionRequest): Promise<readonly OperationResult[]> {
    const before = token && (await this.find(token))
    if (before !== undefined) return before
    checkNames(operations)
    const putBack = this.#remember()
    const results: OperationResult[] = []
    for (const [number, operation] of operations.entries()) {
      try {
        results.push(await this.#apply(operation))
      } catch (error) {
        putBack()
        const { kind, details } = asFailure(error)
        throw fail(kind, { ...details, operation: number })
      }
    }
    if (token !== undefined) this.#done.set(`${token.account} ${token.token}`, { digest: token.digest, results })
    return results
  }

  async #apply(operation: TransactionOperation): Promise<OperationResult> {
    const { objects, multipart, renames } = this.services
    switch (operation.kind) {
      case "put":
        return resultOf(await multipart.complete(operation.complete))
      case "rename":
        return resultOf(await renames.rename(operation.rename))
      case "delete": {
        const { versionId, deleteMarker } = await objects.remove(operation.remove)
        return { ...(versionId !== undefined && { versionId }), ...(deleteMarker && { deleteMarker }) }
      }
      case "check":
        checkWrite(operation.conditions, currentOf(this.state.open(operation.bucket), operation.key))
        return {}
    }
  }

  #remember(): () => void {
    const before = [...this.state.buckets.values()].map(bucket => ({
      bucket,
      keys: new Map(bucket.keys),
      uploads: new Map(bucket.uploads),
      completions: new Map(bucket.completions),
      lastModifiedMs: new Map(bucket.lastModifiedMs),
    }))
    return () => {
      for (const { bucket, ...maps } of before)
        for (const name of ["keys", "uploads", "completions", "lastModifiedMs"] as const) {
          const map: Map<unknown, unknown> = bucket[name]
          map.clear()
          for (const [key, value] of maps[name]) map.set(key, value)
        }
    }
  }
}

const resultOf = ({ versionId, etag }: PutResult): OperationResult => ({
  ...(versionId !== undefined && { versionId }),
  etag,
})

function checkNames(operations: readonly TransactionOperation[]): void {
  if (operations.length === 0 || operations.length > 100) throw fail("invalidRequest")
  const seen = new Set<string>()
  for (const [operation, each] of operations.entries())
    for (const name of namesOf(each)) {
      if (seen.has(name)) throw fail("invalidRequest", { operation })
      seen.add(name)
    }
}

function namesOf(operation: TransactionOperation): readonly string[] {
  switch (operation.kind) {
    case "put":
      return [`${operation.complete.bucket.id} ${operation.complete.key}`]
    case "delete":
      return [`${operation.remove.bucket.id} ${operation.remove.key}`]
    case "rename": {
      const { bucket, fromBucket = bucket, from, to } = operation.rename
      return [`${fromBucket.id} ${from}`, `${bucket.id} ${to}`]
    }
    case "check":
      return [`${operation.bucket.id} ${operation.key}`]
  }
}
