/**
 * Rows in PostgreSQL's binary format for the client library, which would decode their bytes as UTF-8
 * (github.com/brianc/node-postgres, issue 3495: values are silently wrong).
 *
 * Every message begins with a code and its length. Rows are read here, and all other messages go to the library as they
 * came, in their order.
 *
 * Promises  Each value is bytes of its own, or null, whatever the format of its column.
 */
import { EventEmitter } from "node:events"
import type { Client } from "pg"
import { assert } from "@hayloft/base/assert.js"

const DATA_ROW = 0x44
const HEAD_BYTES = 5
const NULL_LENGTH = -1

interface ReadingConnection extends EventEmitter {
  /** Called by the library once the connection may send messages. */
  attachListeners(stream: EventEmitter): void
}

/** The library's own connection. Throws if this version of it has another shape. */
function parseConnection(client: Client): ReadingConnection {
  const { connection } = client as unknown as { readonly connection: ReadingConnection }
  assert(typeof connection.attachListeners === "function", "the client library reads messages in attachListeners")
  return connection
}

/** Call it before the client connects. */
export function readBinaryRows(client: Client): void {
  const connection = parseConnection(client)
  const readOthers = connection.attachListeners.bind(connection)
  connection.attachListeners = stream => {
    const others = new EventEmitter()
    readOthers(others)
    const messages = new Messages(
      row => connection.emit("dataRow", { name: "dataRow", fields: valuesOf(row) }),
      bytes => others.emit("data", bytes),
    )
    stream.on("data", (chunk: Buffer) => messages.add(chunk))
    stream.on("end", () => others.emit("end"))
  }
}

/** Splits a stream of bytes into rows and everything else. */
class Messages {
  private chunks: Buffer[] = []
  private heldBytes = 0
  /** Bytes that are needed before the next message is whole. */
  private neededBytes = HEAD_BYTES

  constructor(
    private readonly onRow: (message: Buffer) => void,
    private readonly onOthers: (bytes: Buffer) => void,
  ) {}

  add(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.heldBytes += chunk.length
    if (this.heldBytes < this.neededBytes) return
    const bytes = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks)
    const readBytes = this.read(bytes)
    this.chunks = readBytes < bytes.length ? [bytes.subarray(readBytes)] : []
    this.heldBytes = bytes.length - readBytes
  }

  /** Passes on all whole messages; returns their length. */
  private read(bytes: Buffer): number {
    let [at, othersAt] = [0, 0]
    this.neededBytes = HEAD_BYTES
    while (bytes.length - at >= HEAD_BYTES) {
      const end = at + 1 + bytes.readUInt32BE(at + 1)
      if (end > bytes.length) {
        this.neededBytes = end - at
        break
      }
      if (bytes[at] === DATA_ROW) {
        if (othersAt < at) this.onOthers(bytes.subarray(othersAt, at))
        this.onRow(bytes.subarray(at, end))
        othersAt = end
      }
      at = end
    }
    if (othersAt < at) this.onOthers(bytes.subarray(othersAt, at))
    return at
  }
}

function valuesOf(row: Buffer): (Buffer | null)[] {
  const values = new Array<Buffer | null>(row.readUInt16BE(HEAD_BYTES))
  let at = HEAD_BYTES + 2
  for (let i = 0; i < values.length; i += 1) {
    const lengthBytes = row.readInt32BE(at)
    at += 4
    if (lengthBytes === NULL_LENGTH) values[i] = null
    else {
      // A copy: a few bytes must not keep a whole chunk of the socket in memory.
      values[i] = Buffer.from(row.subarray(at, at + lengthBytes))
      at += lengthBytes
    }
  }
  return values
}
