/**
 * The REST API of queues: the commands of Disque.
 *
 * Source  "Disque README".
 */
import { fail, isFailure } from "@hayloft/base/failures.js"
import type { MessageId } from "@hayloft/base/ids.js"
import type { MessageRecord } from "@hayloft/engine/format/queue-rows.js"
import type { PlainAnswer, QueryParameters } from "../http/index.js"
import {
  QUEUE_LIMITS,
  type Delivery,
  type NamedQueue,
  type QueueChange,
  type Rescheduling,
  type ShownMessage,
} from "@hayloft/features/queues/index.js"
import type { QueueAction } from "./actions.js"
import { queueOf, receive, type QueueCall } from "./call.js"
import { messageIdOf, type RestOperation, type RestRoute } from "./rest-route.js"

const SECOND_MS = 1_000
const TTL_SECONDS_DEFAULT = 86_400
/** A message that says nothing is due again after this part of its time, but not later than `retryMost`. */
const RETRIES_IN_TTL = 10
const RETRY_SECONDS = { least: 1, most: 300 } as const
const WAIT_SECONDS_DEFAULT = 30
const COPIES_DEFAULT_MOST = 3

const answerOf = (status: number, value: unknown): PlainAnswer => ({
  status,
  headers: ["Content-Type", "application/json"],
  body: Buffer.from(JSON.stringify(value)),
})

const NO_CONTENT: PlainAnswer = { status: 204, headers: [], body: new Uint8Array(0) }

type Act = (call: QueueCall, route: RestRoute) => Promise<PlainAnswer>

/** Text if the bytes are UTF-8, else Base64 under another name. */
function bodyMembers(body: Uint8Array): Readonly<Record<string, string>> {
  try {
    return { body: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body) }
  } catch {
    return { bodyBase64: Buffer.from(body).toString("base64") }
  }
}

/** Counts in the same way as Disque: deliveries beyond the first, and those that operators caused. */
const additionalDeliveries = ({ deliveries, enqueues }: MessageRecord): number => Math.max(0, deliveries - 1) + enqueues

/** The time between deliveries of a message that does not say it. */
const defaultRetry = (ttlSeconds: number): number =>
  Math.min(Math.max(Math.floor(ttlSeconds / RETRIES_IN_TTL), RETRY_SECONDS.least), RETRY_SECONDS.most)

function additionOf({ parameters }: RestRoute) {
  const ttl = parameters.whole("ttl", 1, QUEUE_LIMITS.retentionSecondsMax) ?? TTL_SECONDS_DEFAULT
  const delaySeconds = parameters.whole("delay", 0, QUEUE_LIMITS.delaySecondsMax) ?? 0
  const retrySeconds = parameters.whole("retry", 0, QUEUE_LIMITS.retrySecondsMax) ?? defaultRetry(ttl)
  const replicate = parameters.whole("replicate", 1, 1_000)
  if (delaySeconds >= ttl) throw fail("invalidArgument", { message: "delay must be less than ttl." })
  if (retrySeconds === 0 && (replicate ?? 1) > 1)
    throw fail("invalidArgument", { message: "A message with retry=0 may be lost with its node: replicate must be 1." })
  const maxDeliveries = parameters.whole("maxDeliveries", 1, QUEUE_LIMITS.deliveriesMax)
  const deadQueue = parameters.text("deadQueue")
  if ((maxDeliveries === undefined) !== (deadQueue === undefined))
    throw fail("invalidArgument", { message: "maxDeliveries and deadQueue belong together." })
  const redrive = maxDeliveries === undefined || deadQueue === undefined ? undefined : { maxDeliveries, deadQueue }
  return { retentionSeconds: ttl, delaySeconds, retrySeconds, replicate, redrive }
}

