/** Sums of the rows of features that come back from backups, as reports name them. */
import type { RowsEntry } from "@hayloft/objects/door/index.js"

/** The numbers of rows of features that a rescue has brought. */
export interface RescuedSums {
  /** K2V items, deleted ones too; and values of items that are lost. */
  readonly items: { readonly count: number; readonly lostValues: number }
  /** Queues, and messages that may be delivered again. */
  readonly queues: { readonly queues: number; readonly messages: number }
  /** Small files. */
  readonly files: number
}

/** `counts`: by the names that features give them. */
export function rescuedSums(counts: ReadonlyMap<string, number>): RescuedSums {
  const of = (name: string): number => counts.get(name) ?? 0
  return {
    items: { count: of("items"), lostValues: of("lostValues") },
    queues: { queues: of("queues"), messages: of("messages") },
    files: of("files"),
  }
}

/** The numbers of rows of features that a reconciliation puts back. */
export interface ReconciledSums {
  /** K2V items that are put back. */
  readonly items: number
  /** Messages of queues that were put back. */
  readonly messages: number
}

/** `putBack`: rows that were compared; `counts`: of others, by the names of features. */
export const reconciledSums = (putBack: readonly RowsEntry[], counts: ReadonlyMap<string, number>): ReconciledSums => ({
  items: putBack.reduce((sum, { items }) => sum + items, 0),
  messages: counts.get("queues") ?? 0,
})
