/**
 * Session ender: ends sessions that their clients do not renew any more. Every node does that, so that no node is needed
 * for it; of several that end the same session one does, and the others find it ended.
 *
 * Promises  As `Silence`. It goes on after errors of the store, which count for no session and show as a failing job.
 * Limits    One query for each page of sessions, every COORD_LIMITS.silenceEveryMs, less often while there are none.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { rowKeyOf } from "@hayloft/base/ids.js"
import { FailuresInARow, type BackgroundService } from "@hayloft/base/life/index.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log, Metrics } from "@hayloft/base/seams/telemetry/contract.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import { readBeats, type SessionBeat } from "./coord-queries-core.js"
import type { Coordination } from "./coordination.js"
import { COORD_LIMITS } from "./limits.js"
import { Silence } from "./silence-core.js"

interface EnderSeams {
  readonly clock: Clock
  readonly metadata: Pick<Metadata, "ask">
  readonly log: Log
  readonly metrics: Metrics
}

export class SessionEnder implements BackgroundService {
  readonly name = "session-ender"
  private readonly silence = new Silence()
  private readonly failures: FailuresInARow

  constructor(
    private readonly seams: EnderSeams,
    private readonly coordination: Pick<Coordination, "end">,
  ) {
    this.failures = new FailuresInARow(this.name, seams)
  }

  /** Sessions of the store, as this node saw them last. */
  get sessions(): number {
    return this.silence.sessions
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.seams
    while (!signal.aborted) {
      try {
        const failure = await this.look()
        if (failure === undefined) this.failures.succeeded()
        else this.failures.failed(failure)
      } catch (error) {
        if (!isFailure(error)) throw error
        this.failures.failed(error)
      }
      const { silenceEveryMs, idleEveryMs } = COORD_LIMITS
      await clock.sleep(Math.max(this.failures.restMs, this.sessions > 0 ? silenceEveryMs : idleEveryMs), signal)
    }
  }

  /** Returns the failure of the last session that could not be ended. */
  private async look(): Promise<Failure | undefined> {
    const { clock, metadata, log } = this.seams
    const askedMs = clock.monotonicMs()
    const beats: SessionBeat[] = []
    for await (const page of walkPages(rowKeyOf(""), from => metadata.ask(readBeats(from)))) {
      beats.push(...page.beats)
    }
    let failure: Failure | undefined
    for (const { account, id, beat, silenceMs } of this.silence.observe(beats, askedMs, clock.monotonicMs())) {
      try {
        if (await this.coordination.end({ account, id }, beat))
          log.info("session_ended", { account, session: id, seconds: silenceMs / 1_000 })
      } catch (error) {
        // The next look tries again; others need not wait for it.
        if (!isFailure(error)) throw error
        log.debug("session_not_ended", { session: id, reason: error.message })
        failure = error
      }
    }
    return failure
  }
}
