/**
 * DeleteObject as most clients send it: of whatever lies at a key now, without conditions.
 *
 * Promises  What is done and answered is what the handler would do and answer (`quick.test.ts` compares them).
 *           Nothing is refused here before the tablet decides: whatever is not plain and in order is left to the handler.
 */
import { HeaderLines, type Exchange } from "../http/index.js"
import type { DeleteResult, Objects } from "../object/contract.js"
import type { Clock } from "../seams/clock/contract.js"
import { deletedFields } from "./operations/delete-object.js"
import { ByShape, leavesAsItIs, type QuickGate } from "./quick-gate.js"
import { actionsOf, NEEDS } from "./rights/needs-core.js"

/** Of requests that name no version. */
const DELETE = { name: "DeleteObject", actions: actionsOf(NEEDS.deleteObject, new Map(), false) }

export class QuickDeletes {
  private readonly plain = new ByShape(({ names }) => names.every(leavesAsItIs) || undefined)

  constructor(
    private readonly gate: QuickGate,
    private readonly objects: Objects,
    private readonly clock: Clock,
  ) {}

  /** Undefined: not for here. Rejects with what the tablet refuses. */
  serve(exchange: Exchange, nowMs: number): Promise<void> | undefined {
    const { headers, contentLength = 0, timing } = exchange
    if (contentLength > 0 || exchange.chunkedTransfer || this.plain.of(headers.shape) === undefined) return undefined
    const startedMs = this.clock.monotonicMs()
    const admission = this.gate.admit(exchange, nowMs, DELETE)
    if (admission === undefined) return undefined
    this.gate.note(exchange, admission)
    const admittedMs = this.clock.monotonicMs()
    timing.add("auth", admittedMs - startedMs)
    const { bucket, key } = admission
    return this.objects.remove({ bucket, key, conditions: {} }).then(deleted => {
      timing.add("meta", this.clock.monotonicMs() - admittedMs)
      return exchange.respond({ status: 204, headers: this.linesOf(exchange.requestId, deleted) })
    })
  }

  private linesOf(requestId: string, deleted: DeleteResult): HeaderLines {
    const lines = HeaderLines.ofChecked(this.gate.idLines(requestId))
    return deleted.versionId === undefined ? lines : lines.and(deletedFields(deleted).flat())
  }
}
