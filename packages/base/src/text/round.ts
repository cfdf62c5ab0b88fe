/** Rounding of numbers. Pure, and without anything of Node, so that pages may use it too. */

/** The part of a limit that one of several threads of a process has; `share`: from 0 to 1. */
export const partOf = (max: number, share: number, least = 1): number => Math.max(least, Math.floor(max * share))

export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit
