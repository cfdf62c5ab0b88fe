/**
 * One client that coordinates with others: it begins a session at one node, renews it at any, takes locks, and writes a
 * small file and an object with the fence of the lock. It may be stopped for longer than its session lasts, and then goes
 * on as if it still held the lock; or it ends without a word.
 */
import type { LockMode } from "@hayloft/base/fence.js"
import { isFailure } from "@hayloft/base/failures.js"
import { must } from "@hayloft/base/assert.js"
import { objectKeyOfText, parseAccountId, parseBucketName, parseCoordPath, type SessionId } from "@hayloft/base/ids.js"
import type { Coordination } from "@hayloft/features/locks/index.js"
import type { Server } from "../world/bodies.js"
import type { Random } from "@hayloft/base/seams/random/contract.js"
import { bodyBytes, putRequest, sourceOf } from "../world/bodies.js"
import { check } from "../world/checks.js"
import type { Cluster } from "./cluster.js"
import { CLOCK_RATE_MAX } from "./cluster-node.js"
import { textOfWrite, type Grant, type LockHistory } from "./coord-history.js"
import type { WanderingHost } from "./wandering-upload.js"

export const ACCOUNT = parseAccountId("coord")
export const FENCED_BUCKET = parseBucketName("fenced")

const LEASE_SECONDS = 5
const GRACE_SECONDS = 2
const SILENCE_MS = 1_000 * (LEASE_SECONDS + GRACE_SECONDS)
/** No clock of a node is so fast that a session ends earlier. Alarms may be late, and times are rounded. */
const LASTS_MS = SILENCE_MS / CLOCK_RATE_MAX - 5
const RENEW_MS = 1_500
/** A client waits so long for an answer, and then asks another node. */
const ANSWER_MS_MAX = 3_000
const RETRY_MS = 300
/** From one write to the next. */
const HELD_MS_MAX = 1_500
const POLL_MS = 700
const POLLS_MAX = 16
const ATTEMPTS_MAX = 4
/** Some objects have needles. */
const SIZES = [40, 1_000, 9_001]

export interface CoordHost extends Pick<WanderingHost, "through" | "mayFail" | "isRefusal" | "nextName" | "onError"> {
  coordinationOf(engine: Server): Coordination
}

/** The place where the clients of one time meet: after a loss of commits others begin. */
export interface Meeting {
  /** Namespace of its locks and files. */
  readonly name: string
  readonly locks: ReadonlyMap<string, LockHistory>
  isOver: boolean
}

interface Held extends Grant {
  readonly lock: string
  /** The client has tried to give it up. */
  isGivenUp: boolean
}

/** A place in line. */
interface Place {
  readonly lock: string
  readonly mode: LockMode
  /** The session got the lock, or gave up its place. */
  isOver: boolean
}

/** Counts of what clients did, for the report of a storm. */
export class CoordCounts {
  acquired = 0
  written = 0
  refused = 0
  ended = 0
}

export class CoordClient {
  private id: SessionId | undefined
  /** The last renewal that was acknowledged was decided then, or later. */
  private renewedMs = 0
  private isOver = false
  private isStopped = false
  private isEnding = false
  private readonly held = new Set<Held>()
  /** Locks that it may give up at any later time: a release has no answer. */
  private readonly doubtful = new Set<string>()

  constructor(
    private readonly host: CoordHost,
    private readonly meeting: Meeting,
    private readonly time: Pick<Cluster, "clock" | "sleep">,
    private readonly random: Random,
    private readonly counts: CoordCounts,
  ) {}

  private get isAlive(): boolean {
    return !this.isOver && !this.meeting.isOver
  }

  async run(): Promise<void> {
    await this.begin()
    if (this.id === undefined) return
    const renewing = this.renewAlways()
    for (let left = 1 + this.random.below(3); left > 0 && this.isAlive; left -= 1) await this.useLock()
    if (this.isAlive && this.random.below(2) === 0) await this.end()
    this.isOver = true
    await renewing
  }

  /** Returns undefined if no node serves, the request failed as it may, or there is no answer for long. */
  private async ask<T>(send: (coordination: Coordination, engine: Server) => Promise<T>): Promise<T | undefined> {
    const sent = this.isAlive ? this.host.through(engine => send(this.host.coordinationOf(engine), engine)) : undefined
    if (sent === undefined) {
      await this.time.sleep(RETRY_MS)
      return undefined
    }
    const answered = sent.catch((error: unknown) => {
      if (isFailure(error, "noSuchSession")) this.noteEnd()
      else if (!this.isExpected(error)) this.host.onError(error)
      return undefined
    })
    const answer = new AbortController()
    const silence = this.time.clock.sleep(ANSWER_MS_MAX, answer.signal).then(() => undefined)
    return Promise.race([answered, silence]).finally(() => answer.abort())
  }

  private isExpected(error: unknown): boolean {
    return isFailure(error, "indeterminate") || this.host.isRefusal(error) || this.host.mayFail(error)
  }

