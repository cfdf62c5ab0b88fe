/**
 * A store in this process on real folders, with a bucket of small objects, for tests of many starts: a process of its
 * own for each start would take most of their time. Folders, locks, devices and background work are those of
 * `hayloft serve`; without are its ports, and its threads, whose work this one does.
 */
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { KIB, MIB } from "@hayloft/base/limits.js"
import { TEST_SEED } from "@hayloft/base/testing-seed.js"
import { runHere } from "@hayloft/cli/testing-here.js"
import type { ServeConfig } from "@hayloft/node/config/config.js"
import { resolveConfig } from "@hayloft/node/config/config-core.js"
import { SPACE_LIMITS } from "@hayloft/base/space/space-core.js"
import { CHECKPOINT_LIMITS } from "@hayloft/engine/device/index.js"
import { makeCodec } from "@hayloft/engine/erasure/index.js"
import { supervise } from "@hayloft/base/life/index.js"
import { runStore, type RunningStore } from "@hayloft/server/run-store.js"
import { CheckpointExecutor } from "@hayloft/node/metadata/checkpoint-job.js"
import type { OpenedStore } from "@hayloft/node/open/contract.js"
import { openStore } from "@hayloft/node/open/open-store.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { InlineCompute } from "@hayloft/base/seams/compute/index.js"
import { RealDisk } from "@hayloft/base/seams/disk/index.js"
import { RealLocks } from "@hayloft/base/seams/folder-lock/index.js"
import { RealRandom } from "@hayloft/base/seams/random/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { TableStores } from "@hayloft/engine/table/index.js"
import { bodyBytes, find, putRequest, sourceOf } from "../../sim/world/bodies.js"
import { CheckpointsInTurn } from "../../sim/world/checkpoints.js"
import { missingToBeWhole } from "../../sim/world/wholeness.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { until } from "@hayloft/base/seams/clock/testing-until.js"

const BUCKET = parseBucketName("survivors")
const BLOCK_BYTES = 128 * KIB
const RESERVE_BYTES = MIB
/** The files that keep space free are small. */
const SPACES = {
  ...SPACE_LIMITS,
  reserveBytesMin: RESERVE_BYTES,
  reserveBytesMax: RESERVE_BYTES,
  reserveBytesMaxShared: RESERVE_BYTES,
}
/** Few rows make few checkpoints: each waits less than in a store of users. */
const CHECKPOINTS = { ...CHECKPOINT_LIMITS, quietMs: 500, tidyMs: 250 }
const POLL_MS = 250

interface Life {
  readonly opened: OpenedStore
  readonly running: RunningStore
  readonly background: Promise<void>
  readonly over: AbortController
}

async function releaseAll(folders: readonly { release(): Promise<void> }[]): Promise<void> {
  // One that was lost or taken back is released already.
  for (const folder of folders) await folder.release().catch(() => undefined)
}

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

export class NearStore {
  private readonly bodies = new Map<string, Buffer>()
  private life: Life | undefined
  private starts = 0
  /** The log and the metrics of the last start. */
  telemetry = new SimTelemetry()

  constructor(private readonly sizes: readonly number[]) {}

  /** Starts on these folders; returns the lines that the start shows. */
  async start(folders: readonly string[]): Promise<readonly string[]> {
    assert.equal(this.life, undefined, "it runs already")
    this.starts += 1
    this.telemetry = new SimTelemetry()
    const [clock, disk, locks, stores] = [new RealClock(), new RealDisk(), new RealLocks(), new TableStores()]
    const seams = { clock, disk, locks, stores, random: new RealRandom(), telemetry: this.telemetry }
    const config = configOf(folders)
    const opened = await openStore(seams, config, undefined)
    const running = await this.run(seams, opened, config).catch(async (error: unknown) => {
      await releaseAll(opened.devices)
      throw error
    })
    const over = new AbortController()
    const { log } = this.telemetry
    const background = supervise(running.backgroundServices, clock, seams.random, log, over.signal)
    this.life = { opened, running, background, over }
    return opened.notes
  }

  private run(seams: Parameters<typeof runStore>[0], opened: OpenedStore, config: ServeConfig): Promise<RunningStore> {
    const { disk, stores } = seams
    const onStolen = (failure: Error): never => assert.fail(failure)
    return runStore(seams, opened, config, onStolen, {
      compute: new InlineCompute(makeCodec, { slabBytes: 8 * BLOCK_BYTES, poolBytes: 8 * MIB }),
      checkpoints: new CheckpointsInTurn(new CheckpointExecutor(() => disk, stores, new SimRandom(this.starts))),
      limits: { deviceOptions: { checkpointLimits: CHECKPOINTS }, spaceLimits: SPACES },
    })
  }

