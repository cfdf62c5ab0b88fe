/**
 * The remote stores of a running process: those that the operator's file names, which is read again while the store runs. See
 * decision 136.
 *
 * Promises  A file that cannot be read, or says what is not valid, changes nothing until it can. A store whose entry is as it was
 *           keeps its connections and its counts. Requests under way at one that has changed or is gone go on.
 */
import { asFailure, fail } from "@hayloft/base/failures.js"
import type { BackgroundService } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { Log } from "@hayloft/base/seams/telemetry/contract.js"
import { readRecordFile } from "@hayloft/engine/device/index.js"
import { parseRemoteStores, RemoteStore, type RemoteStoreConfig } from "@hayloft/features/remote-buckets/index.js"

export type RemoteStoreConfigs = ReadonlyMap<string, RemoteStoreConfig>

/** How often the file is read. */
const READ_EVERY_MS = 5_000

/** Returns undefined if remote buckets are switched off. Throws `invalidConfig`. */
export async function readRemoteStores(disk: Disk, path: string | undefined): Promise<RemoteStoreConfigs | undefined> {
  if (path === undefined) return undefined
  const bytes = await readRecordFile(disk, path)
  if (bytes === undefined) throw fail("invalidConfig", { message: `the file of remote stores ${path} does not exist` })
  return parseRemoteStores(bytes, path)
}

interface ReadStoresParts {
  readonly clock: Clock
  readonly disk: Disk
  /** It is undefined if another thread of the process tells what has changed. */
  readonly log: Log | undefined
}

export class ReadStores implements BackgroundService {
  readonly name = "remote stores"
  /** By name. It changes while the process runs. */
  readonly stores = new Map<string, RemoteStore>()
  private problem: string | undefined

  /** `signal` fires once no request uses the store any more. */
  constructor(
    private readonly parts: ReadStoresParts,
    private readonly path: string | undefined,
    configs: RemoteStoreConfigs,
    private readonly signal: AbortSignal,
  ) {
    this.take(configs)
    signal.addEventListener("abort", () => this.stores.forEach(store => store.close()), { once: true })
  }

  /** The first look is at once: the file may be newer than what the process was started with. */
  async run(signal: AbortSignal): Promise<void> {
    for (; !signal.aborted; await this.parts.clock.sleep(READ_EVERY_MS, signal)) await this.look()
  }

  private async look(): Promise<void> {
    const { disk, log } = this.parts
    try {
      const configs = await readRemoteStores(disk, this.path)
      if (configs === undefined) return
      const changed = this.take(configs)
      this.problem = undefined
      if (changed.length > 0) log?.info("remote_stores_changed", { stores: changed.join(" ") })
    } catch (error) {
      const reason = asFailure(error).message
      if (reason !== this.problem) log?.warn("remote_stores_unreadable", { reason })
      this.problem = reason
    }
  }

  /** Returns the names that are new, changed or gone. */
  private take(configs: RemoteStoreConfigs): readonly string[] {
    const gone = [...this.stores.keys()].filter(name => !configs.has(name))
    for (const name of gone) this.stores.delete(name)
    const changed: string[] = gone
    for (const [name, config] of configs) {
      if (JSON.stringify(this.stores.get(name)?.config) === JSON.stringify(config)) continue
      // The former one is not closed: that would break off its requests.
      this.stores.set(name, new RemoteStore(name, config, this.parts.clock, this.signal))
      changed.push(name)
    }
    return changed
  }
}
