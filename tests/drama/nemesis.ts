/**
 * Nemesis: changes the devices of a store while clients use it, one act after the other, never beyond what the
 * store reports as survivable. A seed determines acts and targets; the nemesis waits until the store is ready for
 * an act instead of choosing another one, so that the same seed gives the same acts.
 *
 * Limits  At most DEVICES_SPARE additional devices; WAIT_MS until the store is ready for an act.
 */
import { cp, mkdir, readdir, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { setTimeout as later } from "node:timers/promises"
import type { ServerProcess } from "../harness/server.js"
import type { Shim } from "../faults/shim.js"
import { SeededRandom } from "../kill/seeded-random.js"
import type { Clients } from "./clients.js"
import { rot } from "./rot.js"
import type { Operator, Status } from "./operator.js"

const WAIT_MS = 180_000
const DEVICES_SPARE = 2
const PAUSE_MS = { least: 300, spread: 2_500 } as const
/** A change is interrupted within this time. */
const MIDDLE_MS = 1_500
const KILLED_IN_THE_MIDDLE_ONE_IN = 3
const BREAK_MS = { least: 500, spread: 2_500 } as const
/** Longer than the store waits for a device. */
const HANG_MS = 15_000

const ACTS = [
  "kill",
  "loseAndReplace",
  "loseWhileStopped",
  "add",
  "remove",
  "drainAndTakeBack",
  "setWeight",
  "setRedundancy",
  "takeAway",
  "copyToPutBackLater",
  "rot",
  "failWrites",
  "hang",
] as const
export type Act = (typeof ACTS)[number]

/** Throws for an unknown name. */
export function parseActs(text: string): readonly Act[] {
  return text.split(",").map(name => {
    const act = ACTS.find(each => each === name)
    if (act === undefined) throw new Error(`no act "${name}"; there are: ${ACTS.join(", ")}`)
    return act
  })
}

const POLICIES = ["automatic", "replica:2", "replica:3", "ec:2+1", "ec:2+2", "ec:3+2"] as const
const DEVICES_NEEDED: Readonly<Record<(typeof POLICIES)[number], number>> = {
  automatic: 1,
  "replica:2": 2,
  "replica:3": 3,
  "ec:2+1": 3,
  "ec:2+2": 4,
  "ec:3+2": 5,
}

interface StaleCopy {
  readonly folder: string
  readonly copy: string
  /** The number of acts before it is put back. */
  left: number
  /** The device has left the store, or another one is in its folder. */
  isOver: boolean
}

/** The server that is attacked, and its users. */
interface Target {
  readonly root: string
  /** The folders for the next start. */
  readonly folders: string[]
  readonly server: ServerProcess
  readonly clients: Clients
  readonly operator: Operator
  /** The shim is undefined if file calls cannot be intercepted on this machine. */
  readonly shim: Shim | undefined
}

export class Nemesis {
  private readonly random: SeededRandom
  private readonly bag: Act[] = []
  private policy: (typeof POLICIES)[number] = "automatic"
  private made: number
  private stale: StaleCopy | undefined
  /** Earlier file calls may hang until then. */
  private hangsUntilMs = 0
  readonly done = new Map<Act, number>()

  private readonly root: string
  private readonly folders: string[]
  private readonly server: ServerProcess
  private readonly clients: Clients
  private readonly operator: Operator
  private readonly shim: Shim | undefined

  constructor(
    { root, folders, server, clients, operator, shim }: Target,
    seed: number,
    private readonly log: (line: string) => void,
    private readonly acts: readonly Act[] = ACTS,
  ) {
    this.root = root
    this.folders = folders
    this.server = server
    this.clients = clients
    this.operator = operator
    this.shim = shim
    this.random = new SeededRandom(seed * 31 + 7)
    this.made = folders.length
    this.devicesMin = folders.length
  }

  private readonly devicesMin: number

  /** Plays one act, and pauses. */
  async act(): Promise<void> {
    const act = this.next()
    this.log(`act ${act}; ${this.folders.length} devices, ${this.policy}`)
    await this.perform(act)
    this.done.set(act, (this.done.get(act) ?? 0) + 1)
    if (this.stale) this.stale.left -= 1
    if (this.stale && this.stale.left <= 0) await this.putStaleCopyBack(this.stale)
    await later(PAUSE_MS.least + this.random.below(PAUSE_MS.spread))
  }

  /** Acts that have begun but not ended. */
  async end(): Promise<void> {
    if (this.stale) await this.putStaleCopyBack(this.stale)
  }

  /** Each act once before any repeats, in random order. */
  private next(): Act {
    if (this.bag.length === 0) {
      this.bag.push(...this.acts.filter(act => this.shim !== undefined || (act !== "failWrites" && act !== "hang")))
    }
    const [act = "kill"] = this.bag.splice(this.random.below(this.bag.length), 1)
    if (act === "add" && this.folders.length >= this.devicesMin + DEVICES_SPARE) return "remove"
    if (act === "remove" && this.folders.length <= this.leastDevices) return "add"
    return act
  }

  private get leastDevices(): number {
    return Math.max(3, this.devicesMin - 1, DEVICES_NEEDED[this.policy])
  }

  private perform(act: Act): Promise<void> {
    switch (act) {
      case "kill":
        return this.kill()
      case "loseAndReplace":
        return this.loseAndReplace()
      case "loseWhileStopped":
        return this.loseWhileStopped()
      case "add":
        return this.add()
      case "remove":
        return this.remove()
      case "drainAndTakeBack":
        return this.drainAndTakeBack()
      case "setWeight":
        return this.setWeight()
      case "setRedundancy":
        return this.setRedundancy()
      case "takeAway":
        return this.takeAway()
      case "copyToPutBackLater":
        return this.copy()
      case "rot":
        return this.rot()
      case "failWrites":
        return this.bend("write", { errno: "EIO" })
      case "hang":
        return this.bend("write", { delayMs: HANG_MS })
    }
  }

  private newFolder(): string {
    this.made += 1
    return join(this.root, `disk${this.made}`)
  }

  private victim(): string {
    return this.random.pick(this.folders)
  }

  /** Waits until the store reports that one more folder may be lost without data loss. */
  private async untilSafe(): Promise<void> {
    await this.operator.until("safe", WAIT_MS, ({ safety, devices }) => {
      const isLoss = safety.safeFolderLosses < 1
      return isLoss ? `${safety.sentence} ${devices.map(({ id, state }) => `${id} ${state}`).join()}` : undefined
    })
  }

  /** Waits until shards no longer move, so that a layout may be changed; they may start again before the change. */
  private async untilStill(): Promise<void> {
    await this.operator.until("still", WAIT_MS, ({ layout, devices }) => {
      if (layout.transition !== undefined) return `shards move: ${JSON.stringify(layout.transition)}`
      const leaver = devices.find(({ state }) => state === "decommissioning")
      return leaver && `${leaver.id} is still decommissioning`
    })
  }

  private untilOut(id: string): Promise<Status> {
    return this.operator.until("offline", WAIT_MS, ({ devices }) => {
      const device = devices.find(each => each.id === id)
      return device?.state === "offline" ? undefined : `device ${id} is ${device?.state}`
    })
  }

  private async startAgain(): Promise<void> {
    await this.server.launch()
    this.clients.begin()
  }

  private async kill(): Promise<void> {
    await this.clients.whileServerEnds(() => this.server.kill())
    await this.startAgain()
  }

  private async stop(): Promise<void> {
    await this.clients.whileServerEnds(async () => {
      const mayHang = performance.now() < this.hangsUntilMs
      const code = await this.server.stop()
      // Only a signal can end a process whose calls hang.
      if (code !== 0 && !(code === null && mayHang))
        this.clients.record.violation(`SIGTERM ended the server with ${code}`)
    })
  }

  /** Sometimes kills the server in the middle of a change. */
  private async perhapsKill(): Promise<void> {
    const [isKilled, afterMs] = [this.random.below(KILLED_IN_THE_MIDDLE_ONE_IN) === 0, this.random.below(MIDDLE_MS)]
    if (!isKilled) return
    await later(afterMs)
    this.log(`killed in the middle, after ${afterMs} ms`)
    await this.kill()
  }

  private take(path: string): void {
    const at = this.folders.indexOf(path)
    if (at >= 0) this.folders.splice(at, 1)
    this.isAnother(path)
  }

  /** A copy of the folder no longer belongs to a device of the store. */
  private isAnother(path: string): void {
    if (this.stale?.folder === path) this.stale.isOver = true
  }

  private async loseAndReplace(): Promise<void> {
    const [lost, isElsewhere, isFolderLeft] = [this.victim(), this.random.below(2) === 0, this.random.below(2) === 0]
    await this.untilSafe()
    const { id } = await this.operator.deviceAt(lost)
    this.log(`rm -rf ${lost}${isFolderLeft ? "/*" : ""} (${id})`)
    await this.clear(lost, isFolderLeft)
    await this.untilOut(id)
    // The server has created a file in the meantime.
    await this.clear(lost, isFolderLeft)
    this.take(lost)
    // The next start looks for the lost device in the folders that it is given.
    const folder = isElsewhere ? this.newFolder() : lost
    await mkdir(folder, { recursive: true })
    this.folders.push(folder)
    // The decision does not know what devices lack that are being rebuilt; only the blocks do.
    await this.operator.runOnceMay(WAIT_MS, "device", "replace", id, folder, "--yes")
    await this.perhapsKill()
  }

  /** Empties the folder while the server runs, which may create new files in the meantime. */
  private async clear(folder: string, isFolderLeft: boolean): Promise<void> {
    const options = { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }
    if (!isFolderLeft) return rm(folder, options)
    for (const name of await readdir(folder)) await rm(join(folder, name), options)
  }

  private async loseWhileStopped(): Promise<void> {
    const lost = this.victim()
    await this.untilSafe()
    await this.stop()
    this.log(`an empty folder replaces ${lost}`)
    await rm(lost, { recursive: true, force: true })
    await mkdir(lost)
    this.isAnother(lost)
    await this.startAgain()
    // While other devices are rebuilding, a start does not accept an empty folder: a warning leaves it to the operator.
    const { id, state } = await this.operator.deviceAt(lost)
    if (state === "offline") await this.operator.runOnceMay(WAIT_MS, "device", "replace", id, lost, "--yes")
    await this.perhapsKill()
  }

  private async add(): Promise<void> {
    const folder = this.newFolder()
    await this.untilStill()
    this.folders.push(folder)
    await this.operator.runOnceMay(WAIT_MS, "device", "add", folder, "--yes")
    await this.perhapsKill()
  }

  private async remove(): Promise<void> {
    const folder = this.victim()
    await this.untilStill()
    // Only an active device can be drained.
    await this.operator.until("in use", WAIT_MS, ({ devices }) => {
      const state = devices.find(({ path }) => path === folder)?.state
      return state === "active" || state === "rebuilding" ? undefined : `${folder} is ${state}`
    })
    await this.operator.runOnceMay(WAIT_MS, "device", "remove", folder, "--yes")
    await this.perhapsKill()
    await this.operator.until("gone", WAIT_MS, ({ devices, layout }) => {
      const device = devices.find(({ path }) => path === folder)
      return device && `${folder} is ${device.state}: ${JSON.stringify(layout)}`
    })
    this.take(folder)
    await rm(folder, { recursive: true, force: true })
  }

  private async drainAndTakeBack(): Promise<void> {
    const folder = this.victim()
    await this.untilStill()
    if (this.folders.length <= this.leastDevices) return this.setWeightOf(folder, "3")
    await this.operator.runOnceMay(WAIT_MS, "device", "drain", folder, "--yes")
    await this.perhapsKill()
    await this.untilStill()
    await this.setWeightOf(folder, "1")
  }

  private async setWeight(): Promise<void> {
    const [folder, weight] = [this.victim(), 1 + this.random.below(30) / 10]
    await this.untilStill()
    await this.setWeightOf(folder, String(weight))
    await this.perhapsKill()
  }

  private async setWeightOf(folder: string, weight: string): Promise<void> {
    await this.operator.runOnceMay(WAIT_MS, "device", "set-weight", folder, weight, "--yes")
  }

  private async setRedundancy(): Promise<void> {
    const fitting = POLICIES.filter(policy => policy !== this.policy && DEVICES_NEEDED[policy] <= this.folders.length)
    const policy = this.random.pick(fitting)
    await this.untilStill()
    await this.operator.until("all here", WAIT_MS, ({ devices }) => {
      const away = devices.filter(({ state }) => state !== "active" && state !== "rebuilding")
      return away.length === 0 ? undefined : away.map(({ id, state }) => `${id} is ${state}`).join()
    })
    await this.operator.run("redundancy", "set", policy, "--yes")
    this.policy = policy
    await this.perhapsKill()
  }

  /** A disk that is missing at one start, and present again at a later one. */
  private async takeAway(): Promise<void> {
    const [folder, awayMs] = [this.victim(), BREAK_MS.least + this.random.below(BREAK_MS.spread)]
    await this.untilSafe()
    await this.stop()
    const away = `${folder}.away`
    this.log(`${folder} is away`)
    await rename(folder, away)
    const at = this.folders.indexOf(folder)
    this.folders.splice(at, 1)
    await this.startAgain()
    await later(awayMs)
    await this.stop()
    await rename(away, folder)
    this.folders.splice(at, 0, folder)
    await this.startAgain()
    await this.perhapsKill()
  }

  /** An image of a disk, which replaces the disk some acts later. */
  private async copy(): Promise<void> {
    const [folder, left] = [this.victim(), 2 + this.random.below(4)]
    if (this.stale !== undefined) return
    await this.stop()
    const copy = join(this.root, "stale")
    await cp(folder, copy, { recursive: true, preserveTimestamps: true })
    this.stale = { folder, copy, left, isOver: false }
    this.log(`copied ${folder}`)
    await this.startAgain()
  }

  private async putStaleCopyBack({ folder, copy, isOver }: StaleCopy): Promise<void> {
    this.stale = undefined
    if (isOver) return rm(copy, { recursive: true })
    await this.untilSafe()
    await this.stop()
    this.log(`a stale copy of ${folder} is put back`)
    await rm(folder, { recursive: true })
    await rename(copy, folder)
    await this.startAgain()
    await this.perhapsKill()
    // The copy contains damage that was repaired since.
    await this.verify((await this.operator.deviceAt(folder)).id)
  }

  /** Flips bytes of one disk while the store runs; a scrub must find them all before another disk may fail. */
  private async rot(): Promise<void> {
    const folder = this.victim()
    await this.untilSafe()
    const { id } = await this.operator.deviceAt(folder)
    this.log(`rot in ${folder} (${id}): ${(await rot(folder, this.random)).join(", ")}`)
    await this.perhapsKill()
    await this.verify(id)
  }

  private async verify(id: string): Promise<void> {
    const sinceMs = Date.now()
    await this.operator.run("scrub", "start", id)
    await this.operator.until("verified", WAIT_MS, ({ scrub = [] }) => {
      const found = scrub.find(({ device }) => device === id)
      return found !== undefined && found.oldestVerifiedMs >= sinceMs ? undefined : JSON.stringify(found)
    })
  }

  /** The disk fails its calls until the store takes it offline; then it works again, and rejoins automatically. */
  private async bend(call: "write", how: { errno: "EIO" } | { delayMs: number }): Promise<void> {
    const folder = this.victim()
    await this.untilSafe()
    const { id } = await this.operator.deviceAt(folder)
    this.log(`writes to ${folder} (${id}): ${JSON.stringify(how)}`)
    this.shim?.set([{ prefix: `${folder}/`, calls: [call, "fdatasync", "fsync"], nth: 1, forEver: true, how }])
    try {
      await this.untilOut(id)
    } finally {
      this.shim?.set([])
      if ("delayMs" in how) this.hangsUntilMs = performance.now() + how.delayMs
    }
    await this.perhapsKill()
    await this.operator.until("back", WAIT_MS, ({ devices }) => {
      const state = devices.find(each => each.id === id)?.state
      return state === "active" || state === "rebuilding" ? undefined : `device ${id} is ${state}`
    })
  }
}
