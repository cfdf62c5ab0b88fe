/**
 * Node's HTTP parser on a connection, given the bytes of one request at a time.
 *
 * Node's server listens to a connection's data by itself and keeps it until its end. Here its listeners are taken
 * off again and called with what is theirs, so that the next request may be read by somebody else.
 *
 * Promises  The parser sees every request that it is given from its first byte, and nothing of others.
 */
import type { Socket } from "node:net"

const HEAD_END = "\r\n\r\n"
const BARE_LINE_END = /\r(?!\n)|(?<!\r)\n/

export class NodeParser {
  private readonly onData: readonly Listener[]
  private readonly onEnd: readonly Listener[]

  /** `attach` calls the listeners of Node's server for a new connection. */
  constructor(
    private readonly socket: Socket,
    attach: () => void,
  ) {
    const [data, end] = [new Set(socket.listeners("data")), new Set(socket.listeners("end"))]
    attach()
    this.onData = take(socket, "data", data)
    this.onEnd = take(socket, "end", end)
  }

  /** What it does with them it does before this returns. Nothing once the connection is gone, and its parser with it. */
  read(bytes: Buffer): void {
    for (const listener of this.onData) if (!this.socket.destroyed) listener(bytes)
  }

  end(): void {
    for (const listener of this.onEnd) if (!this.socket.destroyed) listener()
  }
}

type Listener = (bytes?: Buffer) => void

function take(socket: Socket, event: "data" | "end", before: ReadonlySet<unknown>): Listener[] {
  const added = socket.listeners(event).filter(listener => !before.has(listener))
  const remove = socket.removeListener.bind(socket)
  return added.map(listener => {
    Reflect.apply(remove, socket, [event, listener])
    return bytes => void listener.call(socket, bytes)
  })
}

/** The bytes of the head that these begin with; 0 where it is not all there, or its lines do not end as they should. */
export function headBytesOf(bytes: Buffer): number {
  const end = bytes.indexOf(HEAD_END, 0, "latin1")
  if (end < 0) return 0
  const headBytes = end + HEAD_END.length
  return BARE_LINE_END.test(bytes.toString("latin1", 0, headBytes)) ? 0 : headBytes
}

/** The last bytes of what was given, as far as they tell whether a head or a body in chunks may end there. */
export class LastBytes {
  private text = ""

  note(bytes: Buffer): void {
    const from = Math.max(0, bytes.length - HEAD_END.length)
    this.text = (this.text + bytes.toString("latin1", from)).slice(-HEAD_END.length)
  }

  get isEnd(): boolean {
    return this.text === HEAD_END
  }
}