  async stop(): Promise<void> {
    const { life } = this
    if (life === undefined) return
    this.life = undefined
    life.over.abort()
    await life.background
    await life.running.stop()
    await releaseAll([...life.opened.devices, ...life.running.taken])
  }

  async startAgain(folders: readonly string[]): Promise<readonly string[]> {
    await this.stop()
    return this.start(folders)
  }

  /** Returns the message with which a start on these folders is refused. */
  async refused(folders: readonly string[]): Promise<string> {
    await this.stop()
    const before = this.logged()
    const refusal: unknown = await this.start(folders).catch((error: unknown) => error)
    assert.ok(isFailure(refusal), `the start was not refused: ${String(refusal)}; the process before:\n${before}`)
    return refusal.message
  }

  get now(): RunningStore {
    return must(this.life, "it runs").running
  }

  private async bucket(): Promise<Bucket> {
    return this.now.engine.services.buckets.open(BUCKET)
  }

  /** Makes the bucket, and the first objects in it. */
  async make(folders: readonly string[]): Promise<void> {
    await this.start(folders)
    await this.now.engine.services.buckets.create({ name: BUCKET, owner: parseAccountId("root"), location: "" })
    await this.put("first")
  }

  async put(prefix: string): Promise<void> {
    const bucket = await this.bucket()
    for (const size of this.sizes) {
      const [key, body] = [`${prefix}/${size}`, bodyBytes(`${prefix} ${this.starts} ${TEST_SEED}`, size)]
      await this.now.engine.services.objects.put(putRequest(bucket, objectKeyOfText(key), sourceOf(body)))
      this.bodies.set(key, body)
    }
  }

  async remove(prefix: string): Promise<void> {
    const bucket = await this.bucket()
    for (const key of [...this.bodies.keys()].filter(each => each.startsWith(`${prefix}/`))) {
      await this.now.engine.services.objects.remove({ bucket, key: objectKeyOfText(key), conditions: {} })
      this.bodies.delete(key)
    }
  }

  /** Checks that exactly these objects exist, with their bytes. */
  async check(): Promise<void> {
    const bucket = await this.bucket()
    for (const [key, wanted] of this.bodies) {
      const got = await find(this.now.engine, bucket, objectKeyOfText(key))
      assert.ok(got?.bytes.equals(wanted), `${key} has its bytes`)
    }
    const page = { bucket, prefix: "", delimiter: "", after: "", max: 1_000 }
    const { entries } = await this.now.engine.services.objects.list(page)
    assert.deepEqual(
      entries.flatMap(entry => (entry.kind === "object" ? [String(entry.object.key)] : [])),
      [...this.bodies.keys()].sort(),
    )
  }

  /** States of the devices by folder. */
  get states(): ReadonlyMap<string, string> {
    return new Map(this.now.engine.recordManager.record.devices.map(({ pathHint, state }) => [pathHint, state]))
  }

  /** Waits until this is so. */
  async until(isSo: () => boolean, message: () => string): Promise<void> {
    await until(() => `${message()}\n${this.logged("device_cannot_return_yet")}`, isSo, POLL_MS)
  }

  /** Waits until every device is active and has all its data and metadata. */
  async whole(): Promise<void> {
    const missing = () => missingToBeWhole(this.now.engine)
    await this.until(
      () => missing() === undefined,
      () => `not whole: ${missing()}`,
    )
  }

  /** The log entries of this event, or all of them, since the last start, as text. */
  logged(event?: string): string {
    return this.telemetry
      .entries(event)
      .map(entry => JSON.stringify(entry))
      .join("\n")
  }
}

/** Runs the work with the names of this many folders and a store, which stops after it. */
export function withNearStore(
  count: number,
  sizes: readonly number[],
  work: (store: NearStore, folders: readonly string[]) => Promise<void>,
): Promise<void> {
  return withFolder(async folder => {
    const store = new NearStore(sizes)
    try {
      await work(store, dataFolders(folder, count))
    } finally {
      await store.stop()
    }
  })
}

/** Runs the command that a refusal names, with further words. */
export async function obey(refusal: string, ...more: readonly string[]): Promise<string> {
  const words = /: hayloft (device [^\n]+)/.exec(refusal)?.[1]?.split(" ") ?? assert.fail(refusal)
  const { code, out, error } = await runHere([...words, ...more])
  assert.equal(code, 0, error)
  return out.toString()
}
