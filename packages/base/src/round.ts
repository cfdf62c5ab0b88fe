/** Rounding of numbers. Pure, and without anything of Node, so that pages may use it too. */

export const roundUp = (value: number, unit: number): number => Math.ceil(value / unit) * unit
