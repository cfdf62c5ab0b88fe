/** Secrets of buckets under a newer epoch key: an erasure removes the earlier ones. Pure decisions. */
import { equalBytes } from "@hayloft/base/bytes.js"
import { rowKeyOf, type BucketId, type RowKey } from "@hayloft/base/ids.js"
import { decodeBucketKey, encodeBucketKey, numberOfBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { bucketIdOfRowKey } from "@hayloft/engine/format/row-key.js"
import { command, query } from "@hayloft/engine/metadata/index.js"
import type { SealedSecret } from "./contract.js"

/** A secret where it is stored. */
export interface StoredSecret {
  readonly rowKey: RowKey
  readonly bucketId: BucketId
  readonly number: number
  readonly secret: SealedSecret
}

const END = rowKeyOf("\xff".repeat(16))
/** The limits of one command or query. */
const SECRETS_MAX = 64
const ROWS_MAX = 1_000

interface SecretsPage {
  readonly secrets: readonly StoredSecret[]
  /** The place where the next page begins; undefined: this is the last one. */
  readonly next: RowKey | undefined
}

/** Secrets that are sealed under keys of epochs up to this one. */
export const secretsUnder = query("SecretsUnder", (view, epochMax: number, start: RowKey): SecretsPage => {
  const secrets: StoredSecret[] = []
  let rows = 0
  const range = { start, end: END, expectedRows: SECRETS_MAX }
  for (const [rowKey, { value }] of view.range("bucketKeys", range)) {
    if (secrets.length === SECRETS_MAX || rows === ROWS_MAX) return { secrets, next: rowKey }
    rows += 1
    const key = decodeBucketKey(value)
    if (key.kind !== "secret" || key.epoch > epochMax) continue
    const { epoch, sealed } = key
    const bucketId = bucketIdOfRowKey(rowKey)
    secrets.push({ rowKey, bucketId, number: numberOfBucketKey(rowKey), secret: { epoch, sealed } })
  }
  return { secrets, next: undefined }
})

interface Resealed {
  readonly rowKey: RowKey
  readonly before: SealedSecret
  readonly after: SealedSecret
}

/** Replaces sealed secrets; those that have changed meanwhile stay. */
export const resealSecrets = command<[resealed: readonly Resealed[]], void>({
  name: "ResealSecrets",
  grows: false,
  touches: resealed => resealed.map(({ rowKey }) => ["bucketKeys", rowKey]),
  decide: (view, _time, resealed) => ({
    writes: resealed.flatMap(({ rowKey, before, after }) => {
      const row = view.get("bucketKeys", rowKey)
      const key = row && decodeBucketKey(row.value)
      if (key?.kind !== "secret" || !equalBytes(key.sealed, before.sealed)) return []
      return [{ family: "bucketKeys" as const, key: rowKey, value: encodeBucketKey({ ...key, ...after }) }]
    }),
    result: undefined,
  }),
})
