/** Rough sizes of plain data, for what is kept in memory. */

/** An object, an array, or an entry of one. */
const ENTRY_BYTES = 32

/** The memory that plain data takes: about as much, so that a limit of it bounds the memory. */
export function roughBytes(value: unknown): number {
  if (typeof value === "string") return ENTRY_BYTES + 2 * value.length
  if (typeof value !== "object" || value === null) return ENTRY_BYTES
  if (value instanceof Uint8Array) return 2 * ENTRY_BYTES + value.byteLength
  const held =
    Array.isArray(value) || value instanceof Set ? value : value instanceof Map ? [...value] : entriesOf(value)
  let bytes = ENTRY_BYTES
  for (const each of held) bytes += roughBytes(each)
  return bytes
}

const entriesOf = (value: object): readonly unknown[] => Object.values(value)
