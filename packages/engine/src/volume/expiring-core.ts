/**
 * Classes of needles that end: which volumes a needle goes to whose end is known when it is written, and how long these
 * volumes are left alone.
 *
 * A volume of a class is written for an eighth of the class's span at most, so that its needles end within a short time
 * of each other, and the volume can be removed whole. The end is a hint: a wrong one costs a copy, never a needle.
 */

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/** The numbers are in the keys of the index (`expiringNeedles`) and name folders: append only, never reuse. */
export const EXPIRING_CLASSES = [
  { number: 1, name: "1d", spanMs: 1 * DAY_MS },
  { number: 2, name: "3d", spanMs: 3 * DAY_MS },
  { number: 3, name: "10d", spanMs: 10 * DAY_MS },
  { number: 4, name: "32d", spanMs: 32 * DAY_MS },
  { number: 5, name: "100d", spanMs: 100 * DAY_MS },
] as const

export type ExpiringClass = (typeof EXPIRING_CLASSES)[number]

/** Share of the span for which a volume is written. */
const FILLING_SHARE = 1 / 8
/** Objects are removed by passes that run once a day, and may take a day. */
const GRACE_MS = 2 * DAY_MS
/** A volume of which more than this is dead, for as long as volumes of its class are written, is not waited for. */
const MOSTLY_DEAD = 0.75

/** The class of a needle that ends then; undefined: it may as well stay. */
export const classOfEnd = (endsAtMs: number, nowMs: number): ExpiringClass | undefined =>
  EXPIRING_CLASSES.find(({ spanMs }) => endsAtMs - nowMs <= spanMs)

/** How long a volume of the class is written. */
export const fillingMsOf = ({ spanMs }: ExpiringClass): number => spanMs * FILLING_SHARE

/** When the last needle of a volume ends that begins now. */
export const endsByOf = (ends: ExpiringClass, nowMs: number): number => nowMs + fillingMsOf(ends) + ends.spanMs

/**
 * Returns true if the needles that are still in a volume stay: a rule was changed, a lock or a retention keeps the
 * object.
 */
export const isOverdue = (endsByMs: number, nowMs: number): boolean => nowMs > endsByMs + GRACE_MS

/** Returns true if most of a volume is dead before its time: objects were replaced or removed. */
export const isMostlyDead = ({ writtenBytes, liveBytes }: { writtenBytes: number; liveBytes: number }): boolean =>
  writtenBytes - liveBytes > MOSTLY_DEAD * writtenBytes