async function addJob(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const { queues, caller, store, body } = call
  const { parameters } = route
  const name = queueOf(call, route.queue)
  call.require("SendMessage", name.name)
  const { replicate, redrive, ...addition } = additionOf(route)
  const dead = redrive && queueOf(call, redrive.deadQueue)
  if (dead !== undefined) call.require("SendMessage", dead.name)
  const copiesNow = store.copiesNow()
  const copies = replicate ?? (addition.retrySeconds === 0 ? 1 : Math.min(COPIES_DEFAULT_MOST, copiesNow))
  const content = { body, attributes: [], trace: undefined }
  const message = { content, sender: caller.arn, copies, redrive, ...addition }
  const messagesMax = parameters.whole("maxlen", 1)
  const timeoutMs = parameters.whole("timeout", 1, SECOND_MS * QUEUE_LIMITS.waitSecondsMax)
  const options = { messagesMax, timeoutMs, copiesNow }
  if ((await queues.find(name)) === undefined) {
    call.require("CreateQueue", name.name)
    await queues.create(name)
  }
  if (parameters.flag("async")) return answerOf(202, { id: queues.addUnawaited(name, [message], options)[0] })
  const [id] = await queues.add(name, [message], options)
  return answerOf(201, { id })
}

const shownDelivery = ({ id, message, content }: Delivery, withCounters: boolean) => ({
  queue: message.queueName,
  id,
  ...bodyMembers(content.body),
  ...(withCounters && { nacks: message.nacks, additionalDeliveries: additionalDeliveries(message) }),
})

async function getJob(call: QueueCall, { parameters }: RestRoute): Promise<PlainAnswer> {
  const from = parameters.list("from")
  const { receivedMax, queuesPerReceive, waitSecondsMax } = QUEUE_LIMITS
  if (from.length === 0 || from.length > queuesPerReceive)
    throw fail("invalidArgument", { message: `from must have 1 to ${queuesPerReceive} names of queues.` })
  const names = from.map(name => queueOf(call, name).name)
  for (const name of names) call.require("ReceiveMessage", name)
  const count = parameters.whole("count", 1, receivedMax) ?? 1
  const waitMs = parameters.whole("timeout", 0, SECOND_MS * waitSecondsMax) ?? SECOND_MS * WAIT_SECONDS_DEFAULT
  const waitSeconds = parameters.flag("nohang") ? 0 : waitMs / SECOND_MS
  const found = await receive(call, { account: call.caller.account, queues: names, count }, waitSeconds)
  if (found.length === 0) return NO_CONTENT
  const withCounters = parameters.flag("withcounters")
  return answerOf(
    200,
    found.map(each => shownDelivery(each, withCounters)),
  )
}

/** The ids in the body: a JSON list of texts. Those of another form are of no message. */
function idsOf({ body }: QueueCall): readonly MessageId[] {
  let ids: unknown
  try {
    ids = JSON.parse(Buffer.from(body).toString())
  } catch (error) {
    throw fail("invalidRequest", { message: "The body is not JSON." }, error)
  }
  const { namedMax } = QUEUE_LIMITS
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > namedMax)
    throw fail("invalidRequest", { message: `The body must be a list of 1 to ${namedMax} ids.` })
  const found = new Set<MessageId>()
  for (const id of Array.from<unknown>(ids)) {
    if (typeof id !== "string") throw fail("invalidRequest", { message: "The body must be a list of ids." })
    found.add(messageIdOf(id))
  }
  return [...found]
}

/**
 * Returns the messages with these ids that exist. Throws `accessDenied` if the caller may not perform `action` on one of their
 * queues.
 */
async function permitted(
  call: QueueCall,
  ids: readonly MessageId[],
  action: QueueAction,
): Promise<readonly ShownMessage[]> {
  const shown = await call.queues.named(call.caller.account, ids)
  for (const queue of new Set(shown.map(({ message }) => message.queueName))) call.require(action, queue)
  return shown
}

