/**
 * Processes that end in the middle of a transaction, or of a rename to another bucket: at each command and each block that
 * is written, before and after it. The next process finds everything done, or nothing, and can do it again; nothing is left.
 */
import assert from "node:assert/strict"
import { test } from "node:test"
import type { Bucket } from "@hayloft/objects/contract.js"
import type { TransactionOperation } from "./contract.js"
import { Lifecycle } from "../lifecycle/lifecycle-job.js"
import { STORE_DAYS } from "@hayloft/objects/days.js"
import { noSignal, type World } from "@hayloft/upkeep/repair/testing-repair.js"
import { check, remove, rename, tokenOf, TwoBuckets } from "./testing-transactions.js"

/** Decisions of the engine in memory have times from this one on. */
const DECIDED_MS = 1_700_000_000_000
const HOUR_MS = 3_600_000
const NONE = { ifNoneMatch: ["*"] }
const TOKEN = tokenOf("token", "document")

/** The moments of a run at which a process may end, in their order. */
class Moments {
  readonly seen: string[] = []
  private readonly never = new Promise<never>(() => undefined)
  private isOver = false

  constructor(
    world: World,
    private readonly endsAt: number,
  ) {
    const run = world.tablet.run.bind(world.tablet)
    world.tablet.run = async command => {
      await this.pass(`before ${command.name}`)
      const result = await run(command)
      await this.pass(`after ${command.name}`)
      return result
    }
    world.devices.meddle = what => {
      if (what !== "append" || this.isOver) return
      this.note("a block")
      if (this.isOver) throw new Error("the process ends")
    }
    this.restore = () => {
      world.tablet.run = run
      world.devices.meddle = () => undefined
    }
  }

  readonly restore: () => void

  get hasEnded(): boolean {
    return this.isOver
  }

  private note(name: string): void {
    this.seen.push(name)
    if (this.seen.length === this.endsAt) this.isOver = true
  }

  private async pass(name: string): Promise<void> {
    if (!this.isOver) this.note(name)
    if (this.isOver) await this.never
  }
}

type Place = readonly [Bucket, string]

interface Prepared {
  readonly scene: TwoBuckets
  readonly run: (scene: TwoBuckets) => Promise<unknown>
  /** The bytes that reads of each key return, before and after the run. */
  readonly before: ReadonlyMap<Place, Buffer | undefined>
  readonly after: ReadonlyMap<Place, Buffer | undefined>
}

async function assertState(scene: TwoBuckets, state: Prepared["before"], when: string): Promise<void> {
  for (const [[bucket, key], bytes] of state)
    assert.ok(same(await scene.read(bucket, key), bytes), `${when}: ${bucket.name}/${key}`)
}

const same = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b)

/** A pass of lifecycle that takes no upload for abandoned. */
async function removeLeftUploads({ clock, tablet: metadata, random, telemetry: { log } }: World): Promise<void> {
  const storeClock = { shownMs: clock.wallMs(), isDoubtful: false }
  const classes = { policyOf: () => undefined, use: () => undefined }
  const job = new Lifecycle(
    { clock, storeClock, random, metadata, log, classes },
    { ...STORE_DAYS, abandonedDays: 1_000_000 },
  )
  while ((await clock.runUntil(job.step(noSignal))) === "busy");
}

/** Runs all jobs for two days, and returns the number of needles that remain. */
async function settle(scene: TwoBuckets): Promise<number> {
  const { world } = scene
  await removeLeftUploads(world)
  await world.removeAborted()
  await scene.run(world.services.storeClock.start())
  await world.clock.advance(24 * HOUR_MS)
  await world.settle("transaction-tokens")
  await world.settle("collector")
  return world.needles
}

