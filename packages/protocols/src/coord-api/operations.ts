/**
 * The operations below `/coord/`: sessions, locks, small files and changes, as JSON; contents of files as they are.
 *
 * Source  Burrows, "The Chubby lock service for loosely-coupled distributed systems", OSDI 2006.
 */
import { z } from "zod"
import { parseFence, textOfFence } from "@hayloft/base/fence.js"
import { fail } from "@hayloft/base/failures.js"
import { parseCoordPath, parseSessionId, type CoordPath } from "@hayloft/base/ids.js"
import {
  COORD_LIMITS,
  STORE_NAMESPACE,
  type AcquireOutcome,
  type FileConditions,
  type ShownFile,
  type LockStanding,
} from "@hayloft/features/locks/index.js"
import { FENCE_HEADER } from "@hayloft/base/fence.js"
import {
  namespaceOf,
  type FileRecord,
  type LockHolder,
  type LockRecord,
  type SessionRecord,
} from "@hayloft/engine/format/coord-rows.js"
import type { PlainAnswer, QueryParameters } from "../http/index.js"
import type { Watcher } from "@hayloft/base/life/index.js"
import { principalOf, type CoordCall } from "./call.js"
import type { CoordOperation, CoordRoute } from "./route.js"

type Act = (call: CoordCall, route: CoordRoute) => Promise<PlainAnswer>

const answerOf = (status: number, value: unknown): PlainAnswer => ({
  status,
  headers: ["Content-Type", "application/json", "Cache-Control", "no-store"],
  body: Buffer.from(`${JSON.stringify(value)}\n`),
})

const NO_CONTENT: PlainAnswer = { status: 204, headers: [], body: new Uint8Array(0) }
const NOT_CHANGED: PlainAnswer = { status: 304, headers: [], body: new Uint8Array(0) }

/** Throws `invalidArgument` with the path of what is wrong. An empty body is an empty object. */
function bodyOf<T extends z.ZodType>(schema: T, body: Uint8Array): z.output<T> {
  let value: unknown
  try {
    value = body.length === 0 ? {} : JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body))
  } catch {
    throw fail("invalidArgument", { message: "The body is not JSON." })
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const place = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.join(".")
  throw fail("invalidArgument", { message: `${place}: ${issue?.message ?? "not valid"}` })
}

const { leaseSecondsMin, leaseSecondsMax, graceSecondsMin, graceSecondsMax, nameCharactersMax, waitSecondsMax } =
  COORD_LIMITS

const NEW_SESSION = z.strictObject({
  name: z.string().max(nameCharactersMax).default(""),
  leaseSeconds: z.int().min(leaseSecondsMin).max(leaseSecondsMax).optional(),
  graceSeconds: z.int().min(graceSecondsMin).max(graceSecondsMax).optional(),
})

const ACQUISITION = z.strictObject({
  session: z.string(),
  mode: z.enum(["exclusive", "shared"]).default("exclusive"),
  value: z.string().default(""),
  waitSeconds: z.number().min(0).max(waitSecondsMax).default(0),
  /** The session keeps its place in line after this time, until it asks again, releases the lock or ends. */
  keepsPlace: z.boolean().default(false),
})

const sessionJson = (id: string, { beat: _, ...session }: SessionRecord) => ({ session: id, ...session })
const countOf = (parameters: QueryParameters): number => parameters.whole("count", 1, COORD_LIMITS.pageMax) ?? 100
const waitOf = (parameters: QueryParameters): number => parameters.whole("waitSeconds", 0, waitSecondsMax) ?? 0
/** Returns where a page begins. An empty cursor, as a script has it for the first page, counts as none. */
function cursorOf<Place>(parameters: QueryParameters, parse: (text: string) => Place): Place | undefined {
  const text = parameters.text("after")
  return text === undefined || text === "" ? undefined : parse(text)
}

const at = ({ caller }: CoordCall, path: CoordPath) => ({ account: caller.account, path })

/** A path that clients may change. Throws `invalidArgument`, `accessForbidden`. */
function ownPath(text: string): CoordPath {
  const path = parseCoordPath(text)
  if (namespaceOf(path) === STORE_NAMESPACE)
    throw fail("accessForbidden", { message: `The store itself writes the namespace ${STORE_NAMESPACE}.` })
  return path
}

/** The namespace of a prefix, or of a path, and what paths begin with. Throws `invalidArgument`. */
function belowOf(text: string): { readonly namespace: string; readonly prefix: string } {
  const path = parseCoordPath(text.endsWith("/") ? `${text}x` : text)
  return { namespace: namespaceOf(path), prefix: text }
}

