/** Planted bugs of transactions and of renames to other buckets, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const DECISION = "packages/features/src/transactions/transaction-commands-core.ts"
const EACH = "packages/objects/src/commands/decide-each-core.ts"
const RENAMES = "packages/objects/src/rename-service.ts"
const CASES = "packages/features/src/transactions/transaction-service"
const CRASHES = "packages/features/src/transactions/transaction-crashes"
const RACES = "packages/features/src/transactions/transaction-races"
const ELSEWHERE = "packages/objects/src/rename-elsewhere"

const plant = (bug: string, caughtBy: string, file: string, find: string, put: string): TestedPlant => {
  const edits: readonly Edit[] = [{ file, find, put }]
  return { bug: `transaction: ${bug}`, edits, caughtBy }
}

export const TRANSACTION_PLANTS: readonly TestedPlant[] = [
  plant("an operation that is refused is left out", CASES, EACH, "lacking ?? refusal", "lacking"),
  plant(
    "a refusal does not say which operation it is about",
    CASES,
    DECISION,
    "{ ...error.details, operation }, error)",
    "error.details, error)",
  ),
  plant(
    "a token is not stored",
    CRASHES,
    DECISION,
    "if (token !== undefined) {\n      const key",
    "if (token !== undefined && 0 > 1) {\n      const key",
  ),
  plant(
    "a token with another document counts as a repeat",
    CASES,
    DECISION,
    'if (!equalBytes(digest, token.digest)) throw fail("idempotencyMismatch")',
    "",
  ),
  plant("a check is not evaluated", RACES, DECISION, "checkWrite(view, step.check, expiryClock(time, clockMs))", ""),
  plant(
    "guards of absences stay",
    CASES,
    DECISION,
    '({ family: "heads", key, value: undefined })',
    '({ family: "heads", key, value: view.get("heads", key)?.value })',
  ),
  plant(
    "a guard of an object that is there by now is removed",
    CASES,
    DECISION,
    "head !== undefined && isGuard(head)",
    "head !== undefined",
  ),
  plant(
    "a bucket that has become remote takes part",
    CASES,
    DECISION,
    'if (requireBucket(view, bucketId).settings.includes("remote"))',
    'if (requireBucket(view, bucketId).settings.includes("append"))',
  ),
  plant(
    "a key may be in two operations",
    CASES,
    DECISION,
    "if (before === undefined) continue",
    "if (before !== 1e9) continue",
  ),
  plant("rows are not counted", CASES, DECISION, "if (rows <= rowsMax) return", "if (rows > 0) return"),
  plant(
    "tokens are never forgotten",
    CASES,
    DECISION,
    "TRANSACTION_LIMITS.tokenMs <= nowMs",
    "TRANSACTION_LIMITS.tokenMs < 0",
  ),
  plant(
    "quotas decide on each operation",
    CASES,
    "packages/features/src/quotas/counts-core.ts",
    "bytesNeeded: before.bytesNeeded + bytesNeeded,",
    "bytesNeeded: Math.max(before.bytesNeeded, bytesNeeded),",
  ),
  plant(
    "only the counters of the last bucket change",
    CASES,
    "packages/objects/src/commands/finished-edits-core.ts",
    "counts: [...counters].map(([bucketId, change]) => ({ bucketId, change })),",
    "counts: [...counters].slice(-1).map(([bucketId, change]) => ({ bucketId, change })),",
  ),
  plant(
    "pending deletions of one editor replace those of another",
    CASES,
    "packages/objects/src/commands/row-editor-core.ts",
    "this.pendingDeletions = before?.pendingDeletions ?? 0",
    "this.pendingDeletions = 0",
  ),
  plant(
    "the same transaction, sent twice, is decided twice",
    CASES,
    DECISION,
    "if (earlier !== undefined) return { writes: [],",
    "if (earlier !== undefined && 0 > 1) return { writes: [],",
  ),
  plant(
    "bytes that go to another bucket keep the key of theirs",
    ELSEWHERE,
    RENAMES,
    "if (asked.fromBucketId !== undefined) plain = await this.openElsewhere(request, record)",
    "",
  ),
  plant(
    "parts are read from the beginning of the object",
    ELSEWHERE,
    RENAMES,
    "first += range.lengthBytes",
    "first += 0",
  ),
  plant(
    "another version than the decided one is copied to another bucket",
    ELSEWHERE,
    RENAMES,
    "if (order === head.order && equalBytes(random, head.random)) return open",
    "if (order !== head.order) return open",
  ),
]
