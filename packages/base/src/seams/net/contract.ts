/**
 * Network: streams of bytes between nodes.
 *
 * Promises  Bytes arrive in order, once, or the connection ends. One write is under way at a time: its memory is not
 *           read any more once `written` or `closed` has been called, so a slow reader holds back its sender.
 *           `closed` is called exactly once, after which no other event comes. Over TLS, a connection exists only
 *           once its peer is admitted.
 * Limits    What the system buffers for each connection.
 */
export interface NetAddress {
  readonly host: string
  readonly port: number
}

export interface ConnectionEvents {
  /** The bytes belong to the receiver. */
  bytes(chunk: Uint8Array): void
  /** With the reason, for logs, if the connection did not end in order. */
  closed(reason: string | undefined): void
}

export interface Connection {
  /** The other side's address, for people. */
  readonly remote: string
  /** The fingerprint of its certificate; undefined without TLS. */
  readonly fingerprint: string | undefined
  /** Starts to read. Called once, within the turn in which the connection was received. */
  start(events: ConnectionEvents): void
  /** Sends the buffers in one call. Not called again before `written`, nor after `end` or `reset`. */
  write(buffers: readonly Uint8Array[], written: () => void): void
  /** Stops reading; what is under way may still arrive. */
  pause(): void
  resume(): void
  /** Closes after everything written has been sent. */
  end(): void
  /** Closes now: what is not sent yet is lost. */
  reset(): void
}

export interface Listener {
  readonly address: NetAddress
  /** Accepts no more connections; open ones stay. */
  close(): Promise<void>
}

export interface Net {
  /** Port 0 chooses a free one. Throws `invalidConfig` if the address cannot be used. */
  listen(at: NetAddress, accept: (connection: Connection) => void): Promise<Listener>
  /**
   * Throws `peerUnreachable`, or the signal's reason once it fires.
   * @param expected the fingerprint that the peer must have; any admitted one if undefined.
   */
  connect(to: NetAddress, signal: AbortSignal, expected?: string): Promise<Connection>
}
