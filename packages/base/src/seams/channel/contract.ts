/**
 * Channel: messages between two threads of one process.
 *
 * Promises  Messages arrive whole, once, and in the order in which they were sent, or the channel ends. A message is a
 *           copy, made when it is sent: it shares nothing with the sender but memory that is shared by its nature
 *           (SharedArrayBuffer) and buffers that were moved, which the sender cannot use any more. `closed` is
 *           called once, after which no other event comes.
 * Limits    None of its own: what is under way waits in memory, so those who send bound it.
 */
export interface ChannelEvents {
  message(message: unknown): void
  /** The other thread has closed the channel or has ended, or this side has closed it. */
  closed(): void
}

export interface Channel {
  /** Starts to receive. Called once; messages that arrive earlier wait. */
  start(events: ChannelEvents): void
  /** Plain data. Throws if it cannot be copied; does nothing once the channel is closed. */
  send(message: unknown, moved?: readonly ArrayBuffer[]): void
  /** The other side receives everything that was sent, then `closed`. */
  close(): void
}
