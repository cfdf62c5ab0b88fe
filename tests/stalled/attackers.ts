/** Clients that stall: they open many connections, send bytes, and then do nothing. */
import { connect, type Socket } from "node:net"
import { readFile } from "node:fs/promises"
import type { Client, Call } from "../../conformance/client.js"

const OPENING_AT_ONCE = 100

/** Returns the head of a request, signed by default. */
export function headOf(client: Client, method: string, call: Call): string {
  const { target, headers } = client.prepare(method, call).request
  return `${method} ${target} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`
}

export class Attackers {
  private readonly sockets: Socket[] = []
  /** How long each connection was open that the other side has closed. */
  private readonly closedAfterMs: number[] = []

  constructor(private readonly port: number) {}

  /** Opens this many connections, each of which sends its bytes and reads nothing. Resolves when all are connected. */
  async open(count: number, says: (number: number) => string): Promise<void> {
    for (let from = 0; from < count; from += OPENING_AT_ONCE) {
      const batch = Array.from({ length: Math.min(OPENING_AT_ONCE, count - from) }, (_, i) => this.one(says(from + i)))
      await Promise.all(batch)
    }
  }

  /** Resolves when the first bytes have arrived on every connection. */
  async answered(): Promise<void> {
    for (const socket of this.sockets) {
      if (socket.readableLength === 0) await new Promise<void>(resolve => socket.once("readable", resolve))
    }
  }

  /** The connections that the other side has closed before this time was over. */
  closedWithin(openMs: number): number {
    return this.closedAfterMs.filter(eachMs => eachMs < openMs).length
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  private async one(says: string): Promise<void> {
    const openedMs = performance.now()
    const socket = connect(this.port, "127.0.0.1")
    this.sockets.push(socket)
    socket.once("close", () => this.closedAfterMs.push(performance.now() - openedMs))
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve)
      socket.once("error", reject)
    })
    socket.on("error", () => undefined)
    socket.write(Buffer.from(says, "latin1"))
  }
}

/** Returns the current and the peak memory of the process, in bytes. */
export async function residentBytes(pid: number): Promise<{ readonly now: number; readonly most: number }> {
  const status = await readFile(`/proc/${pid}/status`, "utf8")
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024
  return { now: bytes("VmRSS"), most: bytes("VmHWM") }
}
