/**
 * Repair workers: which node makes a visit. Pure: moments come in as arguments, in milliseconds of the process's own
 * monotonic clock.
 *
 * A partition is visited by the node of one of its slots, which has one of the shards that a visit needs: the first of those
 * that the order of the visit names. If that node cannot be used, the node of the next slot is next, then the node that
 * coordinates.
 */
import type { NodeName } from "@hayloft/base/ids.js"

export const REPAIR_WORKER_LIMITS = {
  /** Partitions that one other node visits concurrently for this one. */
  partitionsPerNodeMax: 32,
  /** The same for this node's own visits. */
  partitionsHereMax: 64,
  /** How long nothing is sent to a node that has refused or failed a visit. */
  restMs: 5_000,
  /** A node takes part if it has finished a visit since. */
  takesPartMs: 60_000,
} as const

export class RepairPlaces {
  private readonly busy = new Map<NodeName, number>()
  private readonly restsUntilMs = new Map<NodeName, number>()
  private readonly finishedMs = new Map<NodeName, number>()

  constructor(private readonly own: NodeName) {}

  /**
   * The node that makes a visit, and has begun it with this call; undefined: one of the nodes must finish another visit
   * first. `candidates`: in the order of slots.
   */
  begin(candidates: readonly NodeName[], isUsable: (node: NodeName) => boolean, nowMs: number): NodeName | undefined {
    const usable = candidates.filter(node => node === this.own || (isUsable(node) && !this.rests(node, nowMs)))
    const node = (usable.length > 0 ? usable : [this.own]).find(each => this.busyWith(each) < this.mostOf(each))
    if (node !== undefined) this.busy.set(node, this.busyWith(node) + 1)
    return node
  }

  finished(node: NodeName, nowMs: number): void {
    this.end(node)
    this.finishedMs.set(node, nowMs)
  }

  failed(node: NodeName, nowMs: number): void {
    this.end(node)
    this.restsUntilMs.set(node, nowMs + REPAIR_WORKER_LIMITS.restMs)
  }

  /** Nodes that have finished a visit recently. */
  takingPart(nowMs: number): number {
    const { takesPartMs } = REPAIR_WORKER_LIMITS
    for (const [node, atMs] of this.finishedMs) if (nowMs - atMs >= takesPartMs) this.finishedMs.delete(node)
    return this.finishedMs.size
  }

  rests(node: NodeName, nowMs: number): boolean {
    return nowMs < (this.restsUntilMs.get(node) ?? -Infinity)
  }

  private end(node: NodeName): void {
    this.busy.set(node, this.busyWith(node) - 1)
  }

  private busyWith(node: NodeName): number {
    return this.busy.get(node) ?? 0
  }

  private mostOf(node: NodeName): number {
    const { partitionsHereMax, partitionsPerNodeMax } = REPAIR_WORKER_LIMITS
    return node === this.own ? partitionsHereMax : partitionsPerNodeMax
  }
}
