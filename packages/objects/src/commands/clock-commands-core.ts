/**
 * Commands of the store's clock: one row with the latest time that a process of the store has stated. Pure.
 *
 * Promises  No command makes the row earlier.
 */
import { rowKeyOf } from "@hayloft/base/ids.js"
import { decodeStoreClock, encodeStoreClock } from "@hayloft/engine/format/records.js"
import { command, query, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"

const ROW_KEY = rowKeyOf("store")
const TOUCHES: Touches = [["clock", ROW_KEY]]

function storedMs(view: RowView): number {
  const row = view.get("clock", ROW_KEY)
  return row === undefined ? 0 : decodeStoreClock(row.value)
}

/** 0: the clock has not been set yet. */
export const readStoreClock = query("ReadStoreClock", storedMs)

function raise(view: RowView, nowMs: number) {
  const before = storedMs(view)
  if (before >= nowMs) return { writes: [], result: before }
  return { writes: [{ family: "clock", key: ROW_KEY, value: encodeStoreClock(nowMs) } as const], result: nowMs }
}

/** States the time of a process that knows it, and returns the later one of that and the row's. */
export const advanceClock = command<[nowMs: number], number>({
  name: "AdvanceClock",
  touches: () => TOUCHES,
  decide: (view, _time, nowMs) => raise(view, nowMs),
})

interface StartClock {
  /** The row's time, as long as no process has advanced it. */
  readonly seenMs: number
  /** By the wall clock of this process. */
  readonly fromMs: number
}

/**
 * Sets the clock where no earlier process of the store runs any more, and returns its time. Undefined if another process
 * has advanced the clock.
 */
export const startClock = command<[start: StartClock], number | undefined>({
  name: "StartClock",
  touches: () => TOUCHES,
  decide: (view, _time, { seenMs, fromMs }) =>
    storedMs(view) === seenMs ? raise(view, fromMs) : { writes: [], result: undefined },
})
