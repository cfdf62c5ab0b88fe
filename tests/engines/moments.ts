/**
 * Writers and readers at moments at the same time, on any engine: each command writes two keys, and each read must show, for
 * every pair, exactly what the commands up to its moment had written.
 */
import assert from "node:assert/strict"
import { isFailure } from "@hayloft/base/failures.js"
import { objectKeyOfText, parseAccountId, parseBucketName, type BucketId } from "@hayloft/base/ids.js"
import { NO_DETAILS } from "@hayloft/engine/format/objects/version-record.js"
import { command, type Metadata } from "@hayloft/engine/metadata/index.js"
import { createBucket, setSetting, setVersioning } from "@hayloft/objects/commands/bucket-commands-core.js"
import { NO_CHECKSUM, RowEditor, type NewVersion } from "@hayloft/objects/commands/row-editor-core.js"
import { MomentService } from "@hayloft/features/history/moments.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { SimRandom } from "@hayloft/base/seams/random/sim.js"
import "@hayloft/features/index.js"

const PAIRS = 4
const MAX = 100

const keysOf = (pair: number) => [objectKeyOfText(`a${pair}`), objectKeyOfText(`b${pair}`)] as const

const versionOf = (sizeBytes: number): NewVersion => ({
  isMarker: false,
  content: { kind: "inline" },
  payload: new Uint8Array(sizeBytes),
  sizeBytes,
  md5: new Uint8Array(16),
  parts: 0,
  random: new Uint8Array(8),
  checksum: NO_CHECKSUM,
  details: NO_DETAILS,
  storageClass: "STANDARD",
  isShared: false,
})

/** Writes both keys of a pair, and returns its commit timestamp. */
const putPair = command<[bucketId: BucketId, pair: number, sizeBytes: number], number>({
  name: "PutPair",
  decide(view, time, bucketId, pair, sizeBytes) {
    const [a, b] = keysOf(pair)
    const first = new RowEditor(view, time, bucketId, a)
    first.insert(versionOf(sizeBytes), "enabled")
    const second = new RowEditor(view, time, bucketId, b, 0, first)
    second.insert(versionOf(sizeBytes), "enabled")
    return { ...second.finish(), result: time.commitUs }
  },
})

interface Written {
  readonly pair: number
  readonly size: number
  readonly commitUs: number
}

interface Read {
  readonly atUs: number
  /** Writes that had been answered when the read was requested. */
  readonly answered: readonly Written[]
  readonly shown: ReadonlyMap<string, number>
}

export interface MomentsRun {
  readonly writes: readonly Written[]
  readonly reads: readonly Read[]
}

interface MomentsPlay {
  readonly rounds: number
  readonly wallMs: () => number
  readonly pause: (ms: number) => Promise<void>
}

/** Each process runs a writer and a reader; returns what they saw once all reads were repeated with the same result. */
export async function playMoments(
  processes: readonly { readonly metadata: Metadata }[],
  random: SimRandom,
  { rounds, wallMs, pause }: MomentsPlay,
): Promise<MomentsRun> {
  const [first] = processes
  assert.ok(first)
  const name = parseBucketName("moments")
  const made: Bucket = await first.metadata.run(
    createBucket({ name, owner: parseAccountId("root"), location: "", settings: new Map(), hasLock: false }),
  )
  await first.metadata.run(setVersioning(made.id, "enabled"))
  await first.metadata.run(setSetting(made.id, "history", "{}"))
  const bucket: Bucket = { ...made, versioning: "enabled", settings: ["history"] }
  const sinceUs = await first.metadata.closeTo()
  const [writes, reads]: [Written[], Read[]] = [[], []]
  const show = async (metadata: Metadata, atUs: number): Promise<ReadonlyMap<string, number>> => {
    const moments = new MomentService(metadata)
    const page = await moments.list({ bucket, prefix: "", delimiter: "", after: "", max: MAX }, atUs)
    return new Map(
      page.entries.flatMap(entry => (entry.kind === "object" ? [[entry.object.key, entry.object.sizeBytes]] : [])),
    )
  }
  let size = 0
  const write = async (metadata: Metadata): Promise<void> => {
    const pair = random.below(PAIRS)
    const own = (size += 1)
    const commitUs = await metadata.run(putPair(bucket.id, pair, own))
    writes.push({ pair, size: own, commitUs })
  }
  const read = async (metadata: Metadata): Promise<void> => {
    const answered = [...writes]
    // Timestamps of writes under way are about this late; the read closes the moment itself.
    const latestUs = Math.max(sinceUs, ...answered.map(({ commitUs }) => commitUs))
    // Clients take the present from a clock; commits under way may have earlier timestamps.
    const clockUs = Math.max(wallMs() * 1000, sinceUs)
    const kind = random.below(4)
    const atUs =
      kind === 0
        ? await metadata.closeTo()
        : kind === 1
          ? latestUs
          : kind === 2
            ? clockUs
            : sinceUs + random.below(latestUs - sinceUs + 1)
    reads.push({ atUs, answered: kind < 2 ? answered : [], shown: await show(metadata, atUs) })
  }
  const work = async (metadata: Metadata, step: (metadata: Metadata) => Promise<void>): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      await step(metadata)
      if (random.below(3) === 0) await pause(random.below(20))
    }
  }
  await Promise.all(
    processes.flatMap(({ metadata }) => [work(metadata, write), work(metadata, write), work(metadata, read)]),
  )
  for (const [at, { atUs, shown }] of reads.entries()) {
    const { metadata }: { readonly metadata: Metadata } = processes[at % processes.length] ?? first
    assert.deepEqual(await show(metadata, atUs), shown, `the moment ${atUs} is another one when it is read again`)
  }
  await assert.rejects(first.metadata.closeTo((await first.metadata.closeTo()) + 3_600_000_000), error =>
    isFailure(error, "invalidArgument"),
  )
  return { writes, reads }
}

/** Throws unless every read shows exactly the writes up to its moment, and all that had been answered before it. */
export function checkMoments({ writes, reads }: MomentsRun): void {
  const ordered = [...writes].sort((a, b) => a.commitUs - b.commitUs)
  const places = new Set(ordered.map(({ pair, commitUs }) => `${pair} ${commitUs}`))
  assert.equal(places.size, ordered.length, "two commands on the same keys have one timestamp")
  for (const { atUs, answered, shown } of reads) {
    const expected = new Map<string, number>()
    for (const { pair, size, commitUs } of ordered) {
      if (commitUs > atUs) continue
      for (const key of keysOf(pair)) expected.set(key, size)
    }
    const sorted = new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1)))
    assert.deepEqual(shown, sorted, `at ${atUs}`)
    for (const { commitUs } of answered) assert.ok(commitUs <= atUs, "a write that was answered before is missing")
  }
}
