/** The operations of `/v1/queues`: queues of all accounts. Messages are added and received on the port of queues. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { countText, plural, sizeText } from "@hayloft/base/text/quantity-text.js"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import { parseAccountId, type AccountId } from "@hayloft/base/ids.js"
import {
  action,
  operation,
  PAGE_PARAMETERS,
  pageSize,
  parseBody,
  type Given,
  type Operation,
  type OperationInput,
  type OperatorPart,
  type OperatorServices,
  type RequiredAction,
} from "../operator/index.js"
import type { NamedQueue, QueueName } from "./contract.js"
import { QUEUE_LIMITS } from "./limits.js"
import { parseQueueName } from "./queue-name.js"
import { DEFAULT_SETTINGS } from "./queues.js"
import { MESSAGES, NEW_QUEUE, QUEUE, QUEUE_CHANGE, QUEUES, SENT_MESSAGE } from "./schemas.js"
import { QUEUE_SERVICE } from "./services.js"

const NUMBERS = ["delaySeconds", "visibilitySeconds", "retentionSeconds", "bytesMax"] as const

/** Bytes of a body that are shown. */
const SHOWN_CHARACTERS = 1_000
const PEEKED = 20

type Pause = z.output<typeof QUEUE>["pause"]

const PAUSES: Readonly<Record<Pause, { readonly isPausedIn: boolean; readonly isPausedOut: boolean }>> = {
  none: { isPausedIn: false, isPausedOut: false },
  in: { isPausedIn: true, isPausedOut: false },
  out: { isPausedIn: false, isPausedOut: true },
  all: { isPausedIn: true, isPausedOut: true },
}

const pauseOf = (isPausedIn: boolean, isPausedOut: boolean): Pause =>
  isPausedIn ? (isPausedOut ? "all" : "in") : isPausedOut ? "out" : "none"

async function queueJson(
  { core }: OperatorServices,
  account: AccountId,
  found: NamedQueue,
): Promise<z.output<typeof QUEUE>> {
  const queues = QUEUE_SERVICE.of(core)
  const { name, queue, messages, bytes } = found
  const { delaySeconds, visibilitySeconds, retentionSeconds, bytesMax, redrive } = queue.settings
  return {
    account,
    name,
    createdMs: queue.createdMs,
    messages,
    bytes,
    ...(await queues.lengths(found)),
    waiting: queues.waitingFor({ account, name }),
    pause: pauseOf(queue.isPausedIn, queue.isPausedOut),
    delaySeconds,
    visibilitySeconds,
    retentionSeconds,
    bytesMax,
    ...(redrive && { redrive }),
  }
}

/** `-` stands for the root account. */
const named = ({ rootAccount }: OperatorServices, { segment }: OperationInput): QueueName => ({
  account: segment("account") === "-" ? rootAccount : parseAccountId(segment("account")),
  name: parseQueueName(segment("queue")),
})

/** Throws `noSuchQueue`. */
async function needed({ core }: OperatorServices, name: QueueName): Promise<NamedQueue> {
  const found = await QUEUE_SERVICE.of(core).find(name)
  if (found !== undefined) return found
  throw fail("noSuchQueue", { message: `The queue ${name.name} does not exist.` })
}

async function required(
  { accounts, region }: OperatorServices,
  action: string,
  owner: AccountId,
  queue = "*",
): Promise<readonly RequiredAction[]> {
  const account = await accounts.getAccount(owner)
  if (account === undefined) throw fail("noSuchAccount", { account: owner })
  const arn = `arn:aws:sqs:${region}:${account.number}:${queue}`
  return [{ action: `sqs:${action}`, resource: queue === "*" ? "*" : arn, owner }]
}

const onQueue =
  (action: string): NonNullable<Operation["permission"]> =>
  (services, input) => {
    const { account, name } = named(services, input)
    return required(services, action, account, name)
  }

