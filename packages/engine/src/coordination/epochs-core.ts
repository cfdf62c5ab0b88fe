/**
 * Rows of epochs: a clock that all nodes share, whose ticks last at least as long as the steward waits between them. Each
 * tick records how far every process had come, so that the age of a decision is known without timestamps. Pure.
 *
 * Promises  Epochs are numbered without gaps. Of two processes that advance the same epoch only one does; one that saw an
 *           older epoch never does.
 */
import { must } from "@hayloft/base/assert.js"
import {
  decodeEpochRow,
  decodeEpochsRow,
  encodeEpochRow,
  encodeEpochsRow,
  epochRowKey,
  EPOCHS_ROW_KEY,
  type EpochRow,
} from "../format/nodes/cluster-rows.js"
import type { EntryWrite } from "../format/device/entry.js"
import { command, query } from "../metadata/index.js"

/** Rows that one command drops. */
const DROPPED_MAX = 64

/** The known facts about the moment that begins an epoch. */
export type EpochFacts = Omit<EpochRow, "number">

/** The epoch that began `age` epochs before the newest one; undefined if it has no row: too early, or dropped. */
export const epochOfAge = query("EpochOfAge", (view, age: number): EpochRow | undefined => {
  const head = view.get("cluster", EPOCHS_ROW_KEY)
  const number = head ? decodeEpochsRow(head.value).newest - age : 0
  const row = number < 1 ? undefined : view.get("cluster", epochRowKey(number))
  return row && decodeEpochRow(row.value)
})

/**
 * Begins the next epoch as if it were the first: nothing is older than it. For a store whose metadata was rolled back:
 * what is released then is kept for the whole retention again.
 */
export const restartEpochs = command<[facts: EpochFacts], void>({
  name: "RestartEpochs",
  grows: false,
  touches: () => [["cluster", EPOCHS_ROW_KEY]],
  decide(view, _time, { highest, positions }) {
    const row = view.get("cluster", EPOCHS_ROW_KEY)
    const epochs = row && decodeEpochsRow(row.value)
    if (epochs === undefined) return { writes: [], result: undefined }
    const dropped = Array.from({ length: epochs.newest - epochs.oldest + 1 }, (_, at): EntryWrite => {
      const key = epochRowKey(epochs.oldest + at)
      must(view.get("cluster", key), "the rows of all epochs from the oldest to the newest exist")
      return { family: "cluster", key, value: undefined }
    })
    const number = epochs.newest + 1
    const head = encodeEpochsRow({ newest: number, oldest: number })
    const value = encodeEpochRow({ number, highest, positions })
    const writes: EntryWrite[] = [
      { family: "cluster", key: EPOCHS_ROW_KEY, value: head },
      { family: "cluster", key: epochRowKey(number), value },
    ]
    return { writes: [...dropped, ...writes], result: undefined }
  },
})

/**
 * Begins the epoch after `before` (0: the first one), and drops the rows of epochs up to `dropUpTo`, not all of them at
 * once. Returns false, and does nothing, unless `before` is the newest one.
 */
export const advanceEpoch = command<[before: number, facts: EpochFacts, dropUpTo: number], boolean>({
  name: "AdvanceEpoch",
  grows: false,
  touches: before => [
    ["cluster", EPOCHS_ROW_KEY],
    ["cluster", epochRowKey(before + 1)],
  ],
  decide(view, _time, before, { highest, positions }, dropUpTo) {
    const row = view.get("cluster", EPOCHS_ROW_KEY)
    const epochs = row && decodeEpochsRow(row.value)
    if ((epochs?.newest ?? 0) !== before) return { writes: [], result: false }
    const number = before + 1
    const first = epochs?.oldest ?? number
    const oldest = Math.max(first, Math.min(first + DROPPED_MAX, dropUpTo + 1, number))
    const dropped = Array.from({ length: oldest - first }, (_, at): EntryWrite => {
      const key = epochRowKey(first + at)
      must(view.get("cluster", key), "the rows of all epochs from the oldest to the newest exist")
      return { family: "cluster", key, value: undefined }
    })
    const head: EntryWrite = {
      family: "cluster",
      key: EPOCHS_ROW_KEY,
      value: encodeEpochsRow({ newest: number, oldest }),
    }
    const value = encodeEpochRow({ number, highest, positions })
    return { writes: [head, ...dropped, { family: "cluster", key: epochRowKey(number), value }], result: true }
  },
})
