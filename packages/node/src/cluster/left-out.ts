/**
 * Left-out folders: new data folders whose disk failed while their node started. Each is added as by `hayloft device add`
 * once its disk works. Devices that the record names already return by themselves.
 */
import { isFailure } from "@hayloft/base/failures.js"
import type { Job, StepOutcome } from "@hayloft/base/life/index.js"
import { plural } from "@hayloft/base/text/quantity-text.js"

export class LeftOut implements Job {
  readonly name = "left-out-folders"

  /** `isDevice` returns true if a device of this node has the folder; `add` makes it one. */
  constructor(
    private folders: readonly string[],
    private readonly isDevice: (path: string) => boolean,
    private readonly add: (path: string) => Promise<unknown>,
  ) {}

  progress(): string {
    return this.folders.length === 0
      ? "no new folder is left out"
      : `${plural(this.folders.length, "new folder")} left out`
  }

  /** Throws the failure of a folder that cannot be added yet, after it has tried the others. */
  async step(): Promise<StepOutcome> {
    this.folders = this.folders.filter(path => !this.isDevice(path))
    const failures: unknown[] = []
    for (const path of this.folders) await this.add(path).catch((error: unknown) => failures.push(error))
    const failed = failures.filter(error => !isFailure(error, "conflict"))
    if (failed.length > 0) throw failed[0]
    if (this.folders.length === 0) return "idle"
    // Shards still move after an earlier change.
    return failures.length > 0 ? "throttled" : "busy"
  }
}