/** Queues of all accounts in order of account, then name; the cursor `after` is "account/name". */
async function listQueues(
  services: OperatorServices,
  query: ReadonlyMap<string, string>,
): Promise<z.output<typeof QUEUES>> {
  const { accounts, core } = services
  const queues = QUEUE_SERVICE.of(core)
  const max = pageSize(query)
  const wanted = query.get("account")
  const [from = "", ...afterName] = (query.get("after") ?? "").split("/")
  const all = (await accounts.listAccounts()).map(({ id }) => id).sort((a, b) => (a < b ? -1 : 1))
  const found: (readonly [AccountId, NamedQueue])[] = []
  for (const account of all) {
    if ((wanted !== undefined && account !== wanted) || account < from) continue
    const after = account === from && afterName.length > 0 ? afterName.join("/") : undefined
    const page = await queues.list(account, "", after, max + 1 - found.length)
    found.push(...page.found.map(each => [account, each] as const))
    if (found.length > max) break
  }
  const shown = []
  for (const [account, each] of found.slice(0, max)) shown.push(await queueJson(services, account, each))
  const last = shown.at(-1)
  return { queues: shown, ...(found.length > max && last ? { next: `${last.account}/${last.name}` } : {}) }
}

const PATH = "/v1/queues/{account}/{queue}"

const ACCOUNT = { flags: "--account <ID>", help: "account of the queue (default: the root account)" }
/** The root account is `-` in a path. */
const NAMED = { queue: { flags: "<QUEUE>" }, account: { ...ACCOUNT, otherwise: "-" } }

type Queue = z.output<typeof QUEUE>

function queuesText({ queues }: z.output<typeof QUEUES>): string {
  if (queues.length === 0) return "there are no queues\n"
  const rows = queues.map(({ account, name, due, inFlight, delayed, bytes, pause }) => [
    account,
    name,
    countText(due),
    countText(inFlight),
    countText(delayed),
    sizeText(bytes),
    pause === "none" ? "" : `paused: ${pause}`,
  ])
  return tableText(["account", "queue", "due", "in flight", "delayed", "bytes", ""], rows)
}

function queueText(
  name: string,
  { due, inFlight, delayed, bytes, pause, redrive }: Queue,
  { messages }: z.output<typeof MESSAGES>,
): string {
  const lines = [
    `${name}: ${plural(due, "message")} due, ${countText(inFlight)} in flight, ${countText(delayed)} delayed, ${sizeText(bytes)}`,
    ...(pause === "none" ? [] : [`paused: ${pause}`]),
    ...(redrive ? [`after ${plural(redrive.maxDeliveries, "delivery")} messages move to ${redrive.deadQueue}`] : []),
    ...messages.map(({ id, deliveries, body }) => `${id}  ${deliveries}  ${printable(body.slice(0, 60))}`),
  ]
  return lines.map(line => `${line}\n`).join("")
}

/** Both directions, unless one is named. */
const pauseIn = (given: Given): Queue["pause"] =>
  given("in") === given("out") ? "all" : given("in") === "" ? "out" : "in"

const LIST_QUEUES = operation("listQueues", "GET /v1/queues", {
  summary: "Lists queues of all accounts, with what they hold.",
  scope: "buckets",
  parameters: [{ name: "account", description: "only those of this account" }, ...PAGE_PARAMETERS],
  mayNeedOwnAction: true,
  permission: async (services, { query }) => {
    const account = query.get("account")
    return account === undefined ? [] : required(services, "ListQueues", parseAccountId(account))
  },
  run: (services, { query }) => listQueues(services, query),
  answer: QUEUES,
  commands: [
    {
      name: "queue list",
      help: "queues of all accounts, with what they hold",
      inputs: { account: { flags: "--account <ID>", help: "only those of this account" } },
      list: "queues",
      json: ({ queues }) => ({ queues }),
      text: queuesText,
    },
  ],
})

const PEEK_QUEUE = operation("peekQueue", `GET ${PATH}/messages`, {
  summary: `Returns the oldest ${PEEKED} messages of a queue that are due. They are not delivered.`,
  scope: "buckets",
  permission: onQueue("ReceiveMessage"),
  async run(services, input): Promise<z.output<typeof MESSAGES>> {
    const name = named(services, input)
    await needed(services, name)
    const found = await QUEUE_SERVICE.of(services.core).peek(name, PEEKED, false)
    return {
      messages: found.map(({ id, message, content }) => ({
        id,
        createdMs: message.createdMs,
        dueMs: message.dueMs,
        expiresMs: message.expiresMs,
        deliveries: message.deliveries,
        nacks: message.nacks,
        bytes: message.contentBytes,
        ...(message.movedFrom !== undefined && { movedFrom: message.movedFrom }),
        body: Buffer.from(content.body).toString().slice(0, SHOWN_CHARACTERS),
      })),
    }
  },
  answer: MESSAGES,
})

