/**
 * Verification: walks over all metadata of each replica, by the sums that its checkpoints recorded, so that a missing
 * row proves something.
 *
 * Promises  A replica is damaged only if a walk proves it, and it is reported only if another one was found whole, from
 *           which it is rebuilt. Damage to all of them is logged and changes nothing.
 * Limits    One replica at a time; a replica again after `VERIFY_EVERY_MS_MIN`.
 */
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import type { Query, QueryView } from "../metadata/index.js"
import { VERIFY_EVERY_MS_MIN } from "./limits.js"
import type { Replica } from "./replica.js"
import type { ReplicaHandle } from "./replica-handle.js"

/** The last walk over a replica's metadata. */
interface Walk {
  /** By the monotonic clock. */
  readonly beganMs: number
  /** The reason why the replica does not count as verified. */
  readonly failure: Failure | undefined
}

export class ReplicaVerification {
  private readonly walks = new Map<ReplicaHandle, Walk>()
  /** A caller waits for walks that begin at this time or later. */
  private wantedMs = -Infinity
  private walking: ReplicaHandle | undefined

  constructor(
    private readonly replicas: () => readonly ReplicaHandle[],
    private readonly clock: Clock,
    private readonly log: Log,
    private readonly damaged: (id: DeviceId, failure: Failure) => void,
  ) {}

  get progress(): string {
    if (this.walking) return `verifying the metadata of device ${this.walking.id}`
    const replicas = this.replicas()
    const whole = replicas.filter(handle => this.isWhole(handle, -Infinity))
    return `metadata of ${whole.length} of ${replicas.length} replicas verified`
  }

  /** Replicas that are damaged, until they have been rebuilt. */
  get damages(): readonly string[] {
    return this.replicas().flatMap(handle => {
      const failure = this.walks.get(handle)?.failure
      return isFailure(failure, "corruptRow") ? [`metadata on device ${handle.id}: ${failure.message}`] : []
    })
  }

  private isWhole(handle: ReplicaHandle, sinceMs: number): boolean {
    const walk = this.walks.get(handle)
    return walk !== undefined && walk.failure === undefined && walk.beganMs >= sinceMs
  }

  /** The result of each replica; undefined if one of them has not been verified since then, or cannot be read. */
  queryAll<Result>(sinceMs: number, query: Query<Result>, moment: Moment): readonly Result[] | undefined {
    this.wantedMs = Math.max(this.wantedMs, sinceMs)
    const replicas = this.replicas()
    if (!replicas.every(handle => this.isWhole(handle, sinceMs))) return undefined
    const answers: Result[] = []
    for (const { id, replica } of replicas) {
      try {
        answers.push(query.answer(viewOf(replica, moment)))
      } catch (error) {
        if (!isFailure(error, "corruptRow", "deviceFailed")) throw error
        this.damaged(id, error)
        return undefined
      }
    }
    return answers
  }

  /** Walks over one replica that is due; false if there is none. */
  async step(signal: AbortSignal): Promise<boolean> {
    const replicas = this.replicas()
    for (const handle of [...this.walks.keys()]) if (!replicas.includes(handle)) this.walks.delete(handle)
    const due = replicas.find(handle => this.isDue(handle))
    if (due === undefined) return false
    this.walking = due
    try {
      await this.walk(due, signal)
    } finally {
      this.walking = undefined
    }
    if (!this.replicas().some(handle => this.isDue(handle))) this.report()
    return true
  }

  private isDue(handle: ReplicaHandle): boolean {
    const walk = this.walks.get(handle)
    if (walk === undefined) return true
    const isWanted = walk.failure !== undefined || walk.beganMs < this.wantedMs
    return isWanted && this.clock.monotonicMs() - walk.beganMs >= VERIFY_EVERY_MS_MIN
  }

  private async walk(handle: ReplicaHandle, signal: AbortSignal): Promise<void> {
    const beganMs = this.clock.monotonicMs()
    const failure = await handle.wait(handle.replica.device.verifyMetadataStore(signal)).then(
      () => undefined,
      (error: unknown) => {
        if (!isFailure(error)) throw error
        return error
      },
    )
    if (!isFailure(failure, "stopping")) this.walks.set(handle, { beganMs, failure })
  }

  /** Called only after all have been walked over: the damaged ones are rebuilt from the others, which must be whole. */
  private report(): void {
    const walked = this.replicas().map(handle => ({ handle, failure: this.walks.get(handle)?.failure }))
    const hasWhole = walked.some(({ failure }) => failure === undefined)
    for (const { handle, failure } of walked) {
      if (failure === undefined) continue
      if (hasWhole) this.damaged(handle.id, failure)
      else this.log.error("metadata_damaged_on_all_replicas", { device: handle.id, error: failure.message })
    }
  }
}

/** Properties that views of all replicas share. */
type Moment = Pick<QueryView, "position" | "incarnations">

const viewOf = (replica: Replica, { position, incarnations }: Moment): QueryView => ({
  position,
  incarnations,
  generationMark: undefined,
  get: (family, key) => replica.get(family, key),
  range: (family, range) => replica.range(family, range),
  scan: (family, range, visitor) => replica.scan(family, range, visitor),
})
