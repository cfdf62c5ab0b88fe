/**
 * Load: clients that put, get and delete against all nodes of a store through a balancer while a test harms the nodes,
 * and that check every body.
 *
 * Each client has keys of its own, so it knows what they must have. The balancer sends a request to the next node that
 * accepts connections. A request is tried as often as an SDK does by default, with its pauses. After an attempt without
 * a response the write may still happen later: the client only reads the key from then on, and accepts both.
 */
import assert from "node:assert/strict"
import { setTimeout as wait } from "node:timers/promises"
import { until } from "@hayloft/base/seams/clock/testing-until.js"
import { runsOf } from "@hayloft/base/testing-seed.js"
import { BrokenAnswer, RemoteFailure, S3Client, Unreachable, type S3Access } from "@hayloft/client/index.js"
import { RealClock } from "@hayloft/base/seams/clock/real.js"

/** A node as the load sees it. */
export interface LoadTarget {
  readonly name: string
  readonly access: S3Access
}

interface LoadOptions {
  readonly bucket: string
  readonly clients?: number
  /** Attempts of one request; default: those of SDKs. */
  readonly attemptsMax?: number
}

/** The attempts and the back-off of an SDK by default. */
const SDK_ATTEMPTS_MAX = 3
const SDK_BACK_OFF_MS = 100
/** The store asks for it with `Retry-After`. */
const UNAVAILABLE_BACK_OFF_MS = 1_000
/**
 * A balancer gives up a node that does not respond until it answers a health check: after that many times the slowest one of
 * the latest answers, so that it does not depend on how busy the machine is, and within these limits.
 */
const SILENCE_TIMES = 4
const SILENCE_MS_MIN = 5_000
const SILENCE_MS_MAX = 20_000
const LATEST_ANSWERS = 32
const OUT_MS = 2_000
/** No node accepted a connection for so long. */
const NOBODY_MS = 60_000
const KEYS_EACH = 7
/** Coprime to the keys, so that each of them is read, written and removed. */
const KEY_STEP = 3
/** After each request of a client, while the test waits for requests … */
const PAUSE_MS = 50
/** … and while it waits for something else: nodes always have some to answer. */
const IDLE_PAUSE_MS = 300
const SIZES = [300, 20_000, 300, 400_000, 1_500_000]
const READERS = 4

type Body = Buffer | undefined

/** Everything that a key may have: more than one body after a write with an unknown outcome. */
interface Key {
  readonly name: string
  bodies: readonly Body[]
  /** A write may still happen later. */
  isUncertain: boolean
}

class NoResponse extends Error {}

async function wholeOf(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return Buffer.concat(all)
}

const isRefused = (error: unknown): boolean => error instanceof Unreachable && error.reason.includes("refused")

const isUnanswered = (error: unknown): boolean =>
  error instanceof NoResponse || error instanceof Unreachable || error instanceof BrokenAnswer

const isUnavailable = (error: unknown): boolean => error instanceof RemoteFailure && error.status === 503

interface BalancedNode {
  readonly name: string
  readonly client: S3Client
  outUntilMs: number
}

/**
 * The nodes in turn, without those that refused a connection a moment ago, and those that did not respond and have
 * answered no health check since: on a busy machine a request would otherwise meet the same frozen node in each attempt.
 */
class Balancer {
  private readonly clients: BalancedNode[] = []
  private at = 0
  private readonly over = new AbortController()
  /** How long the latest answers took. */
  private readonly latestMs: number[] = []

  constructor(
    private readonly bucket: string,
    private readonly signal: AbortSignal,
  ) {}

  add({ name, access }: LoadTarget): void {
    const client = new S3Client(access, new RealClock(), this.signal, { attemptsMax: 1, md5: false })
    this.clients.push({ name, client, outUntilMs: 0 })
  }

  close(): void {
    this.over.abort()
    for (const { client } of this.clients) client.close()
  }

