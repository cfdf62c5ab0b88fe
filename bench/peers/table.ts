/** The table of a comparison, in Markdown. Pure. */
import type { Machine } from "../machine.js"

/** A store that was measured. */
export interface Measured {
  readonly name: string
  readonly version: string
  readonly durability: string
  /** Its command, as it was typed. */
  readonly command: string
}

/** One round of one kind of work at one store. */
export interface Round {
  readonly store: string
  readonly work: string
  readonly perSecond: number
  readonly p99Ms: number
  readonly errors: number
}

export interface Comparison {
  readonly machine: Machine
  readonly load: string
  readonly stores: readonly Measured[]
  readonly rounds: readonly Round[]
}

const RATE_DIGITS = 3

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const [low = NaN, high = NaN] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return (low + high) / 2
}

const rateText = (perSecond: number): string =>
  perSecond >= 100 ? String(Math.round(perSecond)) : perSecond.toPrecision(RATE_DIGITS)

/** A row for each kind of work, a column for each store: median requests a second, median p99; `(n failed)` if some did. */
export function tableOf({ machine, load, stores, rounds }: Comparison): string {
  const works = [...new Set(rounds.map(({ work }) => work))]
  const cell = (work: string, store: string): string => {
    const those = rounds.filter(round => round.work === work && round.store === store)
    if (those.length === 0) return "–"
    const errors = those.reduce((sum, round) => sum + round.errors, 0)
    const rate = rateText(median(those.map(({ perSecond }) => perSecond)))
    const p99 = median(those.map(({ p99Ms }) => p99Ms)).toPrecision(RATE_DIGITS)
    return `${rate}, ${Number(p99)} ms${errors === 0 ? "" : ` (${errors} failed)`}`
  }
  const rows = works.map(work => [work, ...stores.map(({ name }) => cell(work, name))])
  const about = stores.map(({ name, version, durability, command }) => [name, version, durability, `\`${command}\``])
  return [
    `Requests a second, and p99; the median of ${rounds.length / Math.max(1, works.length * stores.length)} rounds, in which the stores took turns.`,
    `${machine.cores} cores (${machine.cpu}), ${machine.memoryGib} GiB, ${machine.fileSystem ?? "unknown file system"}, load ${machine.load} before; ${machine.startedAt.slice(0, 10)}, commit ${machine.commit ?? "unknown"}. Client and store share the cores.`,
    `Load: \`${load}\`.`,
    "",
    ...markdown(["work", ...stores.map(({ name }) => name)], rows),
    "",
    ...markdown(["store", "version", "answers", "command"], about),
    "",
  ].join("\n")
}

const markdown = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] =>
  [head, head.map(() => "---"), ...rows].map(cells => `| ${cells.join(" | ")} |`)