/** Returns undefined if the query names none. Throws `invalidArgument`. */
function delayIn(query: ReadonlyMap<string, string>): number | undefined {
  const text = query.get("delaySeconds")
  if (text === undefined) return undefined
  const seconds = /^\d{1,7}$/.test(text) ? Number(text) : Infinity
  const { delaySecondsMax } = QUEUE_LIMITS
  if (seconds <= delaySecondsMax) return seconds
  throw fail("invalidArgument", { message: `delaySeconds must be 0 to ${delaySecondsMax}` })
}

/** The ARN of who adds a message: the operator and holders of tokens act for the root of the queue's account. */
async function senderIn({ accounts }: OperatorServices, account: AccountId, caller: OperationInput["caller"]) {
  if (caller.kind === "key") return caller.name
  const owner = await accounts.getAccount(account)
  if (owner === undefined) throw fail("noSuchAccount", { account })
  return `arn:aws:iam::${owner.number}:root`
}

const SEND_MESSAGE = operation("sendMessage", `POST ${PATH}/messages`, {
  summary: "Adds a message to a queue that is there. The body is that of the message.",
  scope: "buckets",
  parameters: [{ name: "delaySeconds", description: "before it is due; absent: as the queue has it" }],
  bytesType: "text/plain",
  bodyBytesMax: QUEUE_LIMITS.contentBytesMax,
  permission: onQueue("SendMessage"),
  async run(services, input): Promise<z.output<typeof SENT_MESSAGE>> {
    const { body, query, caller } = input
    const name = named(services, input)
    if (!(body instanceof Uint8Array) || body.length === 0)
      throw fail("invalidArgument", { message: "a message must not be empty" })
    const message = {
      content: { body, attributes: [], trace: undefined },
      sender: await senderIn(services, name.account, caller),
      delaySeconds: delayIn(query),
    }
    // The mistyped name of a queue would make one.
    await needed(services, name)
    const [id = ""] = await QUEUE_SERVICE.of(services.core).add(name, [message], { copiesNow: 1 })
    return { id }
  },
  status: 201,
  answer: SENT_MESSAGE,
  commands: [
    {
      name: "queue send",
      help: "add a message to a queue",
      inputs: {
        queue: NAMED.queue,
        body: { flags: "<MESSAGE>", help: "its text", reads: text => new TextEncoder().encode(text) },
        delaySeconds: {
          flags: "--delay <DURATION>",
          help: "before it is due, such as 10s or 5m (default: as the queue has it)",
          reads: "seconds",
        },
        account: NAMED.account,
      },
      text: ({ id }, given) => `${given("queue")} has the message ${id}\n`,
    },
  ],
})

const GET_QUEUE = operation("getQueue", `GET ${PATH}`, {
  summary: "Returns one queue, with what it holds.",
  scope: "buckets",
  permission: onQueue("GetQueueAttributes"),
  async run(services, input) {
    const name = named(services, input)
    return queueJson(services, name.account, await needed(services, name))
  },
  answer: QUEUE,
  commands: [
    {
      name: "queue show",
      help: "one queue, and the oldest messages that are due",
      inputs: NAMED,
      async run({ call, given }, own) {
        const [queue, peeked] = [await own(), await call(PEEK_QUEUE)]
        return { json: { queue, messages: peeked.messages }, text: queueText(given("queue"), queue, peeked) }
      },
    },
  ],
})

