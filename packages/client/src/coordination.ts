/**
 * A client of coordination (`/coord/` of the admin port): sessions that renew themselves, locks with fences, elections,
 * small files and what has changed.
 *
 * Promises  `signal` of a session fires before its silence can end it: counted from the moment at which the last renewal that
 *           was answered was sent, by the monotonic clock of this process. A session that an operator has ended is noticed
 *           at its next renewal. A process that is stopped, or a
 *           machine that sleeps, notices late: what must not happen then needs a fence.
 * Failures  `RemoteFailure` by status, `Unreachable`, `BrokenAnswer`. A lock that is held by others is no failure.
 * Limits    One request waits for `WAIT_SECONDS` at most, and is repeated.
 */
import { createHash } from "node:crypto"
import { z } from "zod"
import { signRequest } from "@hayloft/access/sigv4.js"
import { FirstAbort, limited } from "@hayloft/base/life/index.js"
import type { Clock } from "@hayloft/base/seams/clock/contract.js"
import { within } from "@hayloft/base/seams/clock/within.js"
import { HttpCaller, type ServerAnswer } from "./http-caller.js"
import { BrokenAnswer, briefCode, briefMessage, RemoteFailure } from "./remote.js"
import type { Trust } from "./trust.js"

const WAIT_SECONDS = 25
/** A session is renewed after this part of its lease, and again soon if that fails. */
const RENEWALS_IN_LEASE = 3
const AGAIN_MS = 500
const SECOND_MS = 1_000
/** A release, and the end of a session, take no longer. */
const LAST_MS = 5_000
const SERVICE = "coord"

/** A key with a signature, or a token of the admin API. */
type CoordCredentials =
  | {
      readonly accessKeyId: string
      readonly secretAccessKey: string
      readonly region: string
      readonly sessionToken?: string | undefined
    }
  | { readonly token: string }

export type CoordAccess = CoordCredentials & {
  /** URL of the admin port. */
  readonly endpoint: string
  readonly trust?: Trust
  readonly connectionsMax?: number
}

interface CoordRequest {
  readonly method: string
  /** Below `/coord/`, with its query. */
  readonly target: string
  readonly body?: Uint8Array | string | undefined
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly signal?: AbortSignal | undefined
}

interface SessionOptions {
  readonly name?: string
  readonly leaseSeconds?: number
  readonly graceSeconds?: number
}

interface LockOptions {
  readonly mode?: "exclusive" | "shared"
  /** Text that others see: the address of a leader, perhaps. */
  readonly value?: string
  /** How long to wait in line; Infinity: until the session ends. */
  readonly waitSeconds?: number
  readonly signal?: AbortSignal
}

interface FileOptions {
  /** The version that is there. */
  readonly ifVersion?: number
  /** There is no file yet. */
  readonly isNew?: boolean
  readonly fence?: string
}

const SESSION = z.object({ session: z.string(), leaseSeconds: z.number(), graceSeconds: z.number() })
const HOLDER = z.object({ session: z.string(), token: z.number(), fence: z.string(), value: z.string() })
const HELD = HOLDER.extend({ path: z.string() })
const LOCK = z.object({
  path: z.string(),
  mode: z.enum(["exclusive", "shared"]).optional(),
  holders: z.array(HOLDER),
  waiting: z.array(z.object({ session: z.string() })),
})
const LOCKS = z.object({ locks: z.array(LOCK), after: z.string().optional() })
const WRITTEN = z.object({ version: z.number() })
const FILES = z.object({
  files: z.array(
    z.object({ path: z.string(), version: z.number(), bytes: z.number(), session: z.string().optional() }),
  ),
  after: z.string().optional(),
})
const CHANGES = z.object({
  upTo: z.number(),
  isReset: z.boolean().default(false),
  changes: z.array(
    z.object({
      number: z.number(),
      path: z.string(),
      kind: z.enum(["written", "deleted", "acquired", "released"]),
    }),
  ),
})
const FENCE = z.object({ valid: z.boolean(), reason: z.string().optional() })

