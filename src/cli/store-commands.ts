/**
 * Commands on a running store: status, nodes, layout, devices, redundancy, repair, scrub.
 *
 * Changes show their plan first and require a confirmation: `--yes`, or an answer at the terminal; a script without
 * `--yes` changes nothing. `--wait` waits until all shards are in their places.
 */
import { isAbsolute, resolve } from "node:path"
import type { z } from "zod"
import { JOB, STORE_SCHEMAS } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import { layoutText, nodesTable } from "./cluster-text.js"
import { confirm, type ConfirmOptions } from "./confirm.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { jobsTable } from "./jobs-text.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { stagedOf, type StagedOptions } from "./staged-options.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import {
  devicesTable,
  planText,
  classesText,
  redundancyText,
  lostText,
  pendingText,
  repairText,
  scrubTable,
  statusText,
  workText,
  type Device,
  type Status,
} from "./store-text.js"

export type StoreCommandOptions = StoreOptions & OutputOptions

export interface ChangeOptions extends StoreCommandOptions, ConfirmOptions {
  readonly dryRun?: boolean
  readonly wait?: boolean
}

export interface LossOptions extends ChangeOptions {
  readonly acceptLoss?: boolean
}

export interface OnNode {
  readonly node?: string
}

interface AddOptions extends ChangeOptions, OnNode {
  readonly weight: number | undefined
}

const WAIT_LOOK_MS = 1_000
/** Number of consecutive checks without remaining work that end the wait. */
const QUIET_CHECKS = 3
/** Long enough that a few digits typed by hand do not match another device. */
const ID_PREFIX_MIN = 4

export class StoreCommands {
  constructor(
    private readonly io: CliIo,
    private readonly options: StoreCommandOptions,
    private readonly signal: AbortSignal,
  ) {}

  async status(): Promise<void> {
    const status = await this.#with(statusOf)
    await this.#answer(status, statusText(status, this.io.clock.wallMs()))
    if (!status.health.ready) throw new CliError("failed", `not ready: ${status.health.reasons.join("; ")}`)
  }

  async devices(): Promise<void> {
    const devices = await this.#with(devicesOf)
    await answerList(this.io, this.options, devices, devicesTable(devices))
  }

  async nodes(): Promise<void> {
    const nodes = checked(STORE_SCHEMAS.NODES, await this.#with(client => client.get("/v1/nodes")))
    await this.#answer(nodes, nodesTable(nodes))
  }

  changeNode(name: string, word: "drain" | "remove" | "use", options: ChangeOptions): Promise<void> {
    return this.#change(options, async () => [`/v1/nodes/${encodeURIComponent(name)}/${word}`, {}])
  }

  forgetNode(name: string, options: LossOptions): Promise<void> {
    const body = { acceptLoss: options.acceptLoss === true }
    return this.#change(options, async () => [`/v1/nodes/${encodeURIComponent(name)}/forget`, body])
  }

  async layout(): Promise<void> {
    const layout = checked(STORE_SCHEMAS.LAYOUT_DETAILS, await this.#with(client => client.get("/v1/layout")))
    await this.#answer(layout, layoutText(layout, workText))
  }

  async changeLayout(staged: StagedOptions, options: ChangeOptions): Promise<void> {
    const changes = await stagedOf(staged, this.io.workingFolder)
    await this.#change(options, async client => {
      const devices = await devicesOf(client)
      const found = changes.map(change =>
        "id" in change ? { ...change, id: this.#findIn(devices, change.id).id } : change,
      )
      return ["/v1/layout", { changes: found }]
    })
  }

  revertLayout(options: ChangeOptions): Promise<void> {
    return this.#change(options, async () => ["/v1/layout/revert", {}])
  }

  addDevice(folder: string, { weight, node, ...options }: AddOptions): Promise<void> {
    const place = this.#folderOn(folder, node)
    return this.#change(options, async () => ["/v1/devices", { ...place, ...(weight === undefined ? {} : { weight }) }])
  }

  /** A folder of the machine that is asked, or of a node. */
  #folderOn(folder: string, node: string | undefined): { readonly path: string; readonly node?: string } {
    if (node === undefined) return { path: resolve(this.io.workingFolder, folder) }
    if (!isAbsolute(folder))
      throw new CliError("usage", `"${folder}": pass the absolute path of the folder on node ${node}`)
    return { path: folder, node }
  }

  useDevice(device: string, options: ChangeOptions): Promise<void> {
    return this.#changeDevice(options, device, "use", {})
  }

