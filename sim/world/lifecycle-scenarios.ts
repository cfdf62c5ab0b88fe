/**
 * Lifecycle on a machine whose wall clock jumps either way while the store runs, and is set back while it is stopped. Rules
 * are changed and removed in the middle of passes, and processes end in the middle of them.
 */
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseAccountId, parseBucketName } from "@hayloft/base/ids.js"
import { encodeLifecycleRules } from "@hayloft/engine/format/objects/lifecycle-rules.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { LifecyclePass } from "@hayloft/engine/format/objects/lifecycle-pass.js"
import type { Bucket } from "@hayloft/objects/index.js"
import { lifecyclePasses } from "@hayloft/features/lifecycle/pass-core.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { bodyBytes, putRequest, sourceOf } from "./bodies.js"
import { check } from "./checks.js"
import { World } from "./world.js"

const NAME = parseBucketName("expiring")
const OWNER = parseAccountId("root")
const STEPS = 25
/** Two minutes: the job looks every second. */
const DAY_MS = 120_000
const JUMP_MS_MAX = 20 * DAY_MS
const JOB_EVERY_MS = 1_000
/** The rules' days, and one until the midnight. */
const DAYS_MAX = 3
const POLL_MS = 2
/** A little longer than the job rests. */
const POLLS_MAX = 600
const KEYS_AT_ONCE = 80
/** So that some are due that a pass has not removed yet when rules change within it. */
const PUTS_BEFORE_RULES = 3
const PREFIXES = ["a/", "b/"] as const

/** Days after which objects with a prefix go. */
type Rules = ReadonlyMap<string, number>

interface Put {
  readonly prefix: string
  readonly modifiedMs: number
}

class ExpiringStore {
  private readonly world: World
  private readonly random: Random
  private readonly trueOffsetMs: number
  private engine: Engine | undefined
  private life = new AbortController()
  private job: Promise<void> = Promise.resolve()
  private readonly present = new Map<string, Put>()
  /** The rules of which the store knows, and those before them if they may have acted since the last look. */
  private rules: readonly Rules[] = []
  private puts = 0

  constructor(seed: number) {
    const days = { dayMs: DAY_MS, abandonedDays: 0 }
    this.world = new World({ seed, devices: 2, latencyMsMax: 2, days })
    this.random = this.world.random.fork("lifecycle")
    this.trueOffsetMs = this.world.clock.wallMs()
  }

  async run(): Promise<void> {
    await this.start()
    await this.world.run(this.services.buckets.create({ name: NAME, owner: OWNER, location: "" }))
    await this.setRules()
    for (let step = 0; step < STEPS; step += 1) {
      await this.step()
      await this.look()
    }
    await this.stop()
    this.setWall(this.trueMs)
    await this.start()
    await this.world.pass(2 * DAY_MS)
    await this.look()
    for (const [key, put] of this.present) {
      const dueMs = this.dueMs(put)
      check("dueGoes", dueMs > this.trueMs - DAY_MS, () => `${key} is there ${this.trueMs - dueMs} ms after its time`)
    }
    const pass = await this.pass()
    check("dueGoes", (pass?.taken.length ?? 0) === 0, () => "a slice of a pass is left")
    await this.stop()
  }

  private get services(): Engine["services"] {
    return must(this.engine, "the store runs").services
  }

  private get trueMs(): number {
    return this.trueOffsetMs + this.world.clock.monotonicMs()
  }

  private setWall(wallMs: number): void {
    this.world.clock.jumpWall(wallMs - this.world.clock.wallMs())
  }

  private bucket(): Promise<Bucket> {
    return this.world.run(this.services.buckets.open(NAME))
  }

  /** When the rules that are in effect remove it, by its time of modification. */
  private dueMs({ prefix, modifiedMs }: Put): number {
    const days = this.rules.map(rules => rules.get(prefix) ?? Infinity)
    return (Math.floor(modifiedMs / DAY_MS) + Math.min(...days) + 1) * DAY_MS
  }

  private step(): Promise<void> {
    switch (this.random.below(9)) {
      case 0:
      case 1:
        return this.put()
      case 2:
        return this.setRules()
      case 3:
        return this.restart()
      case 4:
        return this.withinPass(() => this.restart())
      case 5:
        return this.withinPass(() => this.setRules(), PUTS_BEFORE_RULES)
      case 6:
        return this.world.pass(this.random.below(DAY_MS))
      default:
        this.setWall(this.trueMs + this.random.below(2 * JUMP_MS_MAX) - JUMP_MS_MAX)
        return this.world.pass(this.random.below(DAY_MS / 4))
    }
  }