type LockHolder = z.output<typeof HOLDER>
type CoordChanges = z.output<typeof CHANGES>

const inPath = (path: string): string => path.split("/").map(encodeURIComponent).join("/")

export class CoordClient {
  private readonly caller: HttpCaller
  private readonly host: string

  constructor(
    private readonly access: CoordAccess,
    readonly clock: Clock,
    /** When it fires, requests under way are broken off, and sessions are not renewed any more. */
    readonly signal: AbortSignal,
  ) {
    const url = new URL(access.endpoint)
    this.caller = new HttpCaller(url, access.connectionsMax, access.trust)
    this.host = url.host
  }

  close(): void {
    this.caller.close()
  }

  /** Begins a session, and renews it until it ends. */
  async begin(options: SessionOptions = {}): Promise<CoordSession> {
    const sentMs = this.clock.monotonicMs()
    const begun = await this.json(SESSION, { method: "POST", target: "sessions", body: JSON.stringify(options) })
    return new CoordSession(this, begun.session, begun, sentMs)
  }

  /** Returns who holds a lock, and with which values. */
  async holders(path: string): Promise<readonly LockHolder[]> {
    return (await this.json(LOCK, { method: "GET", target: `locks/${inPath(path)}` })).holders
  }

  /** Locks below a prefix, which ends with a slash, that are held or waited for. */
  async locks(prefix: string): Promise<readonly z.output<typeof LOCK>[]> {
    const found: z.output<typeof LOCK>[] = []
    let after: string | undefined
    do {
      const query = after === undefined ? "" : `?after=${encodeURIComponent(after)}`
      const page = await this.json(LOCKS, { method: "GET", target: `locks/${inPath(prefix)}${query}` })
      found.push(...page.locks)
      after = page.after
    } while (after !== undefined)
    return found
  }

  /**
   * Yields the holders whenever the latest acquisition changes or the lock becomes free. Ends when the signal fires.
   */
  async *follow(path: string, signal: AbortSignal): AsyncGenerator<readonly LockHolder[], void> {
    let after: number | undefined
    while (!signal.aborted) {
      const query = after === undefined ? "" : `?after=${after}&waitSeconds=${WAIT_SECONDS}`
      const target = `locks/${inPath(path)}${query}`
      const answer = await unlessAborted(signal, this.send({ method: "GET", target, signal }))
      if (answer === undefined) return
      const text = await answer.document()
      if (answer.status === 304) continue
      const { holders } = parsed(LOCK, text)
      after = Math.max(0, ...holders.map(({ token }) => token))
      yield holders
    }
  }

  /** Returns why the fence does not hold; undefined: it does. */
  async faultOf(fence: string): Promise<string | undefined> {
    const { valid, reason } = await this.json(FENCE, { method: "GET", target: `fences/${inPath(fence)}` })
    return valid ? undefined : (reason ?? "it is not valid")
  }

  /** Returns undefined if there is no such file. */
  async read(path: string): Promise<{ readonly content: Buffer; readonly version: number } | undefined> {
    try {
      const answer = await this.send({ method: "GET", target: `files/${inPath(path)}` })
      const version = Number(/^"(\d+)"$/.exec(String(answer.headers.etag))?.[1])
      return { content: await answer.document(), version }
    } catch (error) {
      if (error instanceof RemoteFailure && error.code === "noSuchFile") return undefined
      throw error
    }
  }

  /** Returns the version. A condition that does not hold is a `RemoteFailure` with the status 412. */
  async write(
    path: string,
    content: Uint8Array | string,
    options: FileOptions & { session?: string } = {},
  ): Promise<number> {
    const { session } = options
    const target = `files/${inPath(path)}${session === undefined ? "" : `?session=${session}`}`
    const headers = headersOf(options)
    return (await this.json(WRITTEN, { method: "PUT", target, body: content, headers })).version
  }

  async remove(path: string, options: FileOptions = {}): Promise<void> {
    const answer = await this.send({ method: "DELETE", target: `files/${inPath(path)}`, headers: headersOf(options) })
    // Its connection is free again once the answer was read.
    await answer.document()
  }

