/** Checks at a start that the store has every epoch key under which secrets of its buckets are sealed. */
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { decodeBucketKey } from "@hayloft/engine/format/objects/bucket-key.js"
import { query, type Metadata } from "@hayloft/engine/metadata/index.js"
import type { EpochKeys } from "./contract.js"

const ROWS_PER_PAGE = 1_000
const END = rowKeyOf("\xff".repeat(16))

interface EpochsPage {
  readonly epochs: readonly number[]
  /** The place where the next page begins; undefined: this is the last one. */
  readonly next: RowKey | undefined
}

/** The epochs that some rows refer to. */
export const epochsOfSecrets = query("EpochsOfSecrets", (view, start: RowKey, rowsMax: number): EpochsPage => {
  const epochs = new Set<number>()
  let rows = 0
  for (const [row, { value }] of view.range("bucketKeys", { start, end: END, expectedRows: rowsMax })) {
    if (rows === rowsMax) return { epochs: [...epochs], next: row }
    const key = decodeBucketKey(value)
    if (key.kind === "secret") epochs.add(key.epoch)
    rows += 1
  }
  return { epochs: [...epochs], next: undefined }
})

/** Throws `keysUnavailable`. */
export async function checkEpochs(metadata: Pick<Metadata, "ask">, epochs: EpochKeys): Promise<void> {
  const checked = new Set<number>()
  for await (const page of walkPages(rowKeyOf(""), start => metadata.ask(epochsOfSecrets(start, ROWS_PER_PAGE)))) {
    for (const epoch of page.epochs) {
      if (checked.has(epoch)) continue
      await epochs.get(epoch)
      checked.add(epoch)
    }
  }
}