  drainDevice(device: string, options: ChangeOptions): Promise<void> {
    return this.#changeDevice(options, device, "drain", {})
  }

  removeDevice(device: string, options: ChangeOptions): Promise<void> {
    return this.#changeDevice(options, device, "remove", {})
  }

  forgetDevice(device: string, options: LossOptions): Promise<void> {
    return this.#changeDevice(options, device, "forget", { acceptLoss: options.acceptLoss === true })
  }

  replaceDevice(device: string, folder: string, options: LossOptions & OnNode): Promise<void> {
    const place = this.#folderOn(folder, options.node)
    return this.#changeDevice(options, device, "replace", { ...place, acceptLoss: options.acceptLoss === true })
  }

  setWeight(device: string, weight: number, options: ChangeOptions): Promise<void> {
    return this.#changeDevice(options, device, "weight", { weight })
  }

  async checkDevice(device: string): Promise<void> {
    const check = await this.#with(async client => {
      const { id } = await this.#find(client, device)
      return checked(STORE_SCHEMAS.DEVICE_CHECK, await client.post(`/v1/devices/${id}/check`, {}))
    })
    await this.#answer(check, `device ${check.id} is ${check.state}: ${check.finding}\n`)
  }

  async redundancy(): Promise<void> {
    const redundancy = checked(STORE_SCHEMAS.REDUNDANCY, await this.#with(client => client.get("/v1/redundancy")))
    await this.#answer(redundancy, redundancyText(redundancy))
  }

  setRedundancy(policy: string, bucket: string | undefined, options: ChangeOptions): Promise<void> {
    return this.#change(options, async () => [
      "/v1/redundancy",
      { policy, ...(bucket === undefined ? {} : { bucket }) },
    ])
  }

  async classes(): Promise<void> {
    const redundancy = checked(STORE_SCHEMAS.REDUNDANCY, await this.#with(client => client.get("/v1/redundancy")))
    await answerList(this.io, this.options, redundancy.classes, classesText(redundancy))
  }

  setClass(storageClass: string, policy: string, options: ChangeOptions): Promise<void> {
    return this.#change(options, async () => ["/v1/redundancy/class", { storageClass, policy }])
  }

  async repair(word: "status" | "pause" | "resume"): Promise<void> {
    const value = await this.#with(client =>
      word === "status" ? client.get("/v1/repair") : client.post(`/v1/repair/${word}`, {}),
    )
    const repair = checked(STORE_SCHEMAS.REPAIR, value)
    await this.#answer(repair, `${repairText(repair)}\n${lostText(repair)}`)
  }

  async scrub(word: "status" | "start" | "pause", device: string | undefined): Promise<void> {
    const value = await this.#with(async client => {
      if (word === "status") return client.get("/v1/scrub")
      const id = device === undefined ? undefined : (await this.#find(client, device)).id
      return client.post(`/v1/scrub/${word}`, id === undefined ? {} : { device: id })
    })
    const { scrub } = checked(STORE_SCHEMAS.SCRUBS, value)
    await answerList(this.io, this.options, scrub, scrubTable(scrub, this.io.clock.wallMs()))
  }

  async listPending(): Promise<void> {
    const pending = checked(STORE_SCHEMAS.PENDING_UPLOADS, await this.#with(client => client.get("/v1/pending")))
    await answerList(this.io, this.options, pending.uploads, pendingText(pending, this.io.clock.wallMs()))
  }

  async resumeOrphans(): Promise<void> {
    const job = checked(JOB, await this.#with(client => client.post("/v1/orphans/resume", {})))
    await this.#answer(job, jobsTable([job]))
  }

  #changeDevice(options: ChangeOptions, device: string, word: string, body: object): Promise<void> {
    return this.#change(options, async client => {
      const { id } = await this.#find(client, device)
      return [`/v1/devices/${id}/${word}`, body]
    })
  }

  /** Plans, shows the plan, asks, changes, and waits if requested. */
  #change(
    options: ChangeOptions,
    requestOf: (client: AdminClient) => Promise<readonly [path: string, body: object]>,
  ): Promise<void> {
    return this.#with(async client => {
      const [path, body] = await requestOf(client)
      const planned = checked(STORE_SCHEMAS.CHANGE, await client.post(path, { ...body, dryRun: true }))
      if (options.dryRun === true) return this.#answer(planned, planText(planned.plan))
      const { confirmBy, lockedBuckets } = planned.plan
      await confirm(this.io, options, planText(planned.plan), { name: confirmBy, lockedBuckets })
      const confirmation = { ...(confirmBy && { confirm: confirmBy }), ...(lockedBuckets && { lockedBuckets }) }
      const made = checked(STORE_SCHEMAS.CHANGE, await client.post(path, { ...body, ...confirmation }))
      if (options.wait === true) await this.#waitUntilSettled(client)
      await this.#answer(made, options.wait === true ? "done\n" : startedText(made))
    })
  }

  async #waitUntilSettled(client: AdminClient): Promise<void> {
    let [shown, quiet] = ["", 0]
    // The work of a change may take a moment to show.
    while (quiet < QUIET_CHECKS) {
      const left = workLeft(await statusOf(client))
      quiet = left === undefined ? quiet + 1 : 0
      if (this.io.errorIsTerminal && left !== undefined && left !== shown) this.io.error(`\r\x1b[K${left}`)
      shown = left ?? shown
      await this.io.clock.sleep(WAIT_LOOK_MS, this.signal)
      this.signal.throwIfAborted()
    }
    if (this.io.errorIsTerminal && shown !== "") this.io.error("\r\x1b[K")
  }

  async #find(client: AdminClient, text: string): Promise<Device> {
    return this.#findIn(await devicesOf(client), text)
  }

  #findIn(devices: readonly Device[], text: string): Device {
    return findDevice(devices, text, resolve(this.io.workingFolder, text))
  }

  #with<T>(use: (client: AdminClient) => Promise<T>): Promise<T> {
    return withAdmin(this.io, this.options, this.signal, use)
  }

  #answer(value: unknown, text: string): Promise<void> {
    return answer(this.io, this.options, value, text)
  }
}