  /** Since the last renewal the session cannot have ended yet, unless its client has ended it. */
  private checkLasts(what: () => string): void {
    const lastedMs = this.time.clock.monotonicMs() - this.renewedMs
    const found = () => `${what()} ${Math.round(lastedMs)} ms after a renewal`
    check("sessionsLast", this.isEnding || lastedMs >= LASTS_MS, found)
  }

  private noteEnd(): void {
    try {
      this.checkLasts(() => `the session ${this.id} has ended`)
    } catch (error) {
      this.host.onError(error)
    }
    if (!this.isOver) this.counts.ended += 1
    this.isOver = true
    for (const { lock, token } of this.held) this.history(lock).ended(token)
  }

  private history(lock: string): LockHistory {
    return must(this.meeting.locks.get(lock), "a lock of the meeting")
  }

  private at(name: string) {
    return { account: ACCOUNT, path: parseCoordPath(`${this.meeting.name}/${name}`) }
  }

  private async begin(): Promise<void> {
    const times = { leaseSeconds: LEASE_SECONDS, graceSeconds: GRACE_SECONDS }
    await this.ask(async coordination => {
      const startedMs = this.time.clock.monotonicMs()
      const { id } = await coordination.begin(ACCOUNT, { name: "client", principal: "arn", ...times })
      this.renewedMs = startedMs
      this.id = id
    })
    const { id } = this
    if (id === undefined || this.random.below(2) === 0) return
    await this.ask(coordination => coordination.write(this.at(`members/${id}`), Buffer.from("here"), { session: id }))
  }

  private get session(): SessionId {
    return must(this.id, "the session has begun")
  }

  private async renewAlways(): Promise<void> {
    while (this.isAlive) {
      await this.time.sleep(RENEW_MS)
      if (this.isStopped) continue
      await this.ask(async coordination => {
        const startedMs = this.time.clock.monotonicMs()
        await coordination.renew({ account: ACCOUNT, id: this.session })
        this.renewedMs = Math.max(this.renewedMs, startedMs)
      })
    }
  }

  private async end(): Promise<void> {
    this.isEnding = true
    for (const held of this.held) held.isGivenUp = true
    await this.ask(async coordination => {
      await coordination.end({ account: ACCOUNT, id: this.session })
      for (const { lock, token } of this.held) this.history(lock).ended(token)
    })
  }

  private async useLock(): Promise<void> {
    const { random } = this
    const locks = [...this.meeting.locks.keys()]
    const lock = must(locks[random.below(locks.length)], "a lock of the meeting")
    const held = await this.acquire(lock, random.below(3) === 0 ? "shared" : "exclusive")
    if (held === undefined) return
    for (let left = 1 + random.below(4); left > 0; left -= 1) {
      await this.write(held)
      await this.time.sleep(random.below(HELD_MS_MAX))
    }
    const chosen = random.below(8)
    if (chosen < 2) await this.oversleep(held)
    else if (chosen === 2) this.isOver = true
    else if (chosen > 3) await this.release(held)
  }

  /** The client stops for longer than its session lasts, and does not notice. */
  private async oversleep(held: Held): Promise<void> {
    this.isStopped = true
    await this.time.sleep(SILENCE_MS + this.random.below(2 * SILENCE_MS))
    await this.writeFile(held)
    await this.putObject(held)
    this.isStopped = false
  }

  private async acquire(lock: string, mode: LockMode): Promise<Held | undefined> {
    const waits = this.random.below(3) > 0
    if (this.doubtful.has(lock)) return undefined
    for (let attempt = 0; attempt < ATTEMPTS_MAX && this.isAlive; attempt += 1) {
      const outcome = await this.ask(coordination => this.acquireOnce(coordination, lock, mode, waits))
      if (outcome === "held") return undefined
      if (outcome === "waiting") return this.waitFor(lock, mode)
      if (outcome !== undefined) return outcome
    }
    return undefined
  }

  private async acquireOnce(
    coordination: Coordination,
    lock: string,
    mode: LockMode,
    waits: boolean,
  ): Promise<Held | "held" | "waiting"> {
    const { session } = this
    const history = this.history(lock)
    const [startedMs, { newest }] = [this.time.clock.monotonicMs(), history]
    const outcome = await coordination.acquire({ ...this.at(lock), session, mode, waits, value: "" })
    if (outcome.kind !== "acquired") return outcome.kind
    const grant = { mode, token: outcome.holder.token, session }
    if (outcome.isNew) {
      history.acquired(grant, newest)
      this.renewedMs = Math.max(this.renewedMs, startedMs)
    } else history.seen(grant)
    return this.hold(lock, grant)
  }

  private hold(lock: string, grant: Grant): Held {
    const known = [...this.held].find(each => each.lock === lock && each.token === grant.token)
    if (known !== undefined) return known
    const held = { lock, ...grant, isGivenUp: false }
    this.held.add(held)
    this.counts.acquired += 1
    return held
  }