async function beginSession(call: CoordCall): Promise<PlainAnswer> {
  call.require("BeginSession")
  const input = bodyOf(NEW_SESSION, call.body)
  const { account, principal } = call.caller
  const { id, session } = await call.coordination.begin(account, { ...input, principal })
  return answerOf(201, sessionJson(id, session))
}

async function listSessions(call: CoordCall, { parameters }: CoordRoute): Promise<PlainAnswer> {
  call.require("ListSessions")
  const from = cursorOf(parameters, parseSessionId)
  const page = await call.coordination.sessions(call.caller.account, from, countOf(parameters))
  const sessions = page.found.map(({ id, session }) => sessionJson(id, session))
  return answerOf(200, { sessions, ...(page.after !== undefined && { after: page.after }) })
}

const sessionOf = (call: CoordCall, name: string) => ({
  account: call.caller.account,
  id: parseSessionId(name),
  by: principalOf(call),
})

async function getSession(call: CoordCall, { name }: CoordRoute): Promise<PlainAnswer> {
  const { id } = sessionOf(call, name)
  const session = await call.coordination.session({ account: call.caller.account, id })
  // Ids are 128 random bits: whether one exists is no secret to guess.
  if (session === undefined) throw fail("noSuchSession", { message: `The session ${id} does not exist: it has ended.` })
  if (session.principal !== call.caller.principal) call.require("ListSessions")
  return answerOf(200, sessionJson(id, session))
}

async function renewSession(call: CoordCall, { name }: CoordRoute): Promise<PlainAnswer> {
  const of = sessionOf(call, name)
  return answerOf(200, sessionJson(of.id, await call.coordination.renew(of)))
}

async function endSession(call: CoordCall, { name }: CoordRoute): Promise<PlainAnswer> {
  const { account, id } = sessionOf(call, name)
  const session = await call.coordination.session({ account, id })
  if (session === undefined) return NO_CONTENT
  if (session.principal !== call.caller.principal) call.require("EndSession")
  await call.coordination.end({ account, id })
  return NO_CONTENT
}

async function listNamespaces(call: CoordCall, { parameters }: CoordRoute): Promise<PlainAnswer> {
  call.require("ListNamespaces")
  const page = await call.coordination.namespaces(
    call.caller.account,
    cursorOf(parameters, String),
    countOf(parameters),
  )
  const namespaces = page.found.map(({ name, namespace: { files, bytes, locks, lastNumber } }) => ({
    name,
    files,
    bytes,
    locks,
    lastNumber,
  }))
  return answerOf(200, { namespaces, ...(page.after !== undefined && { after: page.after }) })
}

const holderJson = (path: CoordPath, { mode }: Pick<LockRecord, "mode">, { token, ...holder }: LockHolder) => ({
  ...holder,
  token,
  fence: textOfFence({ path, mode, token }),
})

function lockJson(path: CoordPath, lock: LockRecord | undefined) {
  if (lock === undefined) return { path, holders: [], waiting: [] }
  const holders = lock.holders.map(holder => holderJson(path, lock, holder))
  return { path, mode: lock.mode, holders, waiting: lock.waiting }
}

function heldBy(path: CoordPath, { mode, holders, waiting }: LockRecord) {
  const [first] = holders
  const since = first === undefined ? "" : ` since ${new Date(first.sinceMs).toISOString()}`
  const others = holders.length > 1 ? ` and ${holders.length - 1} more` : ""
  const message = `The session ${first?.session}${others} holds the lock ${path} (${mode})${since}; ${waiting.length} wait for it.`
  return fail("lockHeld", { message })
}

const acquiredAnswer = (path: CoordPath, mode: LockRecord["mode"], holder: LockHolder): PlainAnswer =>
  answerOf(200, { path, mode, ...holderJson(path, { mode }, holder) })