async function statusOf(client: AdminClient): Promise<Status> {
  return checked(STORE_SCHEMAS.STATUS, await client.get("/v1/status"))
}

async function devicesOf(client: AdminClient): Promise<z.output<typeof STORE_SCHEMAS.DEVICES>["devices"]> {
  return checked(STORE_SCHEMAS.DEVICES, await client.get("/v1/devices")).devices
}

interface Findable {
  readonly id: string
  readonly path: string
  readonly node?: string | undefined
}

/**
 * Finds a device by id, by the beginning of one, by folder or NODE:FOLDER, or by folder names in its path that no other
 * device has. Throws if none or several match.
 */
export function findDevice<T extends Findable>(devices: readonly T[], text: string, path: string): T {
  const named = devices.filter(device => device.path === path || `${device.node}:${device.path}` === text)
  const exact = devices.find(({ id }) => id === text) ?? named[0]
  if (named.length > 1 && exact === named[0]) {
    throw new CliError("notFound", `"${text}" is a folder of several nodes; pass NODE:FOLDER, or the id of the device`)
  }
  if (exact !== undefined) return exact
  const inPath = text === "" ? [] : devices.filter(device => `${device.path}/`.includes(`/${text}/`))
  const [within, other] = inPath
  if (within !== undefined && other === undefined) return within
  const begun = text.length < ID_PREFIX_MIN ? [] : devices.filter(({ id }) => id.startsWith(text.toLowerCase()))
  const [found, another] = begun
  if (found !== undefined && another === undefined) return found
  const ofSeveral = another === undefined ? "is in the paths of several devices" : "matches the ids of several devices"
  const isKnown = another !== undefined || other !== undefined
  const what = isKnown ? ofSeveral : "is not a device of this store"
  throw new CliError("notFound", `"${text}" ${what}; hayloft device list shows them`)
}

const startedText = ({ job }: z.output<typeof STORE_SCHEMAS.CHANGE>): string =>
  `started; hayloft status shows the progress${job === undefined ? "" : `, and hayloft jobs watch ${job.id}`}\n`

/** The unfinished work of a change; undefined if there is none. */
function workLeft({ layout, devices, reencoding, repair }: Status): string | undefined {
  const coming = devices.filter(({ state }) => state === "rebuilding" || state === "decommissioning")
  const { transition } = layout
  if (transition === undefined && coming.length === 0 && reencoding === undefined) return undefined
  const works = [
    ...(transition?.progress === undefined ? [] : [`moving ${workText(transition.progress)}`]),
    ...(reencoding === undefined ? [] : [`re-encoding ${workText(reencoding)}`]),
    ...(repair === undefined || repair.progress.remainingBytes === 0 ? [] : [`repair ${workText(repair.progress)}`]),
  ]
  return works.length === 0 ? "waiting for shards to move" : works.join("; ")
}