  /** Has a place in line: asks nodes until it is the first, or gives up. */
  private async waitFor(lock: string, mode: LockMode): Promise<Held | undefined> {
    const place: Place = { lock, mode, isOver: false }
    for (let left = 1 + this.random.below(POLLS_MAX); left > 0 && this.isAlive; left -= 1) {
      await this.time.sleep(POLL_MS)
      const held = await this.ask(coordination => this.lookAt(coordination, place))
      if (held === undefined) continue
      place.isOver = true
      return held
    }
    place.isOver = true
    this.doubtful.add(lock)
    const released = await this.ask(coordination =>
      coordination.release({ ...this.at(lock), session: this.session }, true),
    )
    if (released === undefined) return undefined
    this.doubtful.delete(lock)
    if (typeof released === "string") return undefined
    const grant = { mode, token: released.token, session: this.session }
    this.history(lock).seen(grant)
    return this.hold(lock, grant)
  }

  /** Its answer may come after that of a later request. */
  private async lookAt(coordination: Coordination, place: Place): Promise<Held | undefined> {
    const { session } = this
    const { lock, mode } = place
    const now = await coordination.lock(this.at(lock))
    if (now !== undefined) this.history(lock).holders(now.mode, now.holders)
    const own = now?.holders.find(each => each.session === session)
    if (own !== undefined) return place.isOver ? undefined : this.hold(lock, { mode, token: own.token, session })
    const isThere = place.isOver || now?.waiting.some(each => each.session === session) === true
    if (!isThere) this.checkLasts(() => `${lock}: the session ${session} has lost its place`)
    return undefined
  }

  private async release(held: Held): Promise<void> {
    held.isGivenUp = true
    this.doubtful.add(held.lock)
    await this.ask(async coordination => {
      await coordination.release({ ...this.at(held.lock), session: this.session })
      this.history(held.lock).ended(held.token)
      this.doubtful.delete(held.lock)
    })
  }

  private async write(held: Held): Promise<void> {
    const chosen = this.random.below(10)
    if (chosen < 4) await this.writeFile(held)
    else if (chosen < 8) await this.putObject(held)
    else if (chosen < 9) await this.removeFile(held)
    else await this.readFile(held)
  }

  /** Writes with the fence of the lock. */
  private async fenced<T>({ lock, mode, token }: Held, what: string, write: () => Promise<T>): Promise<T> {
    const history = this.history(lock)
    const wasOver = history.isOver({ mode, token })
    const result = await write()
    history.acknowledged(what, { token }, wasOver)
    this.counts.written += 1
    return result
  }

  /** A fence holds while the session does. */
  private noteRefusal(held: Held, error: unknown): void {
    if (!isFailure(error, "preconditionFailed")) return
    this.counts.refused += 1
    if (!held.isGivenUp) this.checkLasts(() => `${held.lock}: the token ${held.token} was refused`)
  }

  private fenceOf({ lock, mode, token }: Held) {
    return { ...this.at(lock), mode, token }
  }

  private async writeFile(held: Held): Promise<void> {
    const text = textOfWrite(held.token, this.host.nextName())
    await this.ask(async coordination => {
      const history = this.history(held.lock)
      const { newestVersion } = history
      try {
        const conditions = { fence: this.fenceOf(held) }
        const version = await this.fenced(held, "a write of the file", () =>
          coordination.write(this.at(`${held.lock}/${held.mode}`), Buffer.from(text), { conditions }),
        )
        if (held.mode === "exclusive") history.version(version, text, newestVersion, true)
      } catch (error) {
        this.noteRefusal(held, error)
        throw error
      }
    })
  }

  private async removeFile(held: Held): Promise<void> {
    await this.ask(async coordination => {
      try {
        await this.fenced(held, "a deletion", () =>
          coordination.delete(this.at(`${held.lock}/${held.mode}`), { fence: this.fenceOf(held) }),
        )
      } catch (error) {
        this.noteRefusal(held, error)
        throw error
      }
    })
  }

  private async readFile({ lock }: Held): Promise<void> {
    await this.ask(async coordination => {
      const history = this.history(lock)
      const { newestVersion } = history
      const file = await coordination.file(this.at(`${lock}/exclusive`))
      // It may have been deleted.
      if (file !== undefined) history.version(file.version, Buffer.from(file.content).toString(), newestVersion, false)
    })
  }

  private async putObject(held: Held): Promise<void> {
    const { host, random } = this
    const text = textOfWrite(held.token, host.nextName())
    const body = sourceOf(bodyBytes(text, SIZES[random.below(SIZES.length)] ?? 0))
    const history = this.history(held.lock)
    if (held.mode === "exclusive") history.put(text, "unknown")
    await this.ask(async (_, { services: { buckets, objects } }) => {
      try {
        const bucket = await buckets.open(FENCED_BUCKET)
        const key = objectKeyOfText(`${this.meeting.name}/${held.lock}/${held.mode}`)
        const request = { ...putRequest(bucket, key, body), conditions: { fence: this.fenceOf(held) } }
        await this.fenced(held, "a write of the object", async () => objects.put(request))
        if (held.mode === "exclusive") history.put(text, "done")
      } catch (error) {
        this.noteRefusal(held, error)
        const isRefused = host.isRefusal(error) && !isFailure(error, "indeterminate")
        if (isRefused && held.mode === "exclusive") history.put(text, "refused")
        throw error
      }
    })
  }
}
