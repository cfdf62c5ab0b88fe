/**
 * Lock scenarios: versions with retentions on a machine whose wall clock jumps either way while the store runs, and is
 * set back while it is stopped. Clients try to remove versions and to shorten retentions all the time.
 */
import { objectKeyOfText, parseAccountId, parseBucketName, type VersionId } from "@hayloft/base/ids.js"
import type { Engine } from "@hayloft/node/engine.js"
import type { Retention } from "@hayloft/engine/format/objects/object-lock.js"
import type { Bucket } from "@hayloft/objects/index.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { must } from "@hayloft/base/assert.js"
import { bodyBytes, putRequest, sourceOf } from "./bodies.js"
import { check, kindOf } from "./checks.js"
import { World } from "./world.js"

const NAME = parseBucketName("locked")
const OWNER = parseAccountId("root")
const STEPS = 70
const HOUR_MS = 3_600_000
const JUMP_MS_MAX = 500 * HOUR_MS
const RETENTION_MS_MAX = HOUR_MS / 2
const PASS_MS_MAX = HOUR_MS / 6

interface Locked {
  readonly key: string
  readonly versionId: VersionId
  readonly untilMs: number
}

class LockedStore {
  private readonly world: World
  private readonly random: Random
  private readonly trueOffsetMs: number
  private engine: Engine | undefined
  private locked: readonly Locked[] = []
  private puts = 0

  constructor(seed: number) {
    this.world = new World({ seed, devices: 2 })
    this.random = this.world.random.fork("locks")
    this.trueOffsetMs = this.world.clock.wallMs()
  }

  async run(): Promise<void> {
    this.engine = await this.world.start()
    await this.services.buckets.create({ name: NAME, owner: OWNER, location: "", hasLock: true })
    for (let step = 0; step < STEPS; step += 1) await this.step()
    await this.stop()
    this.setWall(this.trueMs)
    this.engine = await this.world.start()
    await this.world.pass(RETENTION_MS_MAX)
    for (const version of this.locked) {
      const failure = await this.remove(version)
      check("locksEnd", failure === undefined, () => `${version.key} ends with ${failure}`)
    }
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
    return Promise.resolve(this.services.buckets.open(NAME))
  }

  private step(): Promise<void> {
    switch (this.random.below(10)) {
      case 0:
      case 1:
      case 2:
        return this.put()
      case 3:
      case 4:
        return this.tryToRemove()
      case 5:
        return this.tryToShorten()
      case 6:
        return this.world.pass(this.random.below(PASS_MS_MAX))
      case 7:
        return this.restart()
      default:
        this.setWall(this.trueMs + this.random.below(2 * JUMP_MS_MAX) - JUMP_MS_MAX)
        return this.world.pass(this.random.below(60_000))
    }
  }

  private retention(): Retention {
    const mode = this.random.below(2) === 0 ? "GOVERNANCE" : "COMPLIANCE"
    return { mode, untilMs: this.trueMs + 1 + this.random.below(RETENTION_MS_MAX) }
  }

  /** A retention that is over by the wall clock of the moment is refused. */
  private async put(): Promise<void> {
    this.puts += 1
    const key = `k${this.puts}`
    const retention = this.retention()
    const body = sourceOf(bodyBytes(key, 100))
    const request = {
      ...putRequest(await this.bucket(), objectKeyOfText(key), body),
      lock: { retention, legalHold: undefined },
    }
    const failure = await kindOf(
      this.services.objects.put(request).then(({ versionId }) => {
        this.locked = [
          ...this.locked,
          { key, versionId: must(versionId, "the bucket is versioned"), untilMs: retention.untilMs },
        ]
      }),
    )
    check("locksEnd", failure === undefined || failure === "retentionIsOver", () => `a write ends with ${failure}`)
  }

  private get someVersion(): Locked | undefined {
    return this.locked[this.random.below(Math.max(1, this.locked.length))]
  }

  private async remove({ key, versionId }: Locked) {
    const target = { bucket: await this.bucket(), key: objectKeyOfText(key), versionId, conditions: {} }
    return kindOf(this.services.objects.remove(target))
  }

  private async tryToRemove(): Promise<void> {
    const version = this.someVersion
    if (version === undefined) return
    const failure = await this.remove(version)
    if (failure !== undefined) return check("lockedStays", failure === "objectLocked", () => `it ends with ${failure}`)
    this.locked = this.locked.filter(each => each !== version)
    this.checkOver(version, "removed")
  }

  private async tryToShorten(): Promise<void> {
    const version = this.someVersion
    if (version === undefined) return
    const target = { bucket: await this.bucket(), key: objectKeyOfText(version.key), versionId: version.versionId }
    const request = { ...target, conditions: {} }
    if ((await kindOf(this.services.objects.setRetention(request, undefined, false))) !== undefined) return
    this.checkOver(version, "freed")
  }

  private checkOver({ key, untilMs }: Locked, what: string): void {
    check("lockedStays", untilMs <= this.trueMs, () => `${key} is ${what} ${untilMs - this.trueMs} ms too early`)
  }

  private async stop(): Promise<void> {
    await this.world.stop(must(this.engine, "the store runs"))
  }

  /** At a start the wall clock is right or behind: one that is ahead cannot be told from a long stop. */
  private async restart(): Promise<void> {
    const how = this.random.below(3)
    if (how === 0) await this.stop()
    else if (how === 1) this.world.kill()
    else this.world.crash()
    await this.world.pass(this.random.below(PASS_MS_MAX))
    this.setWall(this.trueMs - (this.random.below(2) === 0 ? this.random.below(JUMP_MS_MAX) : 0))
    this.engine = await this.world.start()
  }
}

export const lockedStore = (seed: number): Promise<void> => new LockedStore(seed).run()
