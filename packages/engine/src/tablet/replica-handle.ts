/**
 * Replica handle: one replica of a serving tablet, until it leaves.
 *
 * Promises  Every wait for the replica's device ends when the replica leaves; later results of the device are ignored.
 */
import type { Failure } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { Replica } from "./replica.js"

export class ReplicaHandle {
  private reason: Failure | undefined
  private readonly waiting = new Set<(failure: Failure) => void>()

  constructor(readonly replica: Replica) {}

  get id(): DeviceId {
    return this.replica.id
  }

  /** Returns why the replica left; undefined while it is in use. */
  get left(): Failure | undefined {
    return this.reason
  }

  leave(reason: Failure): void {
    this.reason ??= reason
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const giveUp of waiting) giveUp(this.reason)
  }

  /** The result of the device, or the reason for which the replica leaves meanwhile. */
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
