/**
 * A client of coordination (`/coord/` of the admin port): sessions that renew themselves, locks with fences, elections,
 * small files and what has changed.
 *
 * Promises  `signal` of a session fires before the store can give its locks to others: counted from the moment at which the
 *           last renewal that was answered was sent, by the monotonic clock of this process. A process that is stopped, or a
 *           machine that sleeps, notices late: what must not happen then needs a fence.
 * Failures  `RemoteFailure` by status, `Unreachable`, `BrokenAnswer`. A lock that is held by others is no failure.
 * Limits    One request waits for `WAIT_SECONDS` at most, and is repeated.
 */
import { createHash } from "node:crypto"
import { z } from "zod"
import { signRequest } from "../access/sigv4.js"
import type { Clock } from "../seams/clock/contract.js"
import { HttpCaller, type Answer } from "./http-caller.js"
import { BrokenAnswer, RemoteFailure, Unreachable } from "./remote.js"
import type { Trust } from "./trust.js"

const WAIT_SECONDS = 25
/** A session is renewed after this part of its lease, and again soon if that fails. */
const RENEWALS_IN_LEASE = 3
const AGAIN_MS = 500
const SECOND_MS = 1_000
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
  /** Of the admin port. */
  readonly endpoint: string
  readonly trust?: Trust
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
  /** What others see: the address of a leader, perhaps. */
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

const SESSION = z.object({ session: z.string(), leaseSeconds: z.number() })
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
    private readonly signal: AbortSignal,
  ) {
    const url = new URL(access.endpoint)
    this.caller = new HttpCaller(url, undefined, access.trust)
    this.host = url.host
  }

  close(): void {
    this.caller.close()
  }

  /** Begins a session, and renews it until it ends. */
  async begin(options: SessionOptions = {}): Promise<CoordSession> {
    const sentMs = this.clock.monotonicMs()
    const begun = await this.json(SESSION, { method: "POST", target: "sessions", body: JSON.stringify(options) })
    return new CoordSession(this, begun.session, SECOND_MS * begun.leaseSeconds, sentMs)
  }

  /** Who holds a lock, and with which values. */
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
   * The holders, whenever they are others than before, from now on: who leads. Ends when the signal fires.
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

  /** Why the fence does not hold; undefined: it does. */
  async faultOf(fence: string): Promise<string | undefined> {
    const { valid, reason } = await this.json(FENCE, { method: "GET", target: `fences/${inPath(fence)}` })
    return valid ? undefined : (reason ?? "it is not valid")
  }

  /** Undefined: there is no such file. */
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
    await this.done({ method: "DELETE", target: `files/${inPath(path)}`, headers: headersOf(options) })
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

  /** For answers without a body: its connection is free again once it was read. */
  async done(request: CoordRequest): Promise<void> {
    await (await this.send(request)).document()
  }

  /** The answer, whose body is still to be read. Throws as the class says. */
  async send({ method, target, body = "", headers = [], signal }: CoordRequest): Promise<Answer> {
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

/** A session that renews itself. */
class CoordSession {
  private readonly over = new AbortController()
  private safeUntilMs: number
  private cancelAlarm: () => void = () => undefined
  private isEnding = false
  /** Resolves once nothing is renewed any more. */
  private readonly renewing: Promise<void>

  constructor(
    private readonly client: CoordClient,
    readonly id: string,
    private readonly leaseMs: number,
    sentMs: number,
  ) {
    this.safeUntilMs = sentMs + leaseMs
    this.watch()
    this.renewing = this.renew()
  }

  /** Fires when its locks may belong to others, or soon will. The session is of no use from then on. */
  get signal(): AbortSignal {
    return this.over.signal
  }

  /** How long its locks are safe without another renewal. */
  get safeMs(): number {
    return Math.max(0, this.safeUntilMs - this.client.clock.monotonicMs())
  }

  /** Takes a lock. Undefined: others hold it, and did so for as long as this may wait. */
  async acquire(path: string, options: LockOptions = {}): Promise<CoordLock | undefined> {
    const { mode = "exclusive", value = "", waitSeconds = 0, signal = this.signal } = options
    const untilMs = this.client.clock.monotonicMs() + SECOND_MS * waitSeconds
    const target = `locks/${inPath(path)}`
    const either = AbortSignal.any([signal, this.signal])
    for (;;) {
      const leftSeconds = Math.max(0, untilMs - this.client.clock.monotonicMs()) / SECOND_MS
      const wait = Math.min(leftSeconds, WAIT_SECONDS)
      const asked = { session: this.id, mode, value, waitSeconds: wait, keepsPlace: leftSeconds > WAIT_SECONDS }
      try {
        const answer = await this.client.send({ method: "PUT", target, body: JSON.stringify(asked), signal: either })
        const text = await answer.document()
        if (answer.status !== 202) return new CoordLock(this.client, this, parsed(HELD, text))
      } catch (error) {
        if (error instanceof RemoteFailure && error.code === "lockHeld") return undefined
        // Whether it has the lock or a place in line is not known: it gives up both.
        if (!this.signal.aborted) await this.release(path).catch(() => undefined)
        throw error
      }
    }
  }

  /** Gives up a lock, or a place in line. With a token: only the acquisition that has it. */
  async release(path: string, token?: number): Promise<void> {
    const only = token === undefined ? "" : `&token=${token}`
    await this.client.done({ method: "DELETE", target: `locks/${inPath(path)}?session=${this.id}${only}` })
  }

  /** A file that ends with the session. Returns its version. */
  async write(path: string, content: Uint8Array | string, options: FileOptions = {}): Promise<number> {
    return this.client.write(path, content, { ...options, session: this.id })
  }

  /** Ends it: its locks are free, and its files deleted. */
  async end(): Promise<void> {
    this.isEnding = true
    this.stop()
    await this.renewing
    await this.client.done({ method: "DELETE", target: `sessions/${this.id}` })
  }

  private stop(): void {
    this.cancelAlarm()
    this.over.abort()
  }

  /** Fires the signal when the lease is over. */
  private watch(): void {
    this.cancelAlarm()
    this.cancelAlarm = this.client.clock.alarm(this.safeMs, () => (this.safeMs > 0 ? this.watch() : this.stop()))
  }

  private async renew(): Promise<void> {
    const { clock } = this.client
    let waitMs = this.leaseMs / RENEWALS_IN_LEASE
    for (;;) {
      await clock.sleep(waitMs, this.signal)
      if (this.signal.aborted || this.isEnding) return
      const sentMs = clock.monotonicMs()
      try {
        const target = `sessions/${this.id}/renew`
        await this.client.json(SESSION, { method: "POST", target, signal: this.signal })
        this.safeUntilMs = sentMs + this.leaseMs
        if (this.safeMs > 0) this.watch()
        waitMs = this.leaseMs / RENEWALS_IN_LEASE
      } catch (error) {
        // It has ended, or this client may not use it: others may have its locks.
        if (error instanceof RemoteFailure && error.status < 500 && error.status !== 429) return this.stop()
        if (!(error instanceof RemoteFailure || error instanceof Unreachable || error instanceof BrokenAnswer)) {
          if (this.signal.aborted) return
          throw error
        }
        waitMs = Math.min(AGAIN_MS, this.leaseMs / RENEWALS_IN_LEASE)
      }
    }
  }
}

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

  /** Whether the store says that it is held, now. */
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
  return new RemoteFailure(status, code, message, undefined)
}