const CREATE_QUEUE = operation("createQueue", "POST /v1/queues", {
  summary: "Makes a queue, unless it is there.",
  scope: "buckets",
  request: NEW_QUEUE,
  permission: (services, { body }) => {
    const { name, account } = parseBody(NEW_QUEUE, body)
    const owner = account === undefined ? services.rootAccount : parseAccountId(account)
    return required(services, "CreateQueue", owner, parseQueueName(name))
  },
  async run(services, { body }) {
    const request = parseBody(NEW_QUEUE, body)
    const account = request.account === undefined ? services.rootAccount : parseAccountId(request.account)
    if ((await services.accounts.getAccount(account)) === undefined) throw fail("noSuchAccount", { account })
    const name = { account, name: parseQueueName(request.name) }
    await QUEUE_SERVICE.of(services.core).create(name, DEFAULT_SETTINGS)
    return queueJson(services, account, await needed(services, name))
  },
  status: 201,
  answer: QUEUE,
  commands: [
    {
      name: "queue create",
      help: "make a queue, unless it is there",
      inputs: { name: NAMED.queue, account: ACCOUNT },
      text: (_, given) => `the queue ${given("name")} is there\n`,
    },
  ],
})

const SET_QUEUE = operation("setQueue", `POST ${PATH}`, {
  summary: "Changes settings of a queue, or pauses it.",
  scope: "buckets",
  request: QUEUE_CHANGE,
  permission: onQueue("SetQueueAttributes"),
  async run(services, input) {
    const name = named(services, input)
    const change = parseBody(QUEUE_CHANGE, input.body)
    const { pause, redrive, bytesMax = 0 } = change
    if (bytesMax > QUEUE_LIMITS.bytesMaxMost)
      throw fail("invalidArgument", { message: `bytesMax must be at most ${QUEUE_LIMITS.bytesMaxMost}` })
    if (redrive) parseQueueName(redrive.deadQueue)
    const settings: Record<string, number> = {}
    for (const member of NUMBERS) {
      const value = change[member]
      if (value !== undefined) settings[member] = value
    }
    const all = { ...settings, ...(redrive !== undefined && { redrive: redrive ?? undefined }) }
    await QUEUE_SERVICE.of(services.core).change(name, { settings: all, ...(pause !== undefined && PAUSES[pause]) })
    return queueJson(services, name.account, await needed(services, name))
  },
  answer: QUEUE,
  commands: [
    {
      name: "queue pause",
      help: "accept and deliver no messages",
      inputs: {
        ...NAMED,
        in: { flags: "--in", help: "only accept none" },
        out: { flags: "--out", help: "only deliver none" },
      },
      sends: given => ({ pause: pauseIn(given) }),
      text: (_, given) => `${given("queue")} is paused: ${pauseIn(given)}\n`,
    },
    {
      name: "queue resume",
      help: "accept and deliver messages again",
      inputs: NAMED,
      sends: { pause: "none" },
      text: (_, given) => `${given("queue")} goes on\n`,
    },
  ],
})

const PURGE_QUEUE = action("purgeQueue", `POST ${PATH}/purge`, {
  summary: "Removes all messages of a queue, those in flight too.",
  scope: "buckets",
  permission: onQueue("PurgeQueue"),
  run: (services, input) => QUEUE_SERVICE.of(services.core).empty(named(services, input)),
  commands: [
    {
      name: "queue purge",
      help: "remove all messages of a queue, those in flight too",
      inputs: NAMED,
      json: (_, given) => ({ name: given("queue"), purged: true }),
      text: (_, given) => `removed all messages of ${given("queue")}\n`,
    },
  ],
})

const DELETE_QUEUE = action("deleteQueue", `DELETE ${PATH}`, {
  summary: "Deletes a queue with all of its messages.",
  scope: "buckets",
  permission: onQueue("DeleteQueue"),
  run: (services, input) => QUEUE_SERVICE.of(services.core).remove(named(services, input)),
  commands: [
    {
      name: "queue delete",
      help: "delete a queue with all of its messages",
      inputs: NAMED,
      json: (_, given) => ({ name: given("queue"), deleted: true }),
      text: (_, given) => `deleted the queue ${given("queue")}\n`,
    },
  ],
})

export const QUEUE_OPERATOR: OperatorPart = {
  operations: [LIST_QUEUES, CREATE_QUEUE, GET_QUEUE, SET_QUEUE, SEND_MESSAGE, PEEK_QUEUE, PURGE_QUEUE, DELETE_QUEUE],
  commandGroups: { queue: "queues: what they hold, pausing and emptying them" },
}
