/**
 * Commands of the store's clock: one row with the latest time that a process of the store has stated, and one with the time
 * that is confirmed. Pure.
 *
 * Promises  No command makes the row of the store's clock earlier.
 */
import { rowKeyOf, type RowKey } from "@hayloft/base/ids.js"
import { decodeStoreClock, encodeStoreClock } from "@hayloft/engine/format/records.js"
import { command, query, type RowView, type Touches } from "@hayloft/engine/metadata/index.js"

const ROW_KEY = rowKeyOf("store")
const CONFIRMED_ROW_KEY = rowKeyOf("confirmed")
const TOUCHES: Touches = [["clock", ROW_KEY]]

function msOfRow(view: Pick<RowView, "get">, key: RowKey): number {
  const row = view.get("clock", key)
  return row === undefined ? 0 : decodeStoreClock(row.value)
}

const storedMs = (view: Pick<RowView, "get">): number => msOfRow(view, ROW_KEY)

/** 0: the clock has not been set yet. */
export const readStoreClock = query("ReadStoreClock", storedMs)

/** 0: no time is confirmed yet. */
export const readConfirmedTime = query("ReadConfirmedTime", view => msOfRow(view, CONFIRMED_ROW_KEY))

export const confirmTime = command<[confirmedMs: number], undefined>({
  name: "ConfirmTime",
  touches: () => [["clock", CONFIRMED_ROW_KEY]],
  decide(view, _time, confirmedMs) {
    const isSame = msOfRow(view, CONFIRMED_ROW_KEY) === confirmedMs
    const write = { family: "clock", key: CONFIRMED_ROW_KEY, value: encodeStoreClock(confirmedMs) } as const
    return { writes: isSame ? [] : [write], result: undefined }
  },
})

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
