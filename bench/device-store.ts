/**
 * A store of several folders whose devices are lost and replaced: performs the operator's actions through the admin
 * API, and measures the time that the store needs.
 */
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import type { z } from "zod"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { must } from "@hayloft/base/assert.js"
import { AdminClient } from "@hayloft/client/admin-client.js"
import type { S3Access } from "@hayloft/client/signed-call.js"
import { StoreProcess } from "@hayloft/client/testing-store-process.js"
import { unsealRootCredentials } from "@hayloft/cli/credentials.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"

type Device = z.output<typeof STORE_SCHEMAS.DEVICES>["devices"][number]

const LOOK_EVERY_MS = 50
const WAIT_MS_MAX = 30 * 60_000

export class DeviceStore {
  private process: StoreProcess | undefined
  private admin: AdminClient | undefined
  private folders: readonly string[]
  private made = 0

  constructor(
    private readonly folder: string,
    count: number,
    private readonly redundancy: string,
    private readonly clock: Clock,
    private readonly signal: AbortSignal,
  ) {
    this.folders = Array.from({ length: count }, () => this.newFolder())
  }

  private newFolder(): string {
    this.made += 1
    return join(this.folder, `disk${this.made}`)
  }

  get dataFolders(): readonly string[] {
    return this.folders
  }

  async start(): Promise<S3Access> {
    for (const folder of this.folders) await mkdir(folder, { recursive: true })
    return this.launch()
  }

  private async launch(): Promise<S3Access> {
    const args = ["--redundancy", this.redundancy, "--log-level", "warn"]
    const process = await StoreProcess.start({ dataFolders: this.folders, args }, this.clock)
    this.process = process
    const { adminEndpoint } = await process.ready()
    const { adminToken } = await unsealRootCredentials(this.folders, undefined)
    this.admin = new AdminClient({ endpoint: adminEndpoint, token: adminToken }, this.signal)
    return process.access()
  }

  async stop(): Promise<void> {
    this.admin?.close()
    await this.process?.stop()
    this.process = undefined
  }

  async restart(): Promise<S3Access> {
    await this.stop()
    return this.launch()
  }

  /**
   * Loses the first folder while the store runs, and replaces it by an empty one; nothing is repaired yet. Resolves
   * with the empty folder.
   */
  async replaceFirst(): Promise<string> {
    const lost = must(this.folders[0], "a store has a folder")
    const { id } = await this.deviceAt(lost)
    await this.client.post("/v1/repair/pause", {})
    await rm(lost, { recursive: true, maxRetries: 10, retryDelay: 100 })
    await this.until(async () => (await this.deviceAt(lost)).state === "offline")
    const empty = this.newFolder()
    await mkdir(empty)
    await this.client.post(`/v1/devices/${id}/replace`, { path: empty })
    this.folders = [...this.folders.slice(1), empty]
    return empty
  }

  /** Starts repair; resolves once the replaced device has all its shards. */
  async repair(empty: string): Promise<void> {
    await this.client.post("/v1/repair/resume", {})
    await this.until(async () => (await this.deviceAt(empty)).state === "active")
  }

  /** Verifies everything once; resolves with the bytes. */
  async scrub(): Promise<number> {
    const before = new Map((await this.scrubs()).map(({ device, passStartedMs }) => [device, passStartedMs]))
    await this.client.post("/v1/scrub/start", {})
    await this.until(async () => {
      const scrubs = await this.scrubs()
      return scrubs.every(each => each.state === "waiting" && each.passStartedMs !== before.get(each.device))
    })
    return (await this.scrubs()).reduce((sum, { progress }) => sum + progress.doneBytes, 0)
  }

  async setThrottle(job: string, throttle: number): Promise<void> {
    await this.client.post(`/v1/jobs/${encodeURIComponent(job)}/throttle`, { throttle })
  }

  private async scrubs() {
    return STORE_SCHEMAS.SCRUBS.parse(await this.client.get("/v1/scrub")).scrub
  }

  private get client(): AdminClient {
    return must(this.admin, "the store runs")
  }

  private async deviceAt(path: string): Promise<Device> {
    const { devices } = STORE_SCHEMAS.DEVICES.parse(await this.client.get("/v1/devices"))
    const found = devices.find(device => device.path === path)
    if (found === undefined) throw new Error(`the store has no device at ${path}`)
    return found
  }

  private async until(isOver: () => Promise<boolean>): Promise<void> {
    const deadlineMs = this.clock.monotonicMs() + WAIT_MS_MAX
    while (!(await isOver())) {
      this.signal.throwIfAborted()
      if (this.clock.monotonicMs() > deadlineMs) throw new Error("the store does not regain its redundancy")
      await this.clock.sleep(LOOK_EVERY_MS, this.signal)
    }
  }
}
