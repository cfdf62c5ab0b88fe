/**
 * Checkpoints of a simulated machine: runs work on a device's metadata store in sequence, like the thread that
 * does it in a real process.
 */
import { fail } from "@hayloft/base/failures.js"
import type { DeviceId } from "@hayloft/base/ids.js"
import type { CheckpointExecutor, CheckpointRunner } from "@hayloft/node/metadata/checkpoint-job.js"

interface Turn {
  last: Promise<unknown>
  isOver: boolean
}

export class CheckpointsInTurn implements CheckpointRunner {
  private readonly turns = new Map<DeviceId, Turn>()

  constructor(private readonly executor: CheckpointExecutor) {}

  readonly run: CheckpointRunner["run"] = job => this.inTurn(job.device.id, () => this.executor.run(job))

  readonly merge: CheckpointRunner["merge"] = job => this.inTurn(job.device.id, () => this.executor.merge(job))

  readonly scrubMetadata: CheckpointRunner["scrubMetadata"] = (device, from) =>
    this.inTurn(device.id, () => this.executor.scrubMetadata(device, from))

  readonly scrubLog: CheckpointRunner["scrubLog"] = (device, after, upTo) =>
    this.inTurn(device.id, () => this.executor.scrubLog(device, after, upTo))

  giveUp(): void {
    this.executor.giveUp()
  }

  async forget(id: DeviceId): Promise<void> {
    await this.end(id)
    await this.executor.forget(id)
  }

  async close(): Promise<void> {
    for (const id of [...this.turns.keys()]) await this.end(id)
    await this.executor.close()
  }

  /** Waits for running work before it closes; on a disk that hangs the work ends when its calls time out. */
  private async end(id: DeviceId): Promise<void> {
    const turn = this.turns.get(id)
    this.turns.delete(id)
    if (turn === undefined) return
    turn.isOver = true
    await turn.last
  }

  private inTurn<T>(id: DeviceId, work: () => Promise<T>): Promise<T> {
    const turn = this.turns.get(id) ?? { last: Promise.resolve(), isOver: false }
    this.turns.set(id, turn)
    const done = turn.last.then(() => {
      if (turn.isOver) throw fail("stopping", { device: id })
      return work()
    })
    turn.last = done.catch(() => undefined)
    return done
  }
}