async function ackJob(call: QueueCall, { parameters }: RestRoute): Promise<PlainAnswer> {
  const { queues, caller } = call
  const there = (await permitted(call, idsOf(call), "DeleteMessage")).map(({ id }) => id)
  if (parameters.flag("fast")) {
    queues.acknowledgeUnawaited(caller.account, there)
    return answerOf(200, there.length)
  }
  return answerOf(200, there.length === 0 ? 0 : (await queues.acknowledge(caller.account, there)).length)
}

const rescheduling =
  (change: Rescheduling, action: QueueAction): Act =>
  async call => {
    const { queues, caller } = call
    const there = await permitted(call, idsOf(call), action)
    if (there.length === 0) return answerOf(200, 0)
    const outcomes = await queues.reschedule(
      caller.account,
      there.map(({ id }) => ({ id, change })),
    )
    return answerOf(200, outcomes.filter(({ kind }) => kind === "done").length)
  }

const gone = (id: MessageId) => fail("noSuchMessage", { message: `There is no message with the id ${id}.` })

/** Throws `noSuchMessage`. */
async function neededMessage(call: QueueCall, { id }: RestRoute, action: QueueAction): Promise<Delivery> {
  const shown = id && (await call.queues.show(call.caller.account, id))
  if (shown === undefined) throw gone(id ?? messageIdOf(""))
  call.require(action, shown.message.queueName)
  return shown
}

async function working(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const { id } = await neededMessage(call, route, "ChangeMessageVisibility")
  const [outcome] = await call.queues.reschedule(call.caller.account, [{ id, change: { kind: "working" } }])
  if (outcome?.kind === "done") return answerOf(200, outcome.seconds)
  if (outcome?.kind !== "tooLate") throw gone(id)
  throw fail("workedTooLong", { message: `Half of the time of the message ${id} is over.` })
}

async function delJob(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const { id } = await neededMessage(call, route, "DeleteMessage")
  await call.queues.acknowledge(call.caller.account, [id])
  return NO_CONTENT
}

function stateOf({ stage, dueMs }: MessageRecord, nowMs: number): "queued" | "active" | "delayed" {
  if (dueMs <= nowMs) return "queued"
  return stage === "delivered" ? "active" : "delayed"
}

const SHOWN_STATES = ["queued", "active", "delayed"] as const

const shownMessage = ({ id, message }: ShownMessage, nowMs: number) => ({
  id,
  queue: message.queueName,
  state: stateOf(message, nowMs),
  repl: message.copies,
  ttl: Math.max(0, Math.round((message.expiresMs - nowMs) / SECOND_MS)),
  ctime: message.createdMs,
  delay: message.delaySeconds,
  retry: message.retrySeconds ?? null,
  nacks: message.nacks,
  additionalDeliveries: additionalDeliveries(message),
  deliveries: message.deliveries,
  nextDeliveryMs: message.dueMs,
  expiresMs: message.expiresMs,
  bytes: message.contentBytes,
  ...(message.redrive && { maxDeliveries: message.redrive.maxDeliveries, deadQueue: message.redrive.deadQueue }),
  ...(message.movedFrom !== undefined && { movedFrom: message.movedFrom }),
})

async function show(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const shown = await neededMessage(call, route, "ReceiveMessage")
  return answerOf(200, { ...shownMessage(shown, call.nowMs()), ...bodyMembers(shown.content.body) })
}

/** Throws `noSuchQueue`. */
async function neededQueue(call: QueueCall, route: RestRoute, action: QueueAction): Promise<NamedQueue> {
  const name = queueOf(call, route.queue)
  call.require(action, name.name)
  const found = await call.queues.find(name)
  if (found !== undefined) return found
  throw fail("noSuchQueue", { message: `The queue ${name.name} does not exist.` })
}

const pauseOf = ({ queue: { isPausedIn, isPausedOut } }: Pick<NamedQueue, "queue">): string =>
  isPausedIn ? (isPausedOut ? "all" : "in") : isPausedOut ? "out" : "none"

