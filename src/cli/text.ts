/** Text for people: sizes, times, columns, shell quoting. Pure. */
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

/** `4.2 MiB`; whole numbers below 1 KiB. */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ""}`
}

/** `2026-01-02 03:04:05Z`, in UTC. */
export const timeText = (timeMs: number): string => `${new Date(timeMs).toISOString().slice(0, 19).replace("T", " ")}Z`

/** `3 d 4 h`, `5 min`, `12 s`: the two largest units. */
export function durationText(seconds: number): string {
  const whole = Math.floor(seconds)
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ]
  if (days > 0) return `${days} d ${hours} h`
  if (hours > 0) return `${hours} h ${minutes} min`
  return minutes > 0 ? `${minutes} min` : `${whole} s`
}

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
