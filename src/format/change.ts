/**
 * Changes (family `changes`): that an object has changed, in a bucket whose changes are copied elsewhere. The row of an object
 * that is there goes once the copy is made; that of a removed one stays for some days, so that older writes are refused.
 *
 * Refuses  Anything malformed with `corruptRecord`.
 */
import { bytesOfByteString } from "../base/ids.js"
import { parseStoredTimestamp, type Timestamp } from "../base/timestamp.js"
import { packRecord, RecordReader } from "./pack.js"

export interface ObjectChange {
  /** The id of the decision that changed the object: each change has a different one. */
  readonly id: string
  /** It is undefined if the object is there. */
  readonly removedAt: Timestamp | undefined
  /** The other side knows that the object is removed. */
  readonly isCopied: boolean
  /** When the change was made here, which may be long after another store made it. */
  readonly notedMs: number
}

export const encodeChange = ({ id, removedAt, isCopied, notedMs }: ObjectChange): Uint8Array =>
  packRecord(1, [bytesOfByteString(id), removedAt ?? null, Number(isCopied), notedMs])

export function decodeChange(bytes: Uint8Array): ObjectChange {
  const row = RecordReader.open("change", bytes, 1)
  const id = Buffer.from(row.bytes()).toString("latin1")
  const removedAt = row.optional(() => row.number())
  const isCopied = row.number() === 1
  const notedMs = row.number()
  return { id, removedAt: removedAt === undefined ? undefined : parseStoredTimestamp(removedAt), isCopied, notedMs }
}
