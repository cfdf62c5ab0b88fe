/** Channels over message ports of Node. A channel that was started keeps its process alive until it is closed. */
import { MessageChannel, type MessagePort } from "node:worker_threads"
import type { Channel, ChannelEvents } from "./contract.js"

export class PortChannel implements Channel {
  private isClosed = false

  constructor(private readonly port: MessagePort) {
    port.once("close", () => {
      this.isClosed = true
    })
  }

  start(events: ChannelEvents): void {
    const { port } = this
    // The port tells it once.
    if (this.isClosed) queueMicrotask(() => events.closed())
    else port.once("close", () => events.closed())
    port.on("message", (message: unknown) => events.message(message))
  }

  send(message: unknown, moved: readonly ArrayBuffer[] = []): void {
    if (!this.isClosed) this.port.postMessage(message, moved)
  }

  close(): void {
    this.port.close()
  }
}

/** The channel of this thread, and the port for the other one. */
export function openChannel(): { readonly channel: Channel; readonly port: MessagePort } {
  const { port1, port2 } = new MessageChannel()
  return { channel: new PortChannel(port1), port: port2 }
}
