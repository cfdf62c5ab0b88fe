/**
 * A faulty device: the behaviour of all calls of one device, as an interceptor with a state set from outside.
 *
 * Promises  `lost`: names do not exist; calls on open files, and hung calls, fail with EIO. `hung`: calls wait
 *           until the state changes, and then follow the new one. `slow`: each call takes `slowMs` longer.
 *           `full`: nothing grows, free space is 0, existing bytes can be read, overwritten and removed.
 *           `rotten`: one read in `rotOneIn` is damaged. `failing`: all changes fail with EIO, reads work.
 *           `readOnly`: all changes fail with EROFS. `well`: no effect.
 */
import type { Clock } from "../clock/contract.js"
import type { Random } from "../random/contract.js"
import type { Bend, DiskCall, Intercept } from "./calls.js"
import { failureOfCode } from "./codes.js"
import { kindOfCall } from "./faults.js"
import { ROT_KINDS, rotsByChance } from "./rot.js"

export type DeviceCondition = "well" | "lost" | "hung" | "slow" | "full" | "rotten" | "failing" | "readOnly"

interface FaultyDeviceOptions {
  /** Only paths below this are affected; all paths if absent. */
  readonly folder?: string
  readonly slowMs?: number
  readonly rotOneIn?: number
}

const CHANGES = new Set(["write", "truncate", "sync", "name", "syncFolder", "makeFolder"])
const LOOKS_UP = new Set(["open", "list", "create", "remove", "rename", "makeFolder", "syncFolder", "exists", "space"])

export class FaultyDevice {
  #state: DeviceCondition = "well"
  /** Wakes the hung calls. */
  #changed: (() => void)[] = []
  readonly #rots: Intercept

  constructor(
    private readonly clock: Clock,
    private readonly random: Random,
    private readonly options: FaultyDeviceOptions = {},
  ) {
    this.#rots = rotsByChance(ROT_KINDS, random)
  }

  get state(): DeviceCondition {
    return this.#state
  }

  become(state: DeviceCondition): void {
    this.#state = state
    const waiting = this.#changed
    this.#changed = []
    for (const wake of waiting) wake()
  }

  /** How many calls hang now. */
  get hanging(): number {
    return this.#changed.length
  }

  readonly intercept: Intercept = call => {
    const { folder } = this.options
    if (folder !== undefined && call.path !== folder && !call.path.startsWith(`${folder}/`)) return
    return this.#decide(call)
  }

  #decide(call: DiskCall): Bend | void | Promise<Bend | void> {
    switch (this.#state) {
      case "well":
        return
      case "lost":
        throw failureOfCode(LOOKS_UP.has(kindOfCall(call)) ? "ENOENT" : "EIO", call.path)
      case "hung":
        return new Promise<void>(resolve => this.#changed.push(resolve)).then(() => this.#decide(call))
      case "slow":
        return new Promise(resolve => void this.clock.alarm(this.options.slowMs ?? 1_000, resolve))
      case "full":
        return this.#full(call)
      case "rotten":
        if (call.kind !== "read" && call.kind !== "readSync") return
        return this.random.below(this.options.rotOneIn ?? 3) === 0 ? this.#rots(call) : undefined
      case "failing":
        if (CHANGES.has(call.kind)) throw failureOfCode("EIO", call.path)
        return
      case "readOnly":
        if (CHANGES.has(call.kind)) throw failureOfCode("EROFS", call.path)
    }
  }

  #full(call: DiskCall): Bend | void {
    const kind = kindOfCall(call)
    if (kind === "create") throw failureOfCode("ENOSPC", call.path)
    if (kind === "write") return { isFull: true }
    if (kind === "space") return { space: { freeBytes: 0 } }
  }
}
