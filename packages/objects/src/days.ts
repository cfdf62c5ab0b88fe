/** The days that a store counts. */

const DAY_MS = 86_400_000

/** The length of a day of rules; another one than a day's is for trying rules out. */
export interface Days {
  readonly dayMs: number
}

export const REAL_DAYS: Days = { dayMs: DAY_MS }

export interface StoreDays extends Days {
  /** From the beginning of an upload until it is removed without a rule; 0: never. */
  readonly abandonedDays: number
}

export const STORE_DAYS: StoreDays = { ...REAL_DAYS, abandonedDays: 7 }
