/** Commands on a running store that are not calls alone: on devices that a stopped store may have, and on several changes of the layout. */
import { isAbsolute, resolve } from "node:path"
import { devicesTable, type Device } from "@hayloft/admin/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { CliError } from "../exit-codes.js"
import type { CliIo } from "../io.js"
import { devicesOf, namedDevice } from "../stopped-store/named-device.js"
import { planAndChange, type ChangeOptions } from "./plan-changes.js"
import { answerList, type OutputOptions } from "../output.js"
import { stagedOf, type StagedOptions } from "./staged-options.js"
import { withAdmin, type StoreOptions } from "../stores.js"

export type StoreCommandOptions = StoreOptions & OutputOptions

export interface LossOptions extends ChangeOptions {
  readonly acceptLoss?: boolean
}

export interface OnNode {
  readonly node?: string
}

export class StoreCommands {
  constructor(
    private readonly io: CliIo,
    private readonly options: StoreCommandOptions,
    private readonly signal: AbortSignal,
  ) {}

  async devices(): Promise<void> {
    const devices = await this.#with(devicesOf)
    await answerList(this.io, this.options, devices, devicesTable(devices))
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

  /** A folder of the machine that is asked, or of a node. */
  #folderOn(folder: string, node: string | undefined): { readonly path: string; readonly node?: string } {
    if (node === undefined) return { path: resolve(this.io.workingFolder, folder) }
    if (!isAbsolute(folder))
      throw new CliError("usage", `"${folder}": pass the absolute path of the folder on node ${node}`)
    return { path: folder, node }
  }

  forgetDevice(device: string, options: LossOptions): Promise<void> {
    return this.#changeDevice(options, device, "forget", { acceptLoss: options.acceptLoss === true })
  }

  replaceDevice(device: string, folder: string, options: LossOptions & OnNode): Promise<void> {
    const place = this.#folderOn(folder, options.node)
    return this.#changeDevice(options, device, "replace", { ...place, acceptLoss: options.acceptLoss === true })
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
      await planAndChange(this.io, client, options, this.signal, more => client.post(path, { ...body, ...more }))
    })
  }

  async #find(client: AdminClient, text: string): Promise<Device> {
    return this.#findIn(await devicesOf(client), text)
  }

  #findIn(devices: readonly Device[], text: string): Device {
    return namedDevice(this.io, devices, text)
  }

  #with<T>(use: (client: AdminClient) => Promise<T>): Promise<T> {
    return withAdmin(this.io, this.options, this.signal, use)
  }
}