async function acquireLock(call: CoordCall, { name }: CoordRoute): Promise<PlainAnswer> {
  const path = ownPath(name)
  call.require("AcquireLock", path)
  const { waitSeconds, keepsPlace, value, ...asked } = bodyOf(ACQUISITION, call.body)
  if (Buffer.byteLength(value) > COORD_LIMITS.valueBytesMax)
    throw fail("invalidArgument", { message: `value: at most ${COORD_LIMITS.valueBytesMax} bytes` })
  const { coordination, until, caller } = call
  const session = parseSessionId(asked.session)
  const of = { ...at(call, path), session, by: principalOf(call) }
  const acquisition = { ...of, mode: asked.mode, value, waits: waitSeconds > 0 || keepsPlace }
  const { account } = caller
  const watched = { account, namespace: namespaceOf(path), prefix: path }
  const waiter = waitSeconds > 0 ? coordination.watchFor(watched) : noWatcher()
  const outcome: { last: AcquireOutcome | LockStanding | undefined } = { last: undefined }
  const found = await until(waiter, waitSeconds, async () => {
    // It takes a place once: a place that another request gives up meanwhile is not taken again.
    outcome.last = outcome.last ? await coordination.standing(of) : await coordination.acquire(acquisition)
    return outcome.last.kind === "waiting" ? undefined : outcome.last
  })
  if (found?.kind === "acquired") return acquiredAnswer(path, found.mode, found.holder)
  if (found?.kind === "held") throw heldBy(path, found.lock)
  if (keepsPlace && outcome.last?.kind === "waiting")
    return answerOf(202, { path, isWaiting: true, before: outcome.last.before })
  // It gives up its place, unless it has got the lock meanwhile.
  const released = await coordination.release(of, true)
  if (typeof released !== "string") return acquiredAnswer(path, asked.mode, released)
  const lock = await coordination.lock(at(call, path))
  throw lock === undefined ? fail("lockHeld", { message: `The lock ${path} was held by others.` }) : heldBy(path, lock)
}

async function releaseLock(call: CoordCall, { name, parameters }: CoordRoute): Promise<PlainAnswer> {
  const path = ownPath(name)
  call.require("AcquireLock", path)
  const session = parseSessionId(parameters.needed("session"))
  const token = parameters.whole("token")
  await call.coordination.release({ ...at(call, path), session, token, by: principalOf(call) })
  return NO_CONTENT
}

/** The latest token of the holders; 0 if the lock is free. */
const tokenOf = (lock: LockRecord | undefined): number =>
  Math.max(0, ...(lock?.holders ?? []).map(({ token }) => token))

async function getLock(call: CoordCall, { name, parameters }: CoordRoute): Promise<PlainAnswer> {
  const path = parseCoordPath(name)
  call.require("GetLock", path)
  const after = parameters.whole("after")
  const found = await follow(call, path, waitOf(parameters), async () => {
    const lock = await call.coordination.lock(at(call, path))
    return tokenOf(lock) === after ? undefined : lockJson(path, lock)
  })
  return found === undefined ? NOT_CHANGED : answerOf(200, found)
}

async function listLocks(call: CoordCall, { name, parameters }: CoordRoute): Promise<PlainAnswer> {
  const { prefix } = belowOf(name)
  call.require("ListLocks", prefix)
  const page = await call.coordination.locks(
    call.caller.account,
    prefix,
    cursorOf(parameters, parseCoordPath),
    countOf(parameters),
  )
  const locks = page.found.map(({ path, lock }) => lockJson(path, lock))
  return answerOf(200, { locks, ...(page.after !== undefined && { after: page.after }) })
}

async function checkFence(call: CoordCall, { name }: CoordRoute): Promise<PlainAnswer> {
  const fence = parseFence(name, call.caller.account)
  call.require("GetLock", fence.path)
  const reason = await call.coordination.faultOf(fence)
  return answerOf(200, { valid: reason === undefined, ...(reason !== undefined && { reason }) })
}

const ETAG = /^"(\d{1,15})"$/

/** `If-Match` with a version or `*`, `If-None-Match: *`, and a fence. Throws `invalidArgument`. */
function conditionsOf({ exchange, caller }: CoordCall): FileConditions {
  const [match, none] = [exchange.header("if-match"), exchange.header("if-none-match")]
  const fence = exchange.header(FENCE_HEADER)
  if (none !== undefined && none !== "*")
    throw fail("invalidArgument", { message: "If-None-Match accepts * only: there is no file yet." })
  const version = match === undefined || match === "*" ? undefined : ETAG.exec(match)?.[1]
  if (match !== undefined && match !== "*" && version === undefined)
    throw fail("invalidArgument", { message: 'If-Match accepts * or the ETag of one version: "1795680000123".' })
  return {
    ...(version !== undefined && { ifVersion: Number(version) }),
    ...(match === "*" && { ifExists: true }),
    ...(none === "*" && { ifExists: false }),
    ...(fence !== undefined && { fence: parseFence(fence, caller.account) }),
  }
}

