/**
 * Seat: one member's place among those that hold a tablet now, until it leaves.
 *
 * Promises  Whoever waits for the member's device hears at once when the member leaves; what the device
 *           says afterwards is heard by nobody.
 */
import type { Failure } from "../base/failures.js"
import type { DeviceId } from "../base/ids.js"
import type { Replica } from "./replica.js"

export class ReplicaHandle {
  private reason: Failure | undefined
  private readonly waiting = new Set<(failure: Failure) => void>()

  constructor(readonly replica: Replica) {}

  get id(): DeviceId {
    return this.replica.id
  }

  /** Why the member left; undefined while it is here. */
  get left(): Failure | undefined {
    return this.reason
  }

  leave(reason: Failure): void {
    this.reason ??= reason
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const giveUp of waiting) giveUp(this.reason)
  }

  /** What the device answers, or the reason for which the member leaves meanwhile. */
  wait<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.reason === undefined) this.waiting.add(reject)
      else reject(this.reason)
      const settle = (): void => void this.waiting.delete(reject)
      work.then(
        value => {
          settle()
          resolve(value)
        },
        (error: unknown) => {
          settle()
          reject(error)
        },
      )
    })
  }
}
