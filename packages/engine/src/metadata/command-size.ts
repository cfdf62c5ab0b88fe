/**
 * The size of a command: how much one decision may write. The contract checks it before an engine logs or acknowledges
 * anything, and every layer below takes what it permits, so that no acknowledged row can stop a checkpoint.
 *
 * Promises  Throws `invalidRequest` for a decision with too many rows, a key that is too long, or too many bytes.
 */
import { fail } from "@hayloft/base/failures.js"
import { COMMAND_ROWS_MAX, ROW_KEY_BYTES_MAX } from "@hayloft/base/limits.js"
import { entryBytes, type EntryWrite } from "../format/device/entry.js"

interface Sized {
  readonly writes: readonly EntryWrite[]
  /** An engine writes one more row for each of them. */
  readonly counts?: readonly unknown[] | undefined
  readonly usage?: readonly unknown[] | undefined
}

export function checkSize(command: string, { writes, counts, usage }: Sized, bytesMax: number): void {
  const rows = writes.length + (counts?.length ?? 0) + (usage?.length ?? 0)
  if (rows > COMMAND_ROWS_MAX)
    throw fail("invalidRequest", { message: "the change has too many rows", command, rows, rowsMax: COMMAND_ROWS_MAX })
  for (const { family, key } of writes) {
    if (key.length > ROW_KEY_BYTES_MAX)
      throw fail("invalidRequest", {
        message: "the key of a row is too long",
        command,
        family,
        lengthBytes: key.length,
      })
  }
  const lengthBytes = entryBytes(writes)
  if (lengthBytes > bytesMax)
    throw fail("invalidRequest", { message: "the change is too large", command, lengthBytes, bytesMax })
}
