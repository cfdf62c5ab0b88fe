/**
 * A simulated machine that serves a store as the real process does: it uses the configured folders
 * (those in the bays), opens the store in them or creates one, and runs all background work.
 */
import { CheckpointExecutor } from "@hayloft/node/metadata/checkpoint-job.js"
import { isFailure, type Failure } from "@hayloft/base/failures.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { defaultPolicy } from "@hayloft/base/policy.js"
import { shapeOf } from "@hayloft/engine/block/index.js"
import { SPACE_LIMITS } from "@hayloft/base/space/space-core.js"
import { CALL_LIMITS, queuedDisk } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { supervise } from "@hayloft/base/life/index.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import { resolveConfig } from "@hayloft/node/config/config-core.js"
import { runStore, type RunningStore } from "@hayloft/server/run-store.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import { openStore } from "@hayloft/node/open/open-store.js"
import { InlineCompute, slabBytesOf } from "@hayloft/base/seams/compute/index.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import { CheckpointsInTurn } from "./checkpoints.js"
import { SimMachine, type MachineOptions } from "./machine.js"
import { ABORTED_WAITS, CHECKPOINTS } from "./settings.js"

const BLOCK_BYTES = 128 * KIB
/** Scenarios last minutes. */
const CHECKPOINT_REST_MS = 500
const DEVICES_MAX = 9

/** Small, but many times the preallocated part of a log, as in a real store. */
const RESERVE_BYTES = 12 * MIB
const SPACES = {
  ...SPACE_LIMITS,
  reserveBytesMin: RESERVE_BYTES,
  reserveBytesMax: RESERVE_BYTES,
  reserveBytesMaxShared: RESERVE_BYTES,
  fullBytes: 1 * MIB,
}

/** The options of an operator who configures only the folders. */
const configOf = (folders: readonly string[]): ServeConfig => ({
  ...resolveConfig({
    flags: { data: folders },
    environment: {},
    file: undefined,
    workingFolder: "/",
    hostName: "here",
  }),
  blockBytes: BLOCK_BYTES,
})

export interface ServedStore extends RunningStore {
  readonly opened: OpenedStore
}

export class StoreMachine extends SimMachine {
  private readonly locks = new SimLocks()
  private process = this.locks.boot()
  private running: Promise<void> = Promise.resolve()
  /** The operator's options for the next start. */
  folders: string[]
  /** A folder that is being added: the next start finds out whether it has become part of the store. */
  joining: string | undefined
  /** Failed assertions: bugs in the program, which ended the process. */
  readonly mistakes: unknown[] = []

  constructor(options: MachineOptions) {
    super(options)
    this.folders = Array.from({ length: options.devices }, (_, i) => `/d${i + 1}`)
  }

  /** Serves as a new process until `kill`, `crash` or `stop`. Throws the errors of the start. */
  async start(): Promise<ServedStore> {
    const { joining } = this
    this.joining = undefined
    if (joining === undefined) return this.serve(this.folders)
    try {
      const store = await this.serve([...this.folders, joining])
      if (store.opened.record.devices.some(({ pathHint }) => pathHint === joining)) this.folders.push(joining)
      return store
    } catch (error) {
      if (!isFailure(error, "foreignFolder")) throw error
      // The error advises a start without the folder.
      return this.serve(this.folders)
    }
  }

  private async serve(folders: readonly string[]): Promise<ServedStore> {
    this.process.kill()
    this.process = this.locks.boot()
    const locks = this.process
    const { clock, disk, stores, random, signal, watch } = this.begin()
    const { telemetry } = this
    const config = configOf(folders)
    const opened = await openStore({ clock, random, disk, locks }, config, undefined)
    const slabBytes = Math.max(
      ...Array.from({ length: DEVICES_MAX }, (_, i) => slabBytesOf(shapeOf(defaultPolicy(i + 1)), BLOCK_BYTES)),
    )
    const queued = () => queuedDisk(disk, clock, CALL_LIMITS, watch, () => undefined)
    const store = await runStore(
      { clock, random, disk, stores, locks, telemetry },
      opened,
      config,
      (failure: Failure) => {
        throw failure
      },
      {
        compute: new InlineCompute(makeCodec, { slabBytes, poolBytes: 8 * MIB }),
        checkpoints: new CheckpointsInTurn(new CheckpointExecutor(queued, stores, random.fork("checkpoints"))),
        limits: {
          deviceOptions: { checkpointLimits: { ...CHECKPOINTS, restMsMin: CHECKPOINT_REST_MS } },
          spaceLimits: SPACES,
          abortedWaits: ABORTED_WAITS,
        },
      },
    )
    this.running = supervise(store.backgroundServices, clock, random, telemetry.log, signal).catch(
      (error: unknown) => void this.mistakes.push(error),
    )
    return { ...store, opened }
  }

  async stop(store: ServedStore): Promise<void> {
    store.opened.stalls.end()
    await this.endWith([this.running], () => store.stop())
    for (const device of store.opened.devices) await device.release().catch(() => undefined)
  }
}
