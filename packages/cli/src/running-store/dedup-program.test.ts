/** The commands of deduplication and packing, as an operator types them, against the admin API over a store in memory. */
import { FEATURE_ROW_JOBS } from "@hayloft/features/index.js"
import assert from "node:assert/strict"
import { beforeEach, test } from "node:test"
import { FakeStore, ROOT } from "@hayloft/admin/testing-store.js"
import { parseBucketName } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { MemoryMetadata } from "@hayloft/engine/metadata/testing-engine.js"
import type { ItemWork } from "@hayloft/features/operator/index.js"
import { StartedJobs, type OpenWork } from "@hayloft/features/user-jobs/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"
import { SimRandom } from "@hayloft/base/seams/random/sim.js"
import { SimTelemetry } from "@hayloft/base/seams/telemetry/sim.js"
import { adminOver, operatorOf } from "../testing-admin.js"

const CLOCK = new RealClock()

type Outcome = Awaited<ReturnType<ItemWork<unknown>["work"]>>

/** The outcomes of the job's rows, and the job that was opened. */
let outcomes: readonly Outcome[] = []
let opened: Parameters<OpenWork>[0] | undefined
let store = new FakeStore()
let jobs = startedJobs()

/** Jobs whose rows have the outcomes. Each request works on them. */
function startedJobs(): StartedJobs {
  const made = new StartedJobs({
    clock: CLOCK,
    random: new SimRandom(3),
    log: new SimTelemetry().log,
    metadata: new MemoryMetadata(),
    prepare: async () => undefined,
    dueTimeMs: () => undefined,
    rowKinds: new Set(FEATURE_ROW_JOBS.flatMap(({ kinds }) => kinds)),
  })
  const open: OpenWork = async job => {
    opened = job
    return {
      prepare: async () => undefined,
      itemsAfter: async () => ({ items: outcomes.map((_, at) => at), bytes: 0, scanned: 0, next: undefined }),
      work: async at => outcomes[Number(at)],
      describe: at => ({ key: `key ${String(at)}`, versionId: "" }),
    }
  }
  made.attach(
    open,
    () => [],
    () => undefined,
  )
  return made
}

const operator = operatorOf(async ({ method }) => {
  if (method === "GET") await jobs.step(NEVER)
  return adminOver({ ...store.parts, startedJobs: jobs })
})
const hayloft = (...args: readonly string[]) => operator(args)

beforeEach(async () => {
  store = new FakeStore()
  jobs = startedJobs()
  outcomes = [undefined, undefined]
  opened = undefined
  await store.buckets.create({ name: parseBucketName("backups"), owner: ROOT, location: "", settings: new Map() })
})

test("stat shows what is saved and kept, also as JSON", async () => {
  const { code, out, error } = await hayloft("dedup", "stat", "backups")
  assert.deepEqual([code, error], [0, ""])
  for (const line of [
    /^bucket +backups\n/,
    /\ndeduplication +on\n/,
    /\ntheir bytes +100\.0 MiB\n/,
    /\nown bytes +36\.0 MiB\n/,
    /\nreferenced bytes +64\.0 MiB\n/,
    /\nratio +2\.27 times\n/,
    /\nof which gone +1, 8\.0 MiB, of which 2\.0 MiB are referenced\n/,
    /\nblocks in the index +12\n/,
  ])
    assert.match(out, line)
  const json: unknown = JSON.parse((await hayloft("dedup", "stat", "backups", "--json")).out)
  assert.match(JSON.stringify(json), /^\{"bucket":"backups","state":"on","versions":10,.*"indexedBlocks":12\}$/)
  assert.equal((await hayloft("dedup", "stat", "none")).code, 3)
})

test("verify waits, says that all agree, and exits with 0", async () => {
  const { code, out } = await hayloft("dedup", "verify", "backups", "--read", "--rate", "50")
  assert.equal(code, 0)
  assert.match(out, /\nresult +2 of 2 rows compared: all agree\n/)
  assert.match(opened?.request ?? "", /"kind":"verify","read":true,"itemsPerSecond":50/)
})

test("findings are listed, and make the exit code 1; rows that kept changing do not", async () => {
  outcomes = [undefined, "2 segments reference it, and 1 is counted"]
  const found = await hayloft("dedup", "verify", "backups")
  assert.equal(found.code, 1)
  assert.match(found.out, /\nresult +2 of 2 rows compared: 1 finding\n/)
  assert.match(found.out, /key 1: 2 segments reference it, and 1 is counted\n/)
  assert.match(found.error, /1 finding; hayloft jobs show dedup-verify-\w+ lists them/)
  outcomes = [undefined, { changing: "it changed" }]
  const changing = await hayloft("dedup", "verify", "backups")
  assert.equal(changing.code, 0)
  assert.match(changing.out, /\nresult +2 of 2 rows compared: all agree; 1 kept changing\n/)
  assert.match(changing.out, /\nchanging +1 row\n/)
  assert.match(changing.out, /key 1: it changed\n/)
})

test("rebuild and compact say what they have changed", async () => {
  outcomes = [{ isRepaired: true }, undefined, { isRepaired: true }]
  for (const kind of ["rebuild", "compact"]) {
    const { code, out } = await hayloft("dedup", kind, "backups")
    assert.equal(code, 0)
    assert.match(out, /\nresult +3 of 3 rows compared: 2 changed\n/)
    assert.match(opened?.request ?? "", new RegExp(`"kind":"${kind}"`))
  }
})

test("without waiting, the job is named", async () => {
  const { code, out } = await hayloft("dedup", "verify", "backups", "--no-wait")
  assert.equal(code, 0)
  assert.match(out, /^started as job dedup-verify-\w{8}; hayloft jobs watch dedup-verify-\w{8} shows the progress\n$/)
})

test("a rate that is no number is refused before anything is started", async () => {
  assert.equal((await hayloft("dedup", "verify", "backups", "--rate", "fast")).code, 2)
  assert.equal(opened, undefined)
})

test("pack stat shows packs, what is in use and what is left out; pack undo waits for its job", async () => {
  const { code, out, error } = await hayloft("pack", "stat", "backups")
  assert.deepEqual([code, error], [0, ""])
  for (const line of [
    /\npacking +on\n/,
    /\nsetting +after 2,592,000 s, up to 64\.0 KiB\n/,
    /\nlast pass +ended 1970-01-01T00:01:01\.000Z; 300 objects packed since the setting was made\n/,
    /\npacked objects +200\n/,
    /\nshare in use +66 %\n/,
    /\nleft out: written too recently +1,000\n/,
  ])
    assert.match(out, line)
  outcomes = [{ isRepaired: true }, undefined]
  const undone = await hayloft("pack", "undo", "backups", "--rate", "50")
  assert.equal(undone.code, 0, undone.error)
  assert.match(undone.out, /\nresult +2 of 2 rows compared: 1 changed\n/)
  assert.match(opened?.request ?? "", /"bucket":"backups".*"itemsPerSecond":50/)
})