async function endsAtEach(prepare: () => Promise<Prepared>, expected: readonly string[]): Promise<void> {
  const clean = await prepare()
  const whole = new Moments(clean.scene.world, Infinity)
  await clean.scene.run(clean.run(clean.scene))
  whole.restore()
  for (const name of expected) assert.ok(whole.seen.includes(name), `no moment ${name} in ${whole.seen.join(", ")}`)
  await assertState(clean.scene, clean.after, "without an end")
  const needles = await settle(clean.scene)
  const rows = clean.scene.counters(clean.scene.two)
  for (const [at, name] of whole.seen.entries()) {
    const { scene, run, before, after } = await prepare()
    const { world } = scene
    const moments = new Moments(world, at + 1)
    void run(scene).catch(() => undefined)
    while (!moments.hasEnded) await world.clock.advance(10)
    await world.clock.advance(1_000)
    moments.restore()
    const next = scene.restart(2)
    const commits = whole.seen.slice(0, at + 1).some(each => /^after (?:CommitTransaction|RenameObject)$/.test(each))
    await assertState(next, commits ? after : before, `${at}: ${name}`)
    if (!commits) await next.run(run(next))
    await assertState(next, after, `${at}: ${name}, done again`)
    assert.equal(await settle(next), needles, `${at}: ${name}`)
    assert.deepEqual(next.counters(next.two), rows)
    await assertState(next, after, `${at}: ${name}, in the end`)
    assert.doesNotMatch(next.rows(), /^(?:transactions|uploads|parts)/m)
  }
}

async function open(): Promise<TwoBuckets> {
  const scene = await TwoBuckets.open(["two"])
  const { clock } = scene.world
  await clock.advance(DECIDED_MS - clock.wallMs())
  return scene
}

test("a process that ends at any command or block of a transaction has done all of it, or nothing", async () => {
  await endsAtEach(async () => {
    const scene = await open()
    const { one, two, world } = scene
    const bytes = (length: number) => Buffer.from(world.random.bytes(length))
    const [gone, moved, end] = [bytes(300), bytes(300_000), bytes(70_001)]
    await scene.put(one, "gone", gone)
    await scene.put(one, "moved", moved)
    const put = await scene.upload(two, "put", [end], NONE)
    const operations: readonly TransactionOperation[] = [
      put,
      remove(one, "gone"),
      rename({ bucket: one, key: "moved" }, { bucket: two, key: "moved" }),
      check(one, "absent", NONE),
    ]
    const places = { gone: [one, "gone"], from: [one, "moved"], to: [two, "moved"], put: [two, "put"] } as const
    const state = (of: Partial<Record<keyof typeof places, Buffer>>) =>
      new Map(Object.entries(places).map(([name, place]) => [place, of[name as keyof typeof places]] as const))
    return {
      scene,
      before: state({ gone, from: moved }),
      after: state({ to: moved, put: end }),
      run: next => next.world.services.transactions.run({ operations, token: TOKEN }),
    }
  }, [
    "before SealUpload",
    "after SealUpload",
    "after PutSegment",
    "a block",
    "before CommitTransaction",
    "after CommitTransaction",
    "after DropGuards",
  ])
})

for (const kind of ["payload", "blocks", "parts"] as const)
  test(`a process that ends during a rename to another bucket leaves one of both names (${kind})`, async () => {
    await endsAtEach(
      async () => {
        const scene = await open()
        const { one, two, world } = scene
        const bodies = [{ payload: 1_000, blocks: 300_000, parts: 200_001 }[kind]].map(length =>
          Buffer.from(world.random.bytes(length)),
        )
        if (kind === "parts") await scene.commit([await scene.upload(one, "from", bodies)])
        else await scene.put(one, "from", bodies[0] ?? Buffer.alloc(0))
        await world.settle("collector")
        const whole = Buffer.concat(bodies)
        const [from, to] = [
          [one, "from"],
          [two, "to"],
        ] as const
        const operation = rename({ bucket: one, key: "from" }, { bucket: two, key: "to" })
        assert.ok(operation.kind === "rename")
        return {
          scene,
          before: new Map<Place, Buffer | undefined>([
            [from, whole],
            [to, undefined],
          ]),
          after: new Map<Place, Buffer | undefined>([
            [from, undefined],
            [to, whole],
          ]),
          run: next => next.world.services.renames.rename(operation.rename),
        }
      },
      kind === "parts"
        ? [
            "after CreateUpload",
            "after PutPart",
            "after SealUpload",
            "after PutSegment",
            "before RenameObject",
            "a block",
          ]
        : ["before RenameObject", "after RenameObject", ...(kind === "blocks" ? ["a block"] : [])],
    )
  })