async function putFile(call: CoordCall, { name, parameters }: CoordRoute): Promise<PlainAnswer> {
  const path = ownPath(name)
  call.require("PutFile", path)
  const text = parameters.text("session")
  const session = text === undefined ? undefined : parseSessionId(text)
  const options = { conditions: conditionsOf(call), session, by: principalOf(call) }
  const version = await call.coordination.write(at(call, path), call.body, options)
  const answer = answerOf(200, { path, version })
  return { ...answer, headers: [...answer.headers, "ETag", `"${version}"`] }
}

async function deleteFile(call: CoordCall, { name }: CoordRoute): Promise<PlainAnswer> {
  const path = ownPath(name)
  call.require("DeleteFile", path)
  await call.coordination.delete(at(call, path), conditionsOf(call))
  return NO_CONTENT
}

const fileAnswer = ({ version, modifiedMs, session, content }: FileRecord): PlainAnswer => ({
  status: 200,
  headers: [
    "Content-Type",
    "application/octet-stream",
    "X-Content-Type-Options",
    "nosniff",
    "Cache-Control",
    "no-store",
    "ETag",
    `"${version}"`,
    "Last-Modified",
    new Date(modifiedMs).toUTCString(),
    ...(session === undefined ? [] : ["x-hayloft-session", session]),
  ],
  body: content,
})

async function getFile(call: CoordCall, { name, parameters }: CoordRoute): Promise<PlainAnswer> {
  const path = parseCoordPath(name)
  call.require("GetFile", path)
  const after = parameters.whole("after")
  const found = await follow(call, path, waitOf(parameters), async () => {
    const file = await call.coordination.file(at(call, path))
    return (file?.version ?? 0) === after ? undefined : { file }
  })
  if (found === undefined) return NOT_CHANGED
  if (found.file === undefined) throw fail("noSuchFile", { message: `The file ${path} does not exist.` })
  return fileAnswer(found.file)
}

const shownFile = ({ path, version, bytes, createdMs, modifiedMs, session }: ShownFile) => ({
  path,
  version,
  bytes,
  createdMs,
  modifiedMs,
  ...(session !== undefined && { session }),
})

async function listFiles(call: CoordCall, { name, parameters }: CoordRoute): Promise<PlainAnswer> {
  const { prefix } = belowOf(name)
  call.require("ListFiles", prefix)
  const page = await call.coordination.files(
    call.caller.account,
    prefix,
    cursorOf(parameters, parseCoordPath),
    countOf(parameters),
  )
  return answerOf(200, { files: page.found.map(shownFile), ...(page.after !== undefined && { after: page.after }) })
}

async function followChanges(call: CoordCall, { name, parameters }: CoordRoute): Promise<PlainAnswer> {
  const below = belowOf(name)
  call.require("FollowChanges", below.prefix)
  const { coordination, caller } = call
  const { account } = caller
  const after = parameters.whole("after")
  if (after === undefined)
    return answerOf(200, { upTo: await coordination.lastNumber(account, below.namespace), changes: [] })
  const last: { upTo: number } = { upTo: after }
  const found = await follow(call, below.prefix, waitOf(parameters), async () => {
    const page = await coordination.changes({ account, ...below }, after)
    if (page === undefined) {
      const upTo = await coordination.lastNumber(account, below.namespace)
      return { upTo, changes: [], isReset: true }
    }
    last.upTo = page.upTo
    return page.changes.length > 0 || page.isMore ? { upTo: page.upTo, changes: page.changes } : undefined
  })
  return answerOf(200, found ?? { ...last, changes: [] })
}

/** For requests that do not wait. */
const noWatcher = (): Watcher => ({ wake: () => undefined, end: () => undefined })

/** Waits until `look` finds something, or the time is over. */
async function follow<T>(
  { coordination, until, caller }: CoordCall,
  prefix: string,
  waitSeconds: number,
  look: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const { namespace } = belowOf(prefix)
  const waiter = waitSeconds > 0 ? coordination.watchFor({ account: caller.account, namespace, prefix }) : noWatcher()
  return until(waiter, waitSeconds, look)
}

export const COORD_OPERATIONS: Readonly<Record<CoordOperation, Act>> = {
  BeginSession: beginSession,
  ListSessions: listSessions,
  GetSession: getSession,
  RenewSession: renewSession,
  EndSession: endSession,
  ListNamespaces: listNamespaces,
  AcquireLock: acquireLock,
  ReleaseLock: releaseLock,
  GetLock: getLock,
  ListLocks: listLocks,
  CheckFence: checkFence,
  PutFile: putFile,
  GetFile: getFile,
  DeleteFile: deleteFile,
  ListFiles: listFiles,
  FollowChanges: followChanges,
}
