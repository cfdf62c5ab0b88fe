/**
 * Answers of the admin port that go on: JSON lines, until the client leaves, the server stops, or the caller may no
 * longer read them.
 *
 * Promises  A stream begins with a heartbeat and sends one every `heartbeatMs`, so that proxies keep it open. Lines that
 *           its client does not read in time are dropped, counted, and reported in a line of their own. The
 *           caller's permission is checked again with each heartbeat. Its last line says why it ends, unless the client left.
 *           A source is begun when the first line is read, and ended exactly once.
 * Limits    `STREAM_LIMITS`.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { StreamLine } from "./stream-schemas.js"

export const STREAM_LIMITS = {
  /** Streams of one node at a time; more are refused. */
  watchersMax: 32,
  /** Lines that wait for one client to read them; further ones are dropped. */
  linesMax: 1_000,
  /** The same, in characters of JSON. */
  charactersMax: 1024 * 1024,
  /** Shorter than the 30 s after which the strictest proxies drop an idle connection. */
  heartbeatMs: 10_000,
} as const

interface LineSink {
  /** Never waits. The line has a `type` other than those of `StreamLine`. */
  push(line: { readonly type: string }): void
  /** So many lines are left out, because they came too fast for the source. */
  lost(lines: number): void
}

/** The result of an operation that streams. */
export class LineSource {
  /** @param begin Passes on each new line; the returned function ends that. */
  constructor(readonly begin: (sink: LineSink) => () => void) {}
}

interface Terms {
  /** Fires when the client has left. */
  readonly signal: AbortSignal
  /** Throws once the caller may no longer read the stream. */
  readonly checkAllowed: () => Promise<unknown>
}

export class Streams {
  private readonly watchers = new Set<Watcher>()
  private isStopped = false

  constructor(private readonly clock: Pick<Clock, "wallMs" | "alarm">) {}

  /** The pieces of the answer's body. Its first read throws `tooManyInFlight` if too many streams are open. */
  async *pieces(source: LineSource, { signal, checkAllowed }: Terms): AsyncGenerator<Uint8Array> {
    if (this.watchers.size >= STREAM_LIMITS.watchersMax) {
      throw fail("tooManyInFlight", { message: `${STREAM_LIMITS.watchersMax} streams are open; end one of them` })
    }
    const watcher = new Watcher(this.clock, checkAllowed)
    this.watchers.add(watcher)
    const leave = (): void => watcher.end(undefined)
    signal.addEventListener("abort", leave, { once: true })
    if (signal.aborted) leave()
    if (this.isStopped) watcher.end(STOPPED)
    let endSource = (): void => undefined
    try {
      watcher.beat()
      endSource = source.begin(watcher)
      for await (const text of watcher.texts()) yield new TextEncoder().encode(text)
    } finally {
      endSource()
      watcher.end(undefined)
      signal.removeEventListener("abort", leave)
      this.watchers.delete(watcher)
    }
  }

  /** Ends all streams: the server stops, or serves another store from now on. */
  stop(): void {
    this.isStopped = true
    for (const watcher of this.watchers) watcher.end(STOPPED)
  }
}

const STOPPED = "the server stops; connect again"
const CLIENT_LEFT = ""

/** The lines of one stream that its client has not read yet. */
class Watcher implements LineSink {
  private text = ""
  private lines = 0
  private dropped = 0
  /** The reason why it ended. */
  private ended: string | undefined
  private wake = (): void => undefined
  private cancelBeat = (): void => undefined

  constructor(
    private readonly clock: Pick<Clock, "wallMs" | "alarm">,
    private readonly checkAllowed: () => Promise<unknown>,
  ) {}

  push(line: { readonly type: string }): void {
    if (this.ended !== undefined) return
    const json = this.lines < STREAM_LIMITS.linesMax ? JSON.stringify(line) : ""
    if (json === "" || this.text.length + json.length > STREAM_LIMITS.charactersMax) this.dropped += 1
    else this.add(json)
    this.wake()
  }

  lost(lines: number): void {
    if (this.ended !== undefined) return
    this.dropped += lines
    this.wake()
  }

  /** Sends a heartbeat now, and from now on. */
  beat(): void {
    this.report({ type: "heartbeat", atMs: this.clock.wallMs() })
    this.cancelBeat = this.clock.alarm(STREAM_LIMITS.heartbeatMs, () => {
      this.checkAllowed().catch((error: unknown) => this.end(asFailure(error).message))
      this.beat()
    })
  }

  /** `reason` is told to the client; undefined if it has left. */
  end(reason: string | undefined): void {
    if (this.ended !== undefined) return
    this.cancelBeat()
    if (reason !== undefined) this.report({ type: "end", reason })
    this.ended = reason ?? CLIENT_LEFT
    this.wake()
  }

  /** All lines that wait, whenever there are some, until the end. */
  async *texts(): AsyncGenerator<string> {
    for (;;) {
      if (this.ended === CLIENT_LEFT) return
      const text = this.take()
      if (text !== "") yield text
      else if (this.ended !== undefined) return
      else await new Promise<void>(resolve => (this.wake = resolve))
    }
  }

  private take(): string {
    if (this.dropped > 0) this.add(JSON.stringify({ type: "dropped", lines: this.dropped } satisfies StreamLine))
    const { text } = this
    this.text = ""
    this.lines = 0
    this.dropped = 0
    return text
  }

  /** A line of the stream itself. One waits at a time of those that are not read: they are small, and rare. */
  private report(line: StreamLine): void {
    if (this.lines < STREAM_LIMITS.linesMax || line.type === "end") this.add(JSON.stringify(line))
    this.wake()
  }

  private add(json: string): void {
    this.text += `${json}\n`
    this.lines += 1
  }
}
