/** Starts that were cut off at any write, and what the next start makes of them. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { isFailure } from "../../base/failures.js"
import { parseAccessKeyId } from "../../base/ids.js"
import { readControlRecord } from "../../device/index.js"
import { encodeControlRecord, type ControlRecord } from "../../format/control-record.js"
import { SimClock } from "../../seams/clock/sim.js"
import { SimDisk } from "../../seams/disk/index.js"
import { SimLocks } from "../../seams/lock/sim.js"
import { SimRandom } from "../../seams/random/sim.js"
import type { ServeConfig } from "../config.js"
import { openStore, type OpenedStore } from "./open-store.js"

const FOLDERS = ["/a", "/b"]
const config: ServeConfig = {
  ...{ dataFolders: FOLDERS, policy: undefined, matrix: undefined, metaCopies: undefined, blockBytes: undefined },
  ...{ listen: { host: "127.0.0.1", port: 0 }, adminListen: { host: "127.0.0.1", port: 0 }, domains: [] },
  ...{ region: undefined, tls: undefined, masterKeyFile: undefined, rootKey: undefined },
  log: { level: "error", format: "text" },
}
const rootKey = { accessKeyId: parseAccessKeyId("CHANGED"), secret: "changed secret" }

class Machine {
  readonly disk = new SimDisk()
  private readonly locks = new SimLocks()
  private process = this.locks.boot()
  private starts = 0

  /** A start in a new process; the one before is dead. */
  start(asked: ServeConfig = config): Promise<OpenedStore> {
    this.disk.kill()
    this.process.kill()
    this.process = this.locks.boot()
    this.starts += 1
    return openStore(new SimClock(), new SimRandom(this.starts), this.disk.boot(), this.process, asked, undefined)
  }

  /** A start whose process dies at its nth change of a file or name; false if that came first. */
  async startUntil(nth: number, asked: ServeConfig): Promise<boolean> {
    let changes = 0
    const died = new Promise<false>(resolve =>
      this.disk.intercept(call => {
        if (call.kind === "write" || call.kind === "name") changes += 1
        if (changes < nth) return
        this.disk.kill()
        resolve(false)
      }),
    )
    const ended = await Promise.race([this.start(asked).then(() => true), died])
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

test("a first start that is cut off anywhere begins again, and every device has the record then", async () => {
  for (let nth = 1; ; nth += 1) {
    const machine = new Machine()
    const done = await machine.startUntil(nth, config)
    const { record } = await machine.start()
    await machine.assertEverywhere(record, `cut off at change ${nth}`)
    if (done) break
  }
})

test("a change of the root key that is cut off anywhere is on every device, or on none, after the next start", async () => {
  for (let nth = 1; ; nth += 1) {
    const machine = new Machine()
    await machine.start()
    const done = await machine.startUntil(nth, { ...config, rootKey })
    const { record } = await machine.start()
    await machine.assertEverywhere(record, `cut off at change ${nth}`)
    if (done) break
  }
})

test("a store that has run and lost its control record is not made anew", async () => {
  const machine = new Machine()
  await machine.start()
  const disk = machine.disk.boot()
  for (const folder of FOLDERS) {
    for (const name of ["control", "control.second"]) await disk.remove(`${folder}/${name}`)
    await disk.makeFolder(`${folder}/log`)
  }
  await assert.rejects(machine.start(), error => isFailure(error, "corruptRecord"))
})