async function qStat(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const found = await neededQueue(call, route, "GetQueueAttributes")
  const { queues, caller } = call
  const name = { account: caller.account, name: found.name }
  const lengths = await queues.lengths(found)
  const [oldest] = await queues.peek(name, 1, false)
  const traffic = queues.traffic(name)
  return answerOf(200, {
    name: found.name,
    len: lengths.due,
    active: lengths.inFlight,
    delayed: lengths.delayed,
    jobs: found.messages,
    bytes: found.bytes,
    pause: pauseOf(found),
    age: oldest === undefined ? 0 : Math.max(0, Math.round((call.nowMs() - oldest.message.createdMs) / SECOND_MS)),
    blocked: queues.waitingFor(name),
    jobsIn: traffic.added,
    jobsOut: traffic.delivered,
    acknowledged: traffic.acknowledged,
    ctime: found.queue.createdMs,
  })
}

async function qPeek(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const { shownMax } = QUEUE_LIMITS
  const count = route.parameters.whole("count", -shownMax, shownMax) ?? 1
  const found = await neededQueue(call, route, "ReceiveMessage")
  const name = { account: call.caller.account, name: found.name }
  const shown = count === 0 ? [] : await call.queues.peek(name, Math.abs(count), count < 0)
  return answerOf(
    200,
    shown.map(each => ({ ...shownMessage(each, call.nowMs()), ...bodyMembers(each.content.body) })),
  )
}

/** A cursor is the name or id after which the scan goes on; `0` is its beginning and its end, as Disque has it. */
const cursorOf = (parameters: QueryParameters): string | undefined => {
  const cursor = parameters.text("cursor")
  return cursor === undefined || cursor === "0" ? undefined : cursor
}

async function qScan(call: QueueCall, { parameters }: RestRoute): Promise<PlainAnswer> {
  call.require("ListQueues")
  const max = parameters.whole("count", 1, QUEUE_LIMITS.rowsPerPage) ?? QUEUE_LIMITS.shownMax
  const minLen = parameters.whole("minlen") ?? 0
  const maxLen = parameters.whole("maxlen") ?? Infinity
  // Nodes do not move messages between each other: all have the same queues.
  const isImporting = (parameters.whole("importrate") ?? 0) > 0
  const { found, after } = await call.queues.list(call.caller.account, "", cursorOf(parameters), max)
  const named: string[] = []
  for (const each of found) {
    if (isImporting) continue
    const isFiltered = minLen > 0 || maxLen !== Infinity
    const len = isFiltered ? (await call.queues.lengths(each)).due : 0
    if (!isFiltered || (len >= minLen && len <= maxLen)) named.push(each.name)
  }
  return answerOf(200, { cursor: after ?? "0", queues: named })
}

/** Checks if the caller may do this with a queue; asks once for each. */
function permits(call: QueueCall, action: QueueAction): (queue: string) => boolean {
  const known = new Map<string, boolean>()
  const ask = (queue: string): boolean => {
    try {
      call.require(action, queue)
      return true
    } catch (error) {
      if (isFailure(error, "accessDenied")) return false
      throw error
    }
  }
  return queue => {
    const isAllowed = known.get(queue) ?? ask(queue)
    known.set(queue, isAllowed)
    return isAllowed
  }
}

