/**
 * Finds the REST operation of a request, and its parameters. Pure.
 *
 * Refuses  `invalidArgument`: parameters that the operation does not have, or has twice; `methodNotAllowed`.
 */
import { fail } from "@hayloft/base/failures.js"
import { parseMessageId, type MessageId } from "@hayloft/base/ids.js"
import { percentDecode, splitTarget } from "@hayloft/base/http/uri.js"
import { QueryParameters } from "../http/index.js"

const invalid = (message: string) => fail("invalidArgument", { message })

const PARAMETERS = {
  AddJob: ["timeout", "replicate", "delay", "retry", "ttl", "maxlen", "async", "maxDeliveries", "deadQueue"],
  GetJob: ["from", "count", "timeout", "nohang", "withcounters"],
  AckJob: ["fast"],
  Working: [],
  Nack: [],
  Enqueue: [],
  Dequeue: [],
  DelJob: [],
  Show: [],
  QStat: [],
  QPeek: ["count"],
  QScan: ["cursor", "count", "minlen", "maxlen", "importrate"],
  JScan: ["cursor", "count", "queue", "state", "reply"],
  Pause: ["state", "bcast"],
  PauseState: [],
  Info: [],
  CreateQueue: [],
  DeleteQueue: [],
  PurgeQueue: [],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type RestOperation = keyof typeof PARAMETERS

export interface RestRoute {
  readonly operation: RestOperation
  readonly queue: string
  readonly id: MessageId | undefined
  readonly parameters: QueryParameters
}

/** By path, with `{queue}` and `{id}` for what varies, and method. */
const PATHS: Readonly<Record<string, Readonly<Record<string, RestOperation>>>> = {
  "/queue": { GET: "GetJob" },
  "/queues": { GET: "QScan" },
  "/queue-info": { GET: "Info" },
  "/queue/{queue}": { POST: "AddJob", GET: "QStat", PUT: "CreateQueue", DELETE: "DeleteQueue" },
  "/queue/{queue}/peek": { GET: "QPeek" },
  "/queue/{queue}/pause": { PUT: "Pause", GET: "PauseState" },
  "/queue/{queue}/jobs": { DELETE: "PurgeQueue" },
  "/jobs": { GET: "JScan" },
  "/jobs/ack": { POST: "AckJob" },
  "/jobs/nack": { POST: "Nack" },
  "/jobs/enqueue": { POST: "Enqueue" },
  "/jobs/dequeue": { POST: "Dequeue" },
  "/jobs/{id}": { GET: "Show", DELETE: "DelJob" },
  "/jobs/{id}/working": { POST: "Working" },
}

function matched(path: string): { readonly template: string; readonly name: string } | undefined {
  if (Object.hasOwn(PATHS, path)) return { template: path, name: "" }
  const [, head = "", name = "", ...rest] = path.split("/")
  const kind = head === "queue" ? "{queue}" : "{id}"
  const template = [`/${head}`, kind, ...rest].join("/")
  return name !== "" && Object.hasOwn(PATHS, template) ? { template, name: percentDecode(name) } : undefined
}

export function restRouteOf(method: string, rawTarget: string): RestRoute {
  const { rawPath, rawQuery } = splitTarget(rawTarget)
  const found = matched(rawPath)
  if (found === undefined) throw invalid("There is no such path. The document queue.md lists them.")
  const operation = Object.entries(PATHS[found.template] ?? {}).find(([of]) => of === method)?.[1]
  if (operation === undefined) throw fail("methodNotAllowed", { message: `There is no operation ${method} here.` })
  const parameters = QueryParameters.parse(rawQuery)
  parameters.refuseOthers(PARAMETERS[operation], operation)
  const isOfMessage = found.template.startsWith("/jobs/{id}")
  return {
    operation,
    parameters,
    queue: isOfMessage ? "" : found.name,
    id: isOfMessage ? messageIdOf(found.name) : undefined,
  }
}

const URL_SAFE = /^(D-[0-9a-f]{8}-)([\w-]{24})(-[0-9a-f]{4})$/

/** Base64 for URLs is accepted too: it needs no escapes in paths. */
const standardForm = (text: string): string =>
  text.replace(URL_SAFE, (_, node: string, random: string, time: string) => {
    return node + random.replaceAll("-", "+").replaceAll("_", "/") + time
  })

/** The id in base64 for URLs: its characters are those that SQS allows in the id of an entry of a batch. */
export const urlFormOf = (id: MessageId): string => id.replaceAll("+", "-").replaceAll("/", "_")

/** Throws `noSuchMessage`: a text of another form is the id of no message. */
export function messageIdOf(text: string): MessageId {
  try {
    return parseMessageId(standardForm(text))
  } catch (error) {
    throw fail("noSuchMessage", { message: `There is no message with the id ${text.slice(0, 60)}.` }, error)
  }
}