  /** The node gets no request until it has answered. */
  private async checkHealth(node: BalancedNode): Promise<void> {
    node.outUntilMs = Infinity
    const { signal } = this.over
    for (let isSilent = true; isSilent && !signal.aborted;) {
      await wait(OUT_MS, undefined, { signal }).catch(() => undefined)
      isSilent = await this.answerOf(node.name, node.client.headBucket(this.bucket)).then(() => false, isUnanswered)
    }
    node.outUntilMs = 0
  }

  /** One attempt, at the next node that accepts it. */
  async send<T>(work: (client: S3Client) => Promise<T>): Promise<T> {
    const untilMs = performance.now() + NOBODY_MS
    for (;;) {
      const nowMs = performance.now()
      const inOrder = this.clients.map((_, i) => this.clients[(this.at + i) % this.clients.length])
      this.at += 1
      const node = inOrder.find(each => each !== undefined && each.outUntilMs <= nowMs)
      if (node === undefined) {
        assert.ok(nowMs < untilMs, "a node accepts connections")
        await wait(PAUSE_MS)
        continue
      }
      try {
        return await this.answerOf(node.name, work(node.client))
      } catch (error) {
        if (isRefused(error)) node.outUntilMs = performance.now() + OUT_MS
        else {
          if (error instanceof NoResponse && node.outUntilMs !== Infinity) void this.checkHealth(node)
          throw error
        }
      }
    }
  }

  private get silenceMs(): number {
    if (this.latestMs.length === 0) return SILENCE_MS_MAX
    return Math.min(SILENCE_MS_MAX, Math.max(SILENCE_MS_MIN, SILENCE_TIMES * Math.max(...this.latestMs)))
  }

  private async answerOf<T>(node: string, request: Promise<T>): Promise<T> {
    const over = new AbortController()
    const sinceMs = performance.now()
    const silence = wait(this.silenceMs, undefined, { signal: over.signal }).then(() => {
      throw new NoResponse(`${node} does not respond`)
    })
    silence.catch(() => undefined)
    request.catch(() => undefined)
    try {
      const answer = await Promise.race([request, silence])
      this.latestMs.push(performance.now() - sinceMs)
      if (this.latestMs.length > LATEST_ANSWERS) this.latestMs.shift()
      return answer
    } finally {
      over.abort()
    }
  }
}

export class Load {
  /** Requests that failed after all attempts, and bodies that were wrong. */
  readonly failures: string[] = []
  /** Failed attempts by code. */
  readonly failedAttempts = new Map<string, number>()
  /** Requests that were answered as they should be. */
  done = 0
  private isAwaited = false
  private readonly keys: Key[] = []
  private readonly over = new AbortController()
  private readonly balancer: Balancer
  private readonly running: Promise<unknown>[]

  private constructor(
    targets: readonly LoadTarget[],
    private readonly options: LoadOptions,
  ) {
    this.balancer = new Balancer(options.bucket, new AbortController().signal)
    for (const target of targets) this.balancer.add(target)
    const { clients = runsOf(2) } = options
    this.running = Array.from({ length: clients }, (_, client) => this.run(client))
  }

  static async begin(targets: readonly LoadTarget[], options: LoadOptions): Promise<Load> {
    const load = new Load(targets, options)
    await load.goesOn(KEYS_EACH)
    return load
  }

  /** Clients use this node too. */
  add(target: LoadTarget): void {
    this.balancer.add(target)
  }

  /** Resolves when so many more requests have been answered. */
  async goesOn(requests = runsOf(20)): Promise<void> {
    const doneLeast = this.done + requests
    const isEnough = () => this.done >= doneLeast || this.failures.length > 0
    this.isAwaited = true
    try {
      await until(() => `${requests} more requests are answered: ${this.summary}`, isEnough, PAUSE_MS)
    } finally {
      this.isAwaited = false
    }
    assert.deepEqual(this.failures, [], this.summary)
  }

  /** Ends the clients, and throws if a request failed that must not. */
  async end(): Promise<void> {
    this.over.abort()
    await Promise.all(this.running)
    this.balancer.close()
    assert.deepEqual(this.failures, [], this.summary)
    assert.equal(this.failedAttempts.get("InternalError"), undefined, this.summary)
  }

  get summary(): string {
    return `${this.done} requests; failed attempts: ${JSON.stringify([...this.failedAttempts])}`
  }

