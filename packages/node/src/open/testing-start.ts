/** Starts of a store on a simulated disk, which may be cut off at any write, for tests. */
import assert from "node:assert/strict"
import { readControlRecord, Stalls } from "@hayloft/engine/device/index.js"
import { encodeControlRecord, type ControlRecord } from "@hayloft/engine/format/device/control-record.js"
import { SimClock } from "@hayloft/base/seams/clock/sim.js"
import { SimDisk } from "@hayloft/base/seams/disk/index.js"
import { SimLocks } from "@hayloft/base/seams/folder-lock/sim.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import type { ServeConfig } from "../config/index.js"
import type { OpenedStore } from "./contract.js"
import type { MasterKeyFiles } from "./secrets.js"
import { openStore } from "./open-store.js"

export const FOLDERS = ["/a", "/b"]
export const config: ServeConfig = {
  accessLog: undefined,
  tracing: undefined,
  dataFolders: FOLDERS,
  policy: undefined,
  matrix: undefined,
  metaCopies: undefined,
  blockBytes: undefined,
  cluster: undefined,

  listen: { host: "127.0.0.1", port: 0 },
  adminListen: { host: "127.0.0.1", port: 0 },
  adminHosts: [],
  publicUrl: undefined,
  corsOrigins: [],
  publicMetrics: false,
  buckets: [],
  users: [],
  hasConsole: true,
  domains: [],

  region: undefined,
  tls: undefined,
  website: undefined,
  filters: [],
  swift: undefined,
  k2vListen: undefined,
  coordination: false,
  transforms: false,
  transformResultsBytesMax: 0,
  hotCopies: undefined,
  remotes: undefined,
  remoteCacheBytesMax: 0,
  queueListen: undefined,
  masterKeyFile: undefined,
  nextMasterKeyFile: undefined,
  rootKey: undefined,
  refuseSingleCopy: false,
  refuseSignatureV2: false,
  allowPublicBuckets: false,
  allowAcls: false,
  ignoreAcls: false,
  ignoreUnknownRoles: false,
  encryptNewBuckets: false,
  encryptAtRest: false,
  allowSseCWithoutTls: false,
  allowLocalIdentityProviders: false,
  consoleSignIn: undefined,
  ldap: undefined,
  threads: 0,
  profile: "standard",
  scrubDays: 30,
  abandonedUploadDays: 7,
  lifecycleDayMs: undefined,
  auditSinks: { file: undefined, webhook: undefined, bucket: undefined },
  keyServices: { vault: undefined, aws: undefined, keepMs: 300_000 },
  moveBytesPerSecondMax: 1e9,
  metadataBackupEveryMs: 3_600_000,
  erasedKeysKeptMs: 3_600_000,
  shutdown: { drainMs: 0, stopMs: 30_000 },
  existingStore: false,
  log: { level: "error", format: "text" },
}
export class StartMachine {
  /** Incarnations that each start reserves for front threads. */
  reserved = 0
  private readonly locks = new SimLocks()
  private process = this.locks.boot()

  constructor(
    readonly disk = new SimDisk(),
    private starts = 0,
  ) {}

  /** Another machine that has had the same starts. */
  copy(): StartMachine {
    return new StartMachine(new SimDisk(this.disk.medium.copy()), this.starts)
  }

  /** A start in a new process; the one before is dead. */
  start(
    requested: ServeConfig = config,
    clock = new SimClock(),
    { current, next }: MasterKeyFiles = { current: undefined },
    stalls = new Stalls(),
  ): Promise<OpenedStore> {
    this.disk.kill()
    this.process.kill()
    this.process = this.locks.boot()
    this.starts += 1
    const { reserved } = this
    return openStore(
      { clock, random: new SimRandom(this.starts), disk: this.disk.boot(), locks: this.process, stalls, reserved },
      requested,
      current,
      next,
    )
  }

  /** Returns for each folder whether the process of the last start holds it. */
  async ownersOf(folders: readonly string[]): Promise<readonly boolean[]> {
    const owners = folders.map(folder => this.process.ownerOf(folder))
    return (await Promise.all(owners)).map(owner => owner !== undefined)
  }

  /** A start whose process dies at its nth change of a file or name; false if it completed first. */
  startUntil(nth: number, requested: ServeConfig): Promise<boolean> {
    return this.runUntil(nth, () => this.start(requested))
  }

  /** Kills the process at its nth change of a file or name; false if the work completed first. */
  async runUntil(nth: number, work: () => Promise<unknown>): Promise<boolean> {
    let changes = 0
    const died = new Promise<false>(resolve =>
      this.disk.intercept(call => {
        if (call.kind === "write" || call.kind === "name") changes += 1
        if (changes < nth) return
        this.disk.kill()
        resolve(false)
      }),
    )
    const ended = await Promise.race([work().then(() => true), died])
    this.disk.intercept(() => undefined)
    return ended
  }

  async assertEverywhere(record: ControlRecord, when: string): Promise<void> {
    const disk = this.disk.boot()
    for (const folder of FOLDERS) {
      const found = await readControlRecord(disk, folder)
      assert.ok(found && !(found instanceof Error), `${folder} has a record, ${when}`)
      assert.deepEqual(Buffer.from(encodeControlRecord(found)), Buffer.from(encodeControlRecord(record)), when)
    }
  }
}
