/** Buckets with deduplication over devices in memory, damage to their rows, and jobs that run to their end: for tests. */
import assert from "node:assert/strict"
import type { Family } from "../../base/families.js"
import { objectKeyOfText, type RowKey } from "../../base/ids.js"
import { KIB } from "../../base/limits.js"
import { command, type MetadataRow } from "../../metadata/index.js"
import { must } from "../../base/assert.js"
import { open, type World } from "../jobs/testing-repair.js"
import { ALL_OBJECT_ROWS } from "../queries/extent-rows.js"
import type { Bucket } from "../contract.js"
import { sourceOf } from "../testing-services.js"
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
      name === "dedup" ? services.dedup.setDedup(home, true) : services.buckets.setSetting(home, name, "{}"),
    )
  return { world, bucket: await services.buckets.open(home.name) }
}

/** Time goes on, for decisions too. */
export async function wait({ world }: Scene, ms: number): Promise<void> {
  await world.clock.advance(ms)
  world.tablet.aheadMs += ms
}

export const put = ({ world, bucket }: Scene, key: string, bytes: Uint8Array) =>
  world.clock.runUntil(world.services.objects.put({ ...world.putting(key, sourceOf(bytes)), bucket }))

export const copy = ({ world, bucket }: Scene, from: string, to: string) =>
  world.clock.runUntil(
    world.services.objects.copy({
      ...{ bucket, key: objectKeyOfText(to), conditions: {}, signal: never },
      ...{ source: { bucket, key: objectKeyOfText(from), conditions: {} }, replaceAttributes: undefined },
      ...{ replaceTags: undefined, checksumAlgorithm: undefined },
    }),
  )

export const rowsOf = ({ world }: Scene, family: Family): readonly (readonly [RowKey, MetadataRow])[] => [
  ...world.tablet.committed.range(family, ALL_OBJECT_ROWS),
]

/** Writes a row as no command of the store would: damage. Undefined: it is deleted. */
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

export interface Ran {
  readonly rows: number
  readonly findings: readonly string[]
  readonly changing: readonly string[]
  readonly repaired: number
}

/** A job to its end, in pages. `between` runs after each page. */
export async function runJob(
  scene: Scene,
  kind: DedupJob,
  { reads = false, between }: { readonly reads?: boolean; readonly between?: () => Promise<void> } = {},
): Promise<Ran> {
  const { world, bucket } = scene
  const work = world.services.dedupUpkeep.open(bucket, { kind, reads, run: `run ${world.random.below(2 ** 30)}` })
  const [findings, changing]: [string[], string[]] = [[], []]
  let [rows, repaired] = [0, 0]
  for (let cursor: string | undefined = ""; cursor !== undefined;) {
    const page: Awaited<ReturnType<typeof work.itemsAfter>> = await work.itemsAfter(cursor, undefined, PAGE_ITEMS)
    for (const item of page.items) {
      const outcome = await world.clock.runUntil(work.work(item))
      rows += 1
      const named = `${work.describe(item).key}: `
      if (typeof outcome === "string") findings.push(named + outcome)
      else if (outcome !== undefined && "changing" in outcome) changing.push(named + outcome.changing)
      else if (outcome !== undefined) repaired += 1
    }
    const again = await work.itemsAfter(cursor, page.next, Infinity)
    assert.deepEqual(again.next, page.next, "a page that is repeated ends where it ended")
    await between?.()
    cursor = page.next
  }
  return { rows, findings, changing, repaired }
}

export async function settle({ world }: Scene): Promise<void> {
  for (const job of ["collector", "orphans", "collector"]) await world.settle(job)
  await world.removeAborted()
}
