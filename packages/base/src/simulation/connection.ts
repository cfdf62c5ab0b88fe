/**
 * Messages over a connection of the simulated network, whose bytes arrive in pieces.
 *
 * Promises  Messages arrive whole, in order and once, until the connection ends; `receive` then returns undefined.
 * Limits    MESSAGE_BYTES_MAX. What is sent waits in memory while the network is cut; after the end it is dropped.
 */
import { concatBytes } from "../bytes.js"
import { LibraryError } from "../library-error.js"
import { MIB } from "../limits.js"
import type { Connection } from "../seams/net/contract.js"

const MESSAGE_BYTES_MAX = 16 * MIB
const LENGTH_BYTES = 4

export class MessageConnection {
  readonly remote: string
  private readonly unsent: Uint8Array[] = []
  private readonly received: Uint8Array[] = []
  private readonly waiting: ((message: Uint8Array | undefined) => void)[] = []
  private pieces: Uint8Array = new Uint8Array(0)
  private isWriting = false
  private isEnding = false
  private isClosed = false

  /** Starts to read: called within the turn in which the connection was received. */
  constructor(private readonly connection: Connection) {
    this.remote = connection.remote
    connection.start({ bytes: chunk => this.arrived(chunk), closed: () => this.closed() })
  }

  /**
   * Sends the message once those before it are sent; it is lost if the connection ends first, or was closed before. Throws
   * `messageTooLarge`.
   */
  send(message: Uint8Array | string): void {
    const bytes = typeof message === "string" ? Buffer.from(message, "utf8") : message
    if (bytes.length > MESSAGE_BYTES_MAX)
      throw new LibraryError("messageTooLarge", `a message has up to ${MESSAGE_BYTES_MAX} bytes, not ${bytes.length}`)
    if (this.isEnding || this.isClosed) return
    const framed = new Uint8Array(LENGTH_BYTES + bytes.length)
    new DataView(framed.buffer).setUint32(0, bytes.length)
    framed.set(bytes, LENGTH_BYTES)
    this.unsent.push(framed)
    this.write()
  }

  /** The next message; undefined once the connection has ended and all that arrived was received. */
  receive(): Promise<Uint8Array | undefined> {
    const message = this.received.shift()
    if (message !== undefined || this.isClosed) return Promise.resolve(message)
    return new Promise(resolve => void this.waiting.push(resolve))
  }

  /** Ends the connection after everything sent has left. */
  close(): void {
    if (this.isEnding) return
    this.isEnding = true
    this.write()
  }

  private write(): void {
    if (this.isWriting || this.isClosed) return
    const buffers = this.unsent.splice(0)
    if (buffers.length === 0) {
      if (this.isEnding) this.connection.end()
      return
    }
    this.isWriting = true
    this.connection.write(buffers, () => {
      this.isWriting = false
      this.write()
    })
  }

  private arrived(chunk: Uint8Array): void {
    this.pieces = concatBytes([this.pieces, chunk])
    while (this.pieces.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + new DataView(this.pieces.buffer, this.pieces.byteOffset).getUint32(0)
      if (this.pieces.length < end) return
      this.deliver(this.pieces.slice(LENGTH_BYTES, end))
      this.pieces = this.pieces.subarray(end)
    }
  }

  private deliver(message: Uint8Array): void {
    const resolve = this.waiting.shift()
    if (resolve === undefined) this.received.push(message)
    else resolve(message)
  }

  private closed(): void {
    this.isClosed = true
    this.unsent.length = 0
    for (const resolve of this.waiting.splice(0)) resolve(undefined)
  }
}
