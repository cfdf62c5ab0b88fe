/** Buckets with deduplication over devices in memory, damage to their rows, and jobs that run to their end: for tests. */
import { DEDUP_SERVICES } from "./services.js"
import assert from "node:assert/strict"
import type { Family } from "@hayloft/base/rows/families.js"
import { objectKeyOfText, type RowKey } from "@hayloft/base/ids.js"
import { KIB } from "@hayloft/base/limits.js"
import { command, type MetadataRow } from "@hayloft/engine/metadata/index.js"
import { must } from "@hayloft/base/assert.js"
import { COMPLETE, putParts } from "@hayloft/upkeep/encrypt/testing-encrypt.js"
import { open, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { ALL_OBJECT_ROWS } from "@hayloft/objects/queries/extent-rows.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { sourceOf } from "@hayloft/objects/bodies/testing-bodies.js"
import type { DedupJob } from "./rows-core.js"

export const BLOCK = 64 * KIB
const PAGE_ITEMS = 7
const START_MS = 1_800_000_000_000
const never = new AbortController().signal

export interface Scene {
  world: World
  readonly bucket: Bucket
}

/** A bucket with these settings. */
export async function openScene(...settings: readonly ("append" | "dedup")[]): Promise<Scene> {
  const world = await open("ec:2+1", 3, BLOCK)
  const { clock, services, home, tablet } = world
  await clock.advance(START_MS - clock.wallMs())
  tablet.aheadMs = START_MS - 1_700_000_000_000
  await clock.runUntil(services.storeClock.start())
  for (const name of settings)
    await clock.runUntil(
      name === "dedup"
        ? DEDUP_SERVICES.of(services.core).dedup.setDedup(home, true)
        : services.buckets.setSetting(home, name, "{}"),
    )
  return { world, bucket: await services.buckets.open(home.name) }
}

/** Advances the time, for decisions too. */
export async function wait({ world }: Scene, ms: number): Promise<void> {
  await world.clock.advance(ms)
  world.tablet.aheadMs += ms
}

export const put = ({ world, bucket }: Scene, key: string, bytes: Uint8Array) =>
  world.clock.runUntil(world.services.objects.put({ ...world.putting(key, sourceOf(bytes)), bucket }))

/** An object that is uploaded in these parts. */
export async function multipart({ world }: Scene, key: string, bodies: readonly Uint8Array[]): Promise<void> {
  const { target, parts } = await putParts(world, key, bodies)
  await world.clock.runUntil(world.services.multipart.complete({ ...target, parts, ...COMPLETE }))
}

export const append = ({ world, bucket }: Scene, key: string, bytes: Uint8Array) =>
  world.clock.runUntil(
    world.services.appends.append({
      bucket,
      key: objectKeyOfText(key),
      tags: [],
      signal: never,
      body: sourceOf(bytes),
      conditions: {},
      attributes: { headers: {}, userMetadata: [] },
      atOffset: undefined,
      appendId: undefined,
    }),
  )

export const copying = ({ world, bucket }: Scene, from: string, to: string) =>
  world.services.objects.copy({
    bucket,
    key: objectKeyOfText(to),
    conditions: {},
    signal: never,
    source: { bucket, key: objectKeyOfText(from), conditions: {} },
    replaceAttributes: undefined,
    replaceTags: undefined,
    checksumAlgorithm: undefined,
  })

export const copy = (scene: Scene, from: string, to: string) => scene.world.clock.runUntil(copying(scene, from, to))

export const rowsOf = ({ world }: Scene, family: Family): readonly (readonly [RowKey, MetadataRow])[] => [
  ...world.tablet.committed.range(family, ALL_OBJECT_ROWS),
]

/** Damages a row: writes it as no command of the store would, or deletes it if the value is undefined. */
const damageRow = command<[family: Family, key: RowKey, value: Uint8Array | undefined], void>({
  name: "DamageRow",
  touches: (family, key) => [[family, key]],
  decide(view, _time, family, key, value) {
    view.get(family, key)
    return { writes: [{ family, key, value }], result: undefined }
  },
})

export async function damage(
  scene: Scene,
  family: Family,
  change: (value: Uint8Array) => Uint8Array | undefined,
  at = 0,
): Promise<RowKey> {
  const [rowKey, { value }] = must(rowsOf(scene, family)[at], "there is such a row")
  await scene.world.tablet.run(damageRow(family, rowKey, change(value)))
  return rowKey
}

interface Ran {
  readonly rows: number
  readonly findings: readonly string[]
  readonly changing: readonly string[]
  readonly repaired: number
}

interface Outcome {
  readonly finding?: string
  readonly changing?: string
  readonly isRepaired?: true
}

/** Runs a job to its end, and yields the outcomes of its rows in pages. */
export async function* pagesOf(
  { world, bucket }: Scene,
  kind: DedupJob,
  { reads = false } = {},
): AsyncGenerator<Outcome> {
  const run = `run ${world.random.below(2 ** 30)}`
  const work = DEDUP_SERVICES.of(world.services.core).dedupUpkeep.open(bucket, { kind, reads, run })
  for (let cursor: string | undefined = ""; cursor !== undefined;) {
    const page: Awaited<ReturnType<typeof work.itemsAfter>> = await work.itemsAfter(cursor, undefined, PAGE_ITEMS)
    for (const item of page.items) {
      const outcome = await work.work(item)
      const named = (text: string): string => `${work.describe(item).key}: ${text}`
      if (typeof outcome === "string") yield { finding: named(outcome) }
      else if (outcome === undefined) yield {}
      else yield "changing" in outcome ? { changing: named(outcome.changing) } : outcome
    }
    const again = await work.itemsAfter(cursor, page.next, Infinity)
    assert.deepEqual(again.next, page.next, "a page that is repeated ends where it ended")
    cursor = page.next
  }
}

/** Runs a job to its end, and returns what it found and changed. */
export async function runJob(scene: Scene, kind: DedupJob, options?: { readonly reads: boolean }): Promise<Ran> {
  const run = async (): Promise<Ran> => {
    const [findings, changing]: [string[], string[]] = [[], []]
    let [rows, repaired] = [0, 0]
    for await (const outcome of pagesOf(scene, kind, options)) {
      rows += 1
      if (outcome.finding !== undefined) findings.push(outcome.finding)
      if (outcome.changing !== undefined) changing.push(outcome.changing)
      if (outcome.isRepaired) repaired += 1
    }
    return { rows, findings, changing, repaired }
  }
  return scene.world.clock.runUntil(run())
}

export async function settle({ world }: Scene): Promise<void> {
  for (const job of ["collector", "orphans", "collector"]) await world.settle(job)
  await world.removeAborted()
}