async function jScan(call: QueueCall, { parameters }: RestRoute): Promise<PlainAnswer> {
  const queue = parameters.text("queue")
  call.require("ReceiveMessage", queue === undefined ? undefined : queueOf(call, queue).name)
  const states = parameters.list("state")
  const unknown = states.find(state => !SHOWN_STATES.some(each => each === state))
  if (unknown !== undefined)
    throw fail("invalidArgument", { message: `state must be some of ${SHOWN_STATES.join(", ")}.` })
  const reply = parameters.text("reply") ?? "id"
  if (reply !== "id" && reply !== "all") throw fail("invalidArgument", { message: "reply must be id or all." })
  const count = parameters.whole("count", 1, QUEUE_LIMITS.rowsPerPage) ?? QUEUE_LIMITS.shownMax
  // Bodies are large: as many as QPEEK shows.
  const max = reply === "all" ? Math.min(count, QUEUE_LIMITS.shownMax) : count
  const cursor = cursorOf(parameters)
  const after = cursor === undefined ? undefined : messageIdOf(cursor)
  const page = await call.queues.scan(call.caller.account, after, max)
  const nowMs = call.nowMs()
  const isPermitted = permits(call, "ReceiveMessage")
  const found = page.found.filter(({ message }) => {
    const isState = states.length === 0 || states.includes(stateOf(message, nowMs))
    return isState && (queue === undefined || message.queueName === queue) && isPermitted(message.queueName)
  })
  const cursorAfter = page.after ?? "0"
  if (reply === "id") return answerOf(200, { cursor: cursorAfter, jobs: found.map(({ id }) => id) })
  const whole = await call.queues.withContents(call.caller.account, found)
  const jobs = whole.map(each => ({ ...shownMessage(each, nowMs), ...bodyMembers(each.content.body) }))
  return answerOf(200, { cursor: cursorAfter, jobs })
}

const PAUSES: Readonly<Record<string, QueueChange>> = {
  in: { isPausedIn: true, isPausedOut: false },
  out: { isPausedIn: false, isPausedOut: true },
  all: { isPausedIn: true, isPausedOut: true },
  none: { isPausedIn: false, isPausedOut: false },
}

async function pause(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const name = queueOf(call, route.queue)
  const state = route.parameters.needed("state")
  // All nodes have the same queues: `bcast` is always so.
  route.parameters.flag("bcast")
  if (state === "state") return pauseState(call, route)
  const change = Object.hasOwn(PAUSES, state) ? PAUSES[state] : undefined
  if (change === undefined) throw fail("invalidArgument", { message: "state must be in, out, all, none or state." })
  call.require("SetQueueAttributes", name.name)
  return answerOf(200, { pause: pauseOf({ queue: await call.queues.change(name, change) }) })
}

async function pauseState(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  return answerOf(200, { pause: pauseOf(await neededQueue(call, route, "GetQueueAttributes")) })
}

async function createQueue(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const name = queueOf(call, route.queue)
  call.require("CreateQueue", name.name)
  const { isNew } = await call.queues.create(name)
  return answerOf(isNew ? 201 : 200, { name: name.name })
}

async function deleteQueue(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const name = queueOf(call, route.queue)
  call.require("DeleteQueue", name.name)
  await call.queues.remove(name)
  return NO_CONTENT
}

async function purgeQueue(call: QueueCall, route: RestRoute): Promise<PlainAnswer> {
  const name = queueOf(call, route.queue)
  call.require("PurgeQueue", name.name)
  await call.queues.empty(name)
  return NO_CONTENT
}

async function info({ store, queues }: QueueCall): Promise<PlainAnswer> {
  const { node, version, nodes } = store
  return answerOf(200, { node, version, nodes: nodes(), copies: store.copiesNow(), blocked: queues.waiting })
}

export const REST_OPERATIONS: Readonly<Record<RestOperation, Act>> = {
  AddJob: addJob,
  GetJob: getJob,
  AckJob: ackJob,
  Working: working,
  Nack: rescheduling({ kind: "nack" }, "ChangeMessageVisibility"),
  Enqueue: rescheduling({ kind: "enqueue" }, "SetQueueAttributes"),
  Dequeue: rescheduling({ kind: "dequeue" }, "SetQueueAttributes"),
  DelJob: delJob,
  Show: show,
  QStat: qStat,
  QPeek: qPeek,
  QScan: qScan,
  JScan: jScan,
  Pause: pause,
  PauseState: pauseState,
  Info: info,
  CreateQueue: createQueue,
  DeleteQueue: deleteQueue,
  PurgeQueue: purgeQueue,
}
