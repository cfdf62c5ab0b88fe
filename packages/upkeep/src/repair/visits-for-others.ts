/**
 * Visits for others: this process visits partitions for the one that coordinates repair.
 *
 * Promises  A visit goes by the layout, and by the devices in use, of the coordinator: it is refused if this process has
 *           another layout, also one that was published during the visit, or cannot reach a device that the coordinator
 *           can. Nothing is kept of it but a number.
 */
import { fail } from "@hayloft/base/failures.js"
import type { Blocks } from "@hayloft/engine/block/index.js"
import type { RepairOutcome, RepairVisit } from "@hayloft/engine/format/nodes/repair-calls.js"
import type { ObjectBackend, Uploads } from "@hayloft/objects/door/bytes.js"
import { OwnershipResolver } from "../garbage/ownership-resolver.js"
import type { RepairSource } from "./repair-contract.js"
import type { States } from "./repair-core.js"
import { RepairVisits } from "./repair-visit.js"

export class VisitsForOthers {
  private readonly blocks: Blocks
  private readonly uploads: Uploads
  private readonly resolver: OwnershipResolver
  private written = 0

  constructor(
    backend: ObjectBackend,
    private readonly source: Pick<RepairSource, "states" | "layouts" | "policy">,
  ) {
    this.blocks = backend.blocks
    this.uploads = backend.uploads
    this.resolver = new OwnershipResolver(backend)
  }

  /** Shards that visits for others have written. */
  get writtenShards(): number {
    return this.written
  }

  /** `isOver`: no further block should be begun. Throws `conflict` and `deviceFailed` if it refuses. */
  async visit(
    { partition, layoutVersion, offline, longPassedOver }: Omit<RepairVisit, "generation">,
    isOver: () => boolean,
  ): Promise<RepairOutcome> {
    this.checkLayout(layoutVersion)
    const states = this.statesOf(new Set(offline))
    const { blocks, uploads, resolver } = this
    const { layouts } = this.source
    const view = {
      layouts,
      states: () => states,
      isUnreferenced: () => false,
      isForAnother: true,
      isOver,
      policy: () => this.source.policy(),
      resolvesSingles: () => false,
      isNotAwaited: () => false,
    }
    const visits = new RepairVisits(blocks, uploads, resolver, view)
    const outcome = await visits.visit(partition, new Set(longPassedOver))
    this.written += outcome.writtenShards
    this.checkLayout(layoutVersion)
    return outcome
  }

  private checkLayout(wanted: number): void {
    const { version } = this.source.layouts.current
    if (version === wanted) return
    throw fail("conflict", { message: "the nodes do not have the same layout", wanted, version })
  }

  /** The devices as the coordinator sees them: they stay so for the whole visit. */
  private statesOf(offline: ReadonlySet<string>): States {
    const states = new Map(this.source.states())
    for (const [id, device] of states) {
      if (offline.has(id)) states.set(id, { ...device, state: "offline" })
      else if (device.state === "offline")
        throw fail("deviceFailed", { message: "this node cannot reach a device that the other one can", device: id })
    }
    return states
  }
}
