/**
 * Finished requests of a thread that serves, for the thread that shows them: what is counted, shown to watchers and
 * written to the access log of each, as plain data. `LiveRequests.replay` and `AccessLog.replay` take a batch.
 *
 * Promises  Times are those at which requests were done here. A request that is only counted costs six values.
 * Limits    `REQUEST_BATCH_LIMITS`, for a batch that is not taken: a request beyond has no line, which is counted, is
 *           shown to no watcher, and in the end is not counted as traffic.
 */
import { MIB } from "@hayloft/base/limits.js"
import type { LiveRequest } from "@hayloft/engine/format/nodes/live-report.js"
import type { FinishedRequest, RequestWatch } from "@hayloft/protocols/http/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { accessLineOf, type AccessLogFormat } from "./access-log-core.js"
import { liveRequestOf } from "./live-request-core.js"
import { countedOf, isTraffic, type CountedRequest } from "./traffic-core.js"

export const REQUEST_BATCH_LIMITS = {
  countedMax: 100_000,
  shownMax: 10_000,
  /** All lines of a batch together. */
  lineCharactersMax: 8 * MIB,
} as const

/** Plain data; in the order of the ends of requests. */
export interface RequestBatch {
  /** The traffic of clients. */
  readonly counted: readonly CountedRequest[]
  /** All requests, if someone watches. */
  readonly shown: readonly LiveRequest[]
  /** The access log's, if there is one. */
  readonly lines: readonly string[]
  readonly linesDropped: number
}

export class RequestBatches implements RequestWatch {
  /** Requests are shown to someone: the thread that shows them says when (`LiveRequests.isWatched`). */
  isWatched = false
  private counted: CountedRequest[] = []
  private shown: LiveRequest[] = []
  private lines: string[] = []
  private characters = 0
  private linesDropped = 0

  constructor(
    private readonly clock: Pick<Clock, "wallMs">,
    /** It is undefined if no access log is written; `node` returns undefined on one machine. */
    private readonly accessLog:
      | { readonly format: AccessLogFormat; readonly node: () => string | undefined }
      | undefined,
  ) {}

  finished(server: string, request: FinishedRequest): void {
    const { countedMax, shownMax } = REQUEST_BATCH_LIMITS
    if (isTraffic(server, request) && this.counted.length < countedMax) this.counted.push(countedOf(request))
    if (this.isWatched && this.shown.length < shownMax) {
      this.shown.push(liveRequestOf(server, this.clock.wallMs(), request))
    }
    if (this.accessLog !== undefined) this.log(this.accessLog, server, request)
  }

  /** Returns the requests that have ended since the last batch; undefined if there are none. */
  take(): RequestBatch | undefined {
    const { counted, shown, lines, linesDropped } = this
    if (counted.length + shown.length + lines.length + linesDropped === 0) return undefined
    this.counted = []
    this.shown = []
    this.lines = []
    this.characters = 0
    this.linesDropped = 0
    return { counted, shown, lines, linesDropped }
  }

  private log(
    { format, node }: NonNullable<RequestBatches["accessLog"]>,
    server: string,
    request: FinishedRequest,
  ): void {
    const line = accessLineOf(format, { server, node: node(), atMs: this.clock.wallMs(), request })
    if (line === undefined) return
    if (this.characters + line.length > REQUEST_BATCH_LIMITS.lineCharactersMax) {
      this.linesDropped += 1
      return
    }
    this.lines.push(line)
    this.characters += line.length
  }
}