  /** Files below a prefix, which ends with a slash. */
  async *files(prefix: string): AsyncGenerator<z.output<typeof FILES>["files"][number], void> {
    let after: string | undefined
    do {
      const query = after === undefined ? "" : `?after=${encodeURIComponent(after)}`
      const page = await this.json(FILES, { method: "GET", target: `files/${inPath(prefix)}${query}` })
      yield* page.files
      after = page.after
    } while (after !== undefined)
  }

  /** Changes below a prefix after a number; waits for some. Without a number: where to begin. */
  async changes(prefix: string, after?: number, signal?: AbortSignal): Promise<CoordChanges> {
    const query = after === undefined ? "" : `?after=${after}&waitSeconds=${WAIT_SECONDS}`
    return this.json(CHANGES, { method: "GET", target: `changes/${inPath(prefix)}${query}`, signal })
  }

  async json<T extends z.ZodType>(schema: T, request: CoordRequest): Promise<z.output<T>> {
    return parsed(schema, await (await this.send(request)).document())
  }

  /** Sends a release or an end, which also works after the client's signal has fired. */
  async last(request: CoordRequest): Promise<void> {
    await this.within(LAST_MS, undefined, async signal => (await this.send({ ...request, signal })).document())
  }

  /** Breaks the work off after this time, or when the signal fires. */
  within<T>(ms: number, signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return limited({ clock: this.clock, durationMs: ms }, [signal], work)
  }

  /** The answer, whose body is still to be read. Throws as the class says. */
  async send({ method, target, body = "", headers = [], signal }: CoordRequest): Promise<ServerAnswer> {
    const bytes = typeof body === "string" ? Buffer.from(body) : body
    const rawTarget = `/coord/${target}`
    const own = ["host", this.host, "content-length", String(bytes.length), ...headers.flat()]
    const rawHeaders = this.authorized(method, rawTarget, own, bytes)
    const call = { method, rawTarget, rawHeaders, body: bytes, signal: signal ?? this.signal }
    const answer = await this.caller.call(call)
    if (answer.status < 300 || answer.status === 304) return answer
    throw failureOf(answer.status, await answer.document())
  }

  private authorized(
    method: string,
    rawTarget: string,
    headers: readonly string[],
    body: Uint8Array,
  ): readonly string[] {
    const { access } = this
    if ("token" in access) return [...headers, "authorization", `Bearer ${access.token}`]
    const { accessKeyId, secretAccessKey: secret, region, sessionToken } = access
    const rawHeaders = sessionToken === undefined ? headers : [...headers, "x-amz-security-token", sessionToken]
    const hash = createHash("sha256").update(body).digest("hex")
    const credentials = { accessKeyId, secret, region, service: SERVICE }
    return signRequest({ method, rawTarget, rawHeaders }, hash, credentials, this.clock.wallMs()).rawHeaders
  }
}

/** A session that renews itself, until it is ended or the client's signal fires. */
class CoordSession {
  private readonly over = new AbortController()
  private safeUntilMs: number
  private cancelAlarm: () => void = () => undefined
  /** Paths of locks that this object has handed out, and that were not released. */
  private readonly held = new Set<string>()
  /** Resolves once nothing is renewed any more. */
  private readonly renewing: Promise<void>
  private readonly leaseMs: number
  /** The store keeps the locks for so much longer than the lease. */
  readonly graceMs: number
  private readonly stop = (): void => {
    this.cancelAlarm()
    this.client.signal.removeEventListener("abort", this.stop)
    this.over.abort()
  }

  constructor(
    private readonly client: CoordClient,
    readonly id: string,
    { leaseSeconds, graceSeconds }: z.output<typeof SESSION>,
    sentMs: number,
  ) {
    this.leaseMs = SECOND_MS * leaseSeconds
    this.graceMs = SECOND_MS * graceSeconds
    this.safeUntilMs = sentMs + this.leaseMs
    client.signal.addEventListener("abort", this.stop, { once: true })
    if (client.signal.aborted) this.stop()
    else this.watch()
    this.renewing = this.renew()
  }