  /** Every key, from each of these nodes. */
  async check(targets: readonly { readonly name: string; readonly client: S3Client }[]): Promise<void> {
    for (const { name, client } of targets) {
      const queue = [...this.keys]
      const reader = async (): Promise<void> => {
        for (let key = queue.pop(); key !== undefined; key = queue.pop()) {
          checkBody(key, await bodyOf(client, this.options.bucket, key.name), `from ${name}`)
        }
      }
      await Promise.all(Array.from({ length: READERS }, reader))
    }
  }

  private async run(client: number): Promise<void> {
    const own = Array.from({ length: KEYS_EACH }, (_, n) => this.newKey(`client-${client}/${n}`))
    for (let turn = 0; !this.over.signal.aborted; turn += 1) {
      const at = (turn * KEY_STEP) % own.length
      const key = own[at]
      assert.ok(key)
      try {
        await this.take(key, client + turn)
        this.done += 1
        if (key.isUncertain) own[at] = this.newKey(`client-${client}/${KEYS_EACH + turn}`)
      } catch (error) {
        this.failures.push(`${key.name} turn ${turn}: ${String(error)}`)
        return
      }
      await wait(this.isAwaited ? PAUSE_MS : IDLE_PAUSE_MS)
    }
  }

  private newKey(name: string): Key {
    const key = { name, bodies: [undefined], isUncertain: false }
    this.keys.push(key)
    return key
  }

  private async take(key: Key, turn: number): Promise<void> {
    const { bucket } = this.options
    const isThere = key.bodies.some(body => body !== undefined)
    if (isThere && turn % 3 !== 0) {
      const found = await this.request(client => bodyOf(client, bucket, key.name))
      return checkBody(key, found, `turn ${turn}`)
    }
    if (isThere && turn % 7 === 0) {
      return this.write(key, undefined, client => client.remove(bucket, key.name))
    }
    const body = Buffer.alloc(SIZES[turn % SIZES.length] ?? 0, `${key.name} as of turn ${turn}; `)
    return this.write(key, body, client => client.put({ bucket, key: key.name, body }))
  }

  private async write(key: Key, body: Body, work: (client: S3Client) => Promise<unknown>): Promise<void> {
    const before = key.bodies
    key.bodies = [...before, body]
    await this.request(work, () => (key.isUncertain = true))
    key.bodies = key.isUncertain ? [...before, body] : [body]
  }

  /** Sends a request with the retries of an SDK. */
  private async request<T>(work: (client: S3Client) => Promise<T>, onUnanswered?: () => void): Promise<T> {
    const { attemptsMax = SDK_ATTEMPTS_MAX } = this.options
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.balancer.send(work)
      } catch (error) {
        const code = error instanceof RemoteFailure ? error.code : String(error)
        this.failedAttempts.set(code, (this.failedAttempts.get(code) ?? 0) + 1)
        if (isUnanswered(error)) onUnanswered?.()
        const mayHelp = isUnanswered(error) || (error instanceof RemoteFailure && error.status >= 500)
        if (!mayHelp || attempt >= attemptsMax) throw error
        await wait(isUnavailable(error) ? UNAVAILABLE_BACK_OFF_MS : SDK_BACK_OFF_MS * 2 ** Math.min(attempt, 5))
      }
    }
  }
}

/** Returns undefined if the key does not exist. */
async function bodyOf(client: S3Client, bucket: string, key: string): Promise<Body> {
  try {
    const { body } = await client.get(bucket, key)
    return await wholeOf(body)
  } catch (error) {
    if (error instanceof RemoteFailure && error.code === "NoSuchKey") return undefined
    throw error
  }
}

function checkBody({ name, bodies }: Key, found: Body, when: string): void {
  const isExpected = bodies.some(body => (body === undefined ? found === undefined : found?.equals(body)))
  assert.ok(isExpected, `${name} ${when}: ${textOf(found)}, not ${bodies.map(textOf).join(" or ")}`)
}

const textOf = (body: Body): string =>
  body === undefined ? "no object" : `${body.length} bytes "${body.subarray(0, 40).toString("latin1")}"`
