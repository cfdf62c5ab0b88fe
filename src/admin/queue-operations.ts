/** The operations of `/v1/queues`: queues of all accounts. Messages are added and received on the port of queues. */
import type { z } from "zod"
import { fail } from "../base/failures.js"
import { parseAccountId, type AccountId } from "../base/ids.js"
import {
  DEFAULT_SETTINGS,
  parseQueueName,
  QUEUE_LIMITS,
  type NamedQueue,
  type QueueName,
} from "../features/queues/index.js"
import { PAGE_PARAMETERS, pageSize } from "./listing.js"
import { parseBody, type Operation, type OperationInput, type RequiredAction, type Services } from "./operation.js"
import { MESSAGES, NEW_QUEUE, QUEUE, QUEUE_CHANGE, QUEUES } from "./queue-schemas.js"

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

async function queueJson({ queues }: Services, account: AccountId, found: NamedQueue): Promise<z.output<typeof QUEUE>> {
  const { name, queue, messages, bytes } = found
  const { delaySeconds, visibilitySeconds, retentionSeconds, bytesMax, redrive } = queue.settings
  return {
    ...{ account, name, createdMs: queue.createdMs, messages, bytes, ...(await queues.lengths(found)) },
    ...{ waiting: queues.waitingFor({ account, name }), pause: pauseOf(queue.isPausedIn, queue.isPausedOut) },
    ...{ delaySeconds, visibilitySeconds, retentionSeconds, bytesMax, ...(redrive && { redrive }) },
  }
}

/** `-` stands for the root account. */
const named = ({ rootAccount }: Services, { segment }: OperationInput): QueueName => ({
  account: segment("account") === "-" ? rootAccount : parseAccountId(segment("account")),
  name: parseQueueName(segment("queue")),
})

/** Throws `noSuchQueue`. */
async function needed({ queues }: Services, name: QueueName): Promise<NamedQueue> {
  const found = await queues.find(name)
  if (found !== undefined) return found
  throw fail("noSuchQueue", { message: `The queue ${name.name} does not exist.` })
}

async function required(
  { accounts, region }: Services,
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
async function listQueues(services: Services, query: ReadonlyMap<string, string>): Promise<z.output<typeof QUEUES>> {
  const { accounts, queues } = services
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

export const QUEUE_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "listQueues", method: "GET", path: "/v1/queues", request: undefined },
    summary: "Lists queues of all accounts, with what they hold.",
    parameters: [{ name: "account", description: "only those of this account" }, ...PAGE_PARAMETERS],
    response: { status: 200, schema: QUEUES },
    permission: async (services, { query }) => {
      const account = query.get("account")
      if (account !== undefined) return required(services, "ListQueues", parseAccountId(account))
      return [{ action: "hayloft:ListQueues", resource: "*", owner: services.rootAccount }]
    },
    run: (services, { query }) => listQueues(services, query),
  },
  {
    ...{ id: "createQueue", method: "POST", path: "/v1/queues", parameters: [], request: NEW_QUEUE },
    summary: "Makes a queue, unless it is there.",
    response: { status: 201, schema: QUEUE },
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
      await services.queues.create(name, DEFAULT_SETTINGS)
      return queueJson(services, account, await needed(services, name))
    },
  },
  {
    ...{ id: "getQueue", method: "GET", path: PATH, parameters: [], request: undefined },
    summary: "Returns one queue, with what it holds.",
    response: { status: 200, schema: QUEUE },
    permission: onQueue("GetQueueAttributes"),
    async run(services, input) {
      const name = named(services, input)
      return queueJson(services, name.account, await needed(services, name))
    },
  },
  {
    ...{ id: "setQueue", method: "POST", path: PATH, parameters: [], request: QUEUE_CHANGE },
    summary: "Changes settings of a queue, or pauses it.",
    response: { status: 200, schema: QUEUE },
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
      await services.queues.change(name, { settings: all, ...(pause !== undefined && PAUSES[pause]) })
      return queueJson(services, name.account, await needed(services, name))
    },
  },
  {
    ...{ id: "peekQueue", method: "GET", path: `${PATH}/messages`, parameters: [], request: undefined },
    summary: `Returns the oldest ${PEEKED} messages of a queue that are due. They are not delivered.`,
    response: { status: 200, schema: MESSAGES },
    permission: onQueue("ReceiveMessage"),
    async run(services, input): Promise<z.output<typeof MESSAGES>> {
      const name = named(services, input)
      await needed(services, name)
      const found = await services.queues.peek(name, PEEKED, false)
      return {
        messages: found.map(({ id, message, content }) => ({
          ...{ id, createdMs: message.createdMs, dueMs: message.dueMs, expiresMs: message.expiresMs },
          ...{ deliveries: message.deliveries, nacks: message.nacks, bytes: message.contentBytes },
          ...(message.movedFrom !== undefined && { movedFrom: message.movedFrom }),
          body: Buffer.from(content.body).toString().slice(0, SHOWN_CHARACTERS),
        })),
      }
    },
  },
  {
    ...{ id: "purgeQueue", method: "POST", path: `${PATH}/purge`, parameters: [], request: undefined },
    summary: "Removes all messages of a queue, those in flight too.",
    response: { status: 204, schema: undefined },
    permission: onQueue("PurgeQueue"),
    run: (services, input) => services.queues.empty(named(services, input)),
  },
  {
    ...{ id: "deleteQueue", method: "DELETE", path: PATH, parameters: [], request: undefined },
    summary: "Deletes a queue with all of its messages.",
    response: { status: 204, schema: undefined },
    permission: onQueue("DeleteQueue"),
    run: (services, input) => services.queues.remove(named(services, input)),
  },
]