  /**
   * Fires when the lease is over, before the store can give its locks to others; when a renewal learns that the session was
   * ended; and when the client stops. The session is of no use from then on.
   */
  get signal(): AbortSignal {
    return this.over.signal
  }

  /** How long its locks are safe without another renewal. */
  get safeMs(): number {
    return Math.max(0, this.safeUntilMs - this.client.clock.monotonicMs())
  }

  /**
   * Takes a lock, one request for a path at a time. Undefined: others hold it, and did so for as long as this may wait. While
   * it may wait it asks again if a node does not answer.
   */
  async acquire(path: string, options: LockOptions = {}): Promise<CoordLock | undefined> {
    const { mode = "exclusive", value = "", waitSeconds = 0, signal } = options
    const either = new FirstAbort([this.signal, signal])
    try {
      return await this.acquireUntil(path, { mode, value, waitSeconds }, either.signal)
    } finally {
      either.release()
    }
  }

  private async acquireUntil(
    path: string,
    { mode, value, waitSeconds }: Required<Pick<LockOptions, "mode" | "value" | "waitSeconds">>,
    either: AbortSignal,
  ): Promise<CoordLock | undefined> {
    const { clock } = this.client
    const untilMs = clock.monotonicMs() + SECOND_MS * waitSeconds
    let hasPlace = false
    for (;;) {
      const leftSeconds = Math.max(0, untilMs - clock.monotonicMs()) / SECOND_MS
      const asked = { session: this.id, mode, value, waitSeconds: Math.min(leftSeconds, WAIT_SECONDS) }
      try {
        const answer = await this.ask(path, { ...asked, keepsPlace: leftSeconds > WAIT_SECONDS }, either)
        if (answer.status !== 202) return this.hold(parsed(HELD, answer.text))
        hasPlace = true
      } catch (error) {
        const isHeld = error instanceof RemoteFailure && error.code === "lockHeld"
        const isLate = clock.monotonicMs() >= untilMs
        if (isHeld && isLate) return undefined
        // A refusal has changed nothing.
        const isCertain = isRefusal(error)
        if ((isCertain && !isHeld) || isLate || either.aborted) {
          if (hasPlace || !isCertain) await this.leave(path)
          throw error
        }
        await clock.sleep(AGAIN_MS, either)
      }
    }
  }

  /** Gives up a lock, or a place in line. With a token: only the acquisition that has it. */
  async release(path: string, token?: number): Promise<void> {
    this.held.delete(path)
    const only = token === undefined ? "" : `&token=${token}`
    await this.client.last({ method: "DELETE", target: `locks/${inPath(path)}?session=${this.id}${only}` })
  }

  /** A file that ends with the session. Returns its version. */
  async write(path: string, content: Uint8Array | string, options: FileOptions = {}): Promise<number> {
    return this.client.write(path, content, { ...options, session: this.id })
  }

  /** Ends it: its locks are free, and its files deleted. It works also after the client's signal has fired. */
  async end(): Promise<void> {
    this.stop()
    await this.renewing
    await this.client.last({ method: "DELETE", target: `sessions/${this.id}` })
  }

  private hold(held: z.output<typeof HELD>): CoordLock {
    this.held.add(held.path)
    return new CoordLock(this.client, this, held)
  }

  /**
   * Sends one acquisition. When the signal fires, the request may not have reached the store yet, and a place that is given
   * up before would be taken by it: the connection is closed only after the request was answered, too.
   */
  private async ask(path: string, acquisition: object, signal: AbortSignal): Promise<{ status: number; text: Buffer }> {
    const { clock } = this.client
    signal.throwIfAborted()
    const closing = new AbortController()
    const body = JSON.stringify(acquisition)
    const sent = this.client.send({ method: "PUT", target: `locks/${inPath(path)}`, body, signal: closing.signal })
    const answered = sent.then(async answer => ({ status: answer.status, text: await answer.document() }))
    let isAnswered = false
    const settled = answered.then(
      () => (isAnswered = true),
      () => (isAnswered = true),
    )
    const fired = new Promise<void>(resolve => signal.addEventListener("abort", () => resolve(), { once: true }))
    await Promise.race([settled, fired])
    if (!signal.aborted) return answered
    const untilMs = clock.monotonicMs() + LAST_MS
    while (!isAnswered && clock.monotonicMs() < untilMs) {
      await this.leave(path)
      await within(clock, AGAIN_MS, settled)
    }
    closing.abort()
    await settled
    throw signal.reason
  }

