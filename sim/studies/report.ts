/** Results of a study: tables, as the pages in `docs/design/studies/` show them. */

export interface StudyTable {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** By name: `npm run study` shows them in this order, and a page names each where it stands. */
export type StudyTables = Readonly<Record<string, StudyTable>>

export interface StudyOptions {
  readonly seed: number
  /** The most nodes of the study. */
  readonly nodes: number
}

export interface Study {
  readonly nodes: number
  run(options: StudyOptions): StudyTables
}

export function markdownOf({ head, rows }: StudyTable): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")
}

/** With separators of thousands and at most so many digits behind the point. */
export const figure = (value: number, digits = 0): string =>
  value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })

export const percent = (share: number, digits = 1): string => `${figure(100 * share, digits)} %`

export const seconds = (ms: number, digits = 1): string => `${figure(ms / 1_000, digits)} s`

const UNITS = [
  [1e9, "GB"],
  [1e6, "MB"],
  [1e3, "kB"],
] as const

/** In decimal units, to three digits. */
export function bytesText(bytes: number): string {
  const [size, unit] = UNITS.find(([least]) => bytes >= least) ?? [1, "B"]
  const value = bytes / size
  return `${figure(value, size === 1 || value >= 100 ? 0 : value >= 10 ? 1 : 2)} ${unit}`
}
