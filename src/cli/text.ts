/** Text for people: sizes, times, columns, shell quoting. Pure. */
export { countText, durationText, latencyText, sizeText } from "../base/quantity-text.js"

/** `2026-01-02 03:04:05Z`, in UTC. */
export const timeText = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 19).replace("T", " ")}Z`

/** Rows below a header, in columns; the last column is not padded. */
export function tableText(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map(row => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0))).join("  ")
  return all.map(row => `${line(row)}\n`).join("")
}

/** Text as one word of a POSIX shell. */
export const shellWord = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

/** Control characters of a name as `\xNN`, so that a listing cannot control a terminal. */
export const printable = (text: string): string =>
  text.replace(/[\x00-\x1f\x7f-\x9f]/g, character => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`)