  /**
   * The session may or may not have got the lock, or a place in line: it gives up both, unless it had the lock before.
   */
  private async leave(path: string): Promise<void> {
    if (!this.held.has(path)) await this.release(path).catch(() => undefined)
  }

  /** Fires the signal when the lease is over. */
  private watch(): void {
    this.cancelAlarm()
    this.cancelAlarm = this.client.clock.alarm(this.safeMs, () => (this.safeMs > 0 ? this.watch() : this.stop()))
  }

  private async renew(): Promise<void> {
    const { clock } = this.client
    const everyMs = this.leaseMs / RENEWALS_IN_LEASE
    let waitMs = everyMs
    for (;;) {
      await clock.sleep(waitMs, this.signal)
      if (this.signal.aborted) return
      const sentMs = clock.monotonicMs()
      try {
        // A node that does not answer leaves time for another attempt.
        const request = { method: "POST", target: `sessions/${this.id}/renew` }
        await this.client.within(everyMs, this.signal, signal => this.client.json(SESSION, { ...request, signal }))
        this.safeUntilMs = sentMs + this.leaseMs
        if (this.safeMs > 0) this.watch()
        waitMs = everyMs
      } catch (error) {
        if (this.signal.aborted) return
        // It has ended, or this client may not use it: others may have its locks.
        if (isRefusal(error)) return this.stop()
        waitMs = Math.min(AGAIN_MS, everyMs)
      }
    }
  }
}

/** The store has decided, and has changed nothing. */
const isRefusal = (error: unknown): boolean =>
  error instanceof RemoteFailure && error.status < 500 && error.status !== 429

/** A lock that a session holds. */
export class CoordLock {
  readonly path: string
  readonly token: number
  /** For `x-hayloft-fence`, and for services that check it. */
  readonly fence: string

  constructor(
    private readonly client: CoordClient,
    private readonly session: CoordSession,
    { path, token, fence }: z.output<typeof HELD>,
  ) {
    this.path = path
    this.token = token
    this.fence = fence
  }

  /** Fires when the lock may belong to others, or soon will. */
  get signal(): AbortSignal {
    return this.session.signal
  }

  /** Returns true if the store reports that the lock is held now. */
  async isHeld(): Promise<boolean> {
    return (await this.client.faultOf(this.fence)) === undefined
  }

  release(): Promise<void> {
    return this.session.release(this.path, this.token)
  }
}

function headersOf({ ifVersion, isNew, fence }: FileOptions): readonly (readonly [string, string])[] {
  return [
    ...(ifVersion === undefined ? [] : [["if-match", `"${ifVersion}"`] as const]),
    ...(isNew === true ? [["if-none-match", "*"] as const] : []),
    ...(fence === undefined ? [] : [["x-hayloft-fence", fence] as const]),
  ]
}

async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}

function parsed<T extends z.ZodType>(schema: T, text: Buffer): z.output<T> {
  let value: unknown
  try {
    value = JSON.parse(text.toString("utf8"))
  } catch {
    throw new BrokenAnswer("this is no coordination: the response is not JSON")
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new BrokenAnswer(`the response has another form: ${result.error.issues[0]?.message ?? ""}`)
}

const ERROR = z.object({ error: z.object({ code: z.string(), message: z.string() }) })

function failureOf(status: number, text: Buffer): RemoteFailure {
  let value: unknown
  try {
    value = JSON.parse(text.toString("utf8"))
  } catch {
    value = undefined
  }
  const { success, data } = ERROR.safeParse(value)
  const { code, message } = success ? data.error : { code: `http-${status}`, message: `status ${status}` }
  return new RemoteFailure(status, briefCode(code), briefMessage(message), undefined)
}
