/** A store with a bucket whose small objects are packed, for tests. */
import { PACKING_SERVICE } from "./services.js"
import assert from "node:assert/strict"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import type { PackingSetting } from "@hayloft/engine/format/objects/packing-rows.js"
import { decodeReferences, type ReferencesRecord } from "@hayloft/engine/format/objects/references-record.js"
import type { Disk } from "@hayloft/base/seams/disk/contract.js"
import type { PutResult } from "@hayloft/objects/contract.js"
import { open } from "@hayloft/upkeep/repair/testing-repair.js"
import { rowsIn, type Scene } from "../dedup/testing-dedup.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"

export const never = new AbortController().signal
const COLD_AT_ONCE: PackingSetting = { afterSeconds: 0, maxBytes: 65_536 }
/** The block size of these stores: objects of up to an eighth are packed. */
const BLOCK = 128 * KIB

/** A disk that calls `note` before each read and write of a file, which waits for the promise that it returns. */
export const observing =
  (note: (call: "read" | "write", path: string) => Promise<unknown> | void) =>
  (disk: Disk): Disk =>
    withMethods(disk, {
      open: async (...args) => {
        const file = await disk.open(...args)
        return withMethods(file, {
          read: (...read) => {
            const waits = note("read", file.path)
            return waits === undefined ? file.read(...read) : waits.then(() => file.read(...read))
          },
          write: async (...written) => {
            await note("write", file.path)
            await file.write(...written)
          },
        })
      },
    })

/** The object with other methods in place of some of its own. */
const withMethods = <T extends object>(of: T, methods: Partial<T>): T =>
  new Proxy(of, {
    get(target, name) {
      const value: unknown = Reflect.get(name in methods ? methods : target, name)
      return typeof value === "function" ? (...args: unknown[]): unknown => Reflect.apply(value, target, args) : value
    },
  })

export async function opened(
  policy = "ec:2+1",
  setting: PackingSetting | undefined = COLD_AT_ONCE,
  {
    devices,
    behind,
    blockBytes = BLOCK,
  }: { devices?: number; behind?: (disk: Disk) => Disk; blockBytes?: number } = {},
): Promise<Scene> {
  const world = await open(policy, devices, blockBytes, behind)
  const { clock, services, home } = world
  await clock.runUntil(services.storeClock.start())
  if (setting !== undefined) await clock.runUntil(PACKING_SERVICE.of(services.core).set(home, setting))
  return { world, bucket: await services.buckets.open(home.name) }
}

/** A setting that was changed elsewhere is seen. */
export async function renew(scene: Scene): Promise<void> {
  scene.bucket = await scene.world.services.buckets.open(scene.bucket.name)
}

export const putting = ({ world, bucket }: Scene, key: string, bytes: Uint8Array): Promise<PutResult> =>
  world.services.objects.put({ ...world.putting(key, sourceOf(bytes)), bucket })

export const put = (scene: Scene, key: string, bytes: Uint8Array): Promise<PutResult> =>
  scene.world.clock.runUntil(putting(scene, key, bytes))

export const keyOf = (i: number): string => `k${String(i).padStart(4, "0")}`

/** Objects with different bytes and lengths, by their keys. */
export async function putMany(scene: Scene, count: number, bytesOf: (i: number) => number, from = 0) {
  const bodies = new Map<string, Buffer>()
  for (let i = from; i < from + count; i += 1) bodies.set(keyOf(i), Buffer.from(scene.world.random.bytes(bytesOf(i))))
  for (const [key, bytes] of bodies) await put(scene, key, bytes)
  return bodies
}

/** A new pass over the bucket, from its beginning to its end. */
export async function pass(scene: Scene): Promise<void> {
  const { clock } = scene.world
  await clock.advance(90_000)
  await scene.world.settle("packing")
}

export const packsIn = (scene: Scene): readonly ReferencesRecord[] =>
  rowsIn(scene, "references").flatMap(([, { value }]) => {
    const record = decodeReferences(value)
    return record.pack !== undefined && record.count > 0 ? [record] : []
  })

export async function assertBodies({ world }: Scene, bodies: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [key, bytes] of bodies) assert.ok((await world.get(key)).equals(bytes), `${key} has other bytes`)
}

export const removing = ({ world, bucket }: Scene, key: string) =>
  world.services.objects.remove({ bucket, key: objectKeyOfText(key), conditions: {} })

export const bodyIn = (bodies: ReadonlyMap<string, Buffer>, i: number): Buffer =>
  must(bodies.get(keyOf(i)), "it was put")