  private async put(): Promise<void> {
    const bucket = await this.bucket()
    const names = Array.from({ length: KEYS_AT_ONCE }, () => {
      this.puts += 1
      return { prefix: PREFIXES[this.puts % PREFIXES.length] ?? "", key: `${PREFIXES[this.puts % 2]}${this.puts}` }
    })
    const puts = names.map(async ({ prefix, key }) => {
      const request = putRequest(bucket, objectKeyOfText(key), sourceOf(bodyBytes(key, 100)))
      const { lastModifiedMs: modifiedMs } = await this.services.objects.put(request)
      this.present.set(key, { prefix, modifiedMs })
    })
    await this.world.run(Promise.all(puts))
  }

  /** From the acknowledgement on, only the new rules act. */
  private async setRules(): Promise<void> {
    const days = PREFIXES.flatMap(prefix =>
      this.random.below(3) === 0 ? [] : ([[prefix, 1 + this.random.below(2)]] as const),
    )
    const rules = days.map(([prefix, count]) => ({
      id: prefix,
      isEnabled: true,
      filter: { form: "filter", prefix } as const,
      expiration: { days: count },
    }))
    const document = encodeLifecycleRules({ transitionMinimum: "all_storage_classes_128K", rules })
    const bucket = await this.bucket()
    const set = this.services.buckets.setSetting(bucket, "lifecycle", rules.length === 0 ? undefined : document)
    this.rules = [...this.rules, new Map(days)]
    await this.world.run(set)
    await this.look()
  }

  /** Checks that what is gone was due by the true time. */
  private async look(): Promise<void> {
    const bucket = await this.bucket()
    const there = new Set<string>()
    for (let after: string | undefined = ""; after !== undefined;) {
      const request = { bucket, prefix: "", delimiter: "", after, max: 1_000 }
      const page: Awaited<ReturnType<Engine["services"]["objects"]["list"]>> = await this.world.run(
        this.services.objects.list(request),
      )
      for (const entry of page.entries) if (entry.kind === "object") there.add(entry.object.key)
      after = page.next
    }
    for (const [key, put] of this.present) {
      if (there.has(key)) continue
      const earlyMs = this.dueMs(put) - this.trueMs
      check("dueStays", earlyMs <= 0, () => `${key} is gone ${earlyMs} ms before its time`)
      this.present.delete(key)
    }
    this.rules = this.rules.slice(-1)
  }

  private async pass(): Promise<LifecyclePass | undefined> {
    const { id } = await this.bucket()
    const passes = await this.world.run(this.services.tablet.ask(lifecyclePasses()))
    return passes.find(({ bucketId }) => bucketId === id)?.pass
  }

  /** Goes on from day to day, until a process removes what is due: there may be no rules. */
  private async withinPass(event: () => Promise<void>, count = 1): Promise<void> {
    this.setWall(this.trueMs)
    for (let puts = 0; puts < count; puts += 1) await this.put()
    for (let days = 0; days < DAYS_MAX && !(await this.isWithinPass()); days += 1) await this.toMidnight()
    await this.world.pass(this.random.below(4))
    await event()
  }

  private async toMidnight(): Promise<void> {
    await this.world.pass(DAY_MS - (this.services.storeClock.shownMs % DAY_MS))
    for (let polls = 0; polls < POLLS_MAX && !(await this.isWithinPass()); polls += 1) await this.world.pass(POLL_MS)
  }

  private async isWithinPass(): Promise<boolean> {
    return ((await this.pass())?.taken.length ?? 0) > 0
  }

  private async start(): Promise<void> {
    this.engine = await this.world.run(this.world.start())
    this.life = new AbortController()
    this.job = this.work(this.services.lifecycle, this.life.signal)
  }

  private async work(lifecycle: Engine["services"]["lifecycle"], signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const outcome = await lifecycle.step(signal)
      await this.world.pause(outcome === "busy" ? 0 : JOB_EVERY_MS)
    }
  }

  private async stop(): Promise<void> {
    this.life.abort()
    await this.world.run(this.job)
    await this.world.run(this.world.stop(must(this.engine, "the store runs")))
  }

  /** At a start the wall clock is right or behind: one that is ahead cannot be told from a long stop. */
  private async restart(): Promise<void> {
    const how = this.random.below(3)
    if (how === 0) await this.stop()
    else if (how === 1) this.world.kill()
    else this.world.crash()
    this.life.abort()
    await this.world.pass(this.random.below(DAY_MS / 4))
    this.setWall(this.trueMs - (this.random.below(2) === 0 ? this.random.below(JUMP_MS_MAX) : 0))
    await this.start()
  }
}

export const expiringStore = (seed: number): Promise<void> => new ExpiringStore(seed).run()
