/**
 * The operations of Amazon's SQS.
 *
 * Source  Amazon SQS API Reference.
 */
import { fail, isFailure, type Failure } from "@hayloft/base/failures.js"
import type { MessageId } from "@hayloft/base/ids.js"
import type { QueueSettings } from "@hayloft/engine/format/queue-rows.js"
import {
  contentBytesOf,
  DEFAULT_SETTINGS,
  QUEUE_LIMITS,
  type MessageInput,
  type NamedQueue,
  type QueueName,
} from "@hayloft/features/queues/index.js"
import { queueOf, receive, type QueueCall } from "./call.js"
import { sqsErrorOf, SqsRefusal } from "./failures.js"
import { messageIdOf, urlFormOf } from "./rest-route.js"
import {
  attributesOf,
  chosen,
  contentOf,
  isCarried,
  md5Of,
  md5OfAttributes,
  settingsOf,
  shownDelivery,
} from "./sqs-attributes.js"
import { invalidValue, missingParameter, type SqsInput } from "./sqs-input.js"
import { withoutTrailing } from "@hayloft/base/text/trailing.js"

const RECEIVED_MAX = 10
const LISTED_MAX = 1_000
const VISIBILITY_SECONDS_MAX = 43_200
const DELAY_SECONDS_MAX = 900
const WAIT_SECONDS_MAX = 20
/** Amazon's, whose purges take that long. */
const PURGE_REST_MS = 60_000

export type SqsResult = Readonly<Record<string, unknown>>

export interface SqsOperation {
  readonly members: readonly string[]
  readonly act: (call: QueueCall, input: SqsInput) => Promise<SqsResult | void>
}

const operation = (members: string, act: SqsOperation["act"]): SqsOperation => ({ members: members.split(" "), act })

/** The queue that a URL names: its last part, after the number of the account. Throws `QueueDoesNotExist`. */
function queueAt(call: QueueCall, url: string): QueueName {
  const [account, name = ""] = withoutTrailing(url, "/").split("/").slice(-2)
  const isForeign = account !== undefined && /^\d{12}$/.test(account) && account !== call.caller.number
  if (isForeign) throw fail("noSuchQueue", { message: "Queues of other accounts cannot be used." })
  return queueOf(call, name)
}

const namedQueue = (call: QueueCall, input: SqsInput): QueueName => queueAt(call, input.text("QueueUrl"))

/** Clients use the address that they know the store by. */
function urlOf({ exchange, caller }: QueueCall, name: string): string {
  const scheme = exchange.tlsVersion === undefined ? "http" : "https"
  return `${scheme}://${exchange.header("host") ?? "localhost"}/${caller.number}/${name}`
}

/** Throws `noSuchQueue`. */
async function needed(call: QueueCall, name: QueueName): Promise<NamedQueue> {
  const found = await call.queues.find(name)
  if (found !== undefined) return found
  throw fail("noSuchQueue", { message: "The specified queue does not exist." })
}

function messageOf(call: QueueCall, input: SqsInput): MessageInput {
  for (const name of ["MessageGroupId", "MessageDeduplicationId"])
    if (input.has(name))
      throw invalidValue(`The request include parameter that is not valid for this queue type: ${name}.`)
  const delaySeconds = input.whole("DelaySeconds", 0, DELAY_SECONDS_MAX)
  return { content: contentOf(input), sender: call.caller.arn, delaySeconds }
}

function sentResult({ content }: MessageInput, id: MessageId | undefined): SqsResult {
  const ofAttributes = md5OfAttributes(content.attributes)
  return {
    MessageId: id === undefined ? undefined : urlFormOf(id),
    MD5OfMessageBody: md5Of(content.body),
    ...(ofAttributes !== undefined && { MD5OfMessageAttributes: ofAttributes }),
  }
}

const OF_MESSAGE =
  "MessageBody DelaySeconds MessageAttributes MessageSystemAttributes MessageGroupId MessageDeduplicationId"

async function sendMessage(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("SendMessage", name.name)
  const message = messageOf(call, input)
  const [id] = await call.queues.add(name, [message], { copiesNow: call.store.copiesNow() })
  return sentResult(message, id)
}

const ENTRY_ID = /^[A-Za-z0-9_-]{1,80}$/

/** The entries of a batch by their ids. Throws what SQS does for the batch as a whole. */
function entriesOf(input: SqsInput, members: string): ReadonlyMap<string, SqsInput> {
  const entries = input.objects("Entries")
  if (entries.length === 0)
    throw new SqsRefusal("EmptyBatchRequest", "There should be at least one entry in the request.")
  if (entries.length > QUEUE_LIMITS.addedMax) {
    const message = `Maximum number of entries per request are ${QUEUE_LIMITS.addedMax}. You have sent ${entries.length}.`
    throw new SqsRefusal("TooManyEntriesInBatchRequest", message)
  }
  const byId = new Map<string, SqsInput>()
  for (const entry of entries) {
    entry.checkKnown(["Id", ...members.split(" ")])
    const id = entry.text("Id")
    if (!ENTRY_ID.test(id))
      throw new SqsRefusal(
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.",
      )
    if (byId.has(id)) throw new SqsRefusal("BatchEntryIdsNotDistinct", `Id ${id} repeated.`)
    byId.set(id, entry)
  }
  return byId
}

function failedEntry(id: string, failure: Failure): SqsResult {
  const { code, status, message } = sqsErrorOf(failure)
  return { Id: id, SenderFault: status < 500, Code: code, Message: message }
}

interface BatchResult extends SqsResult {
  readonly Successful: readonly SqsResult[]
  readonly Failed: readonly SqsResult[]
}

/** Each entry succeeds or fails for itself. */
async function batchOf<T>(
  entries: ReadonlyMap<string, T>,
  act: (entry: T, id: string) => Promise<SqsResult>,
): Promise<BatchResult> {
  const [Successful, Failed]: [SqsResult[], SqsResult[]] = [[], []]
  for (const [id, entry] of entries) {
    try {
      Successful.push({ Id: id, ...(await act(entry, id)) })
    } catch (error) {
      if (!isFailure(error)) throw error
      Failed.push(failedEntry(id, error))
    }
  }
  return { Successful, Failed }
}

async function sendMessageBatch(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("SendMessage", name.name)
  const entries = entriesOf(input, OF_MESSAGE)
  const messages = new Map<string, MessageInput>()
  const read = await batchOf(entries, async (entry, id) => {
    messages.set(id, messageOf(call, entry))
    return {}
  })
  const bytes = [...messages.values()].reduce((sum, { content }) => sum + contentBytesOf(content), 0)
  if (bytes > QUEUE_LIMITS.contentBytesMax) {
    const message = `Batch requests cannot be longer than ${QUEUE_LIMITS.contentBytesMax} bytes. You have sent ${bytes} bytes.`
    throw new SqsRefusal("BatchRequestTooLong", message)
  }
  if (messages.size === 0) return read
  const options = { copiesNow: call.store.copiesNow() }
  try {
    // One decision for all of them: what it refuses, it refuses for all.
    const ids = await call.queues.add(name, [...messages.values()], options)
    const sent = [...messages].map(([id, message], at) => ({ Id: id, ...sentResult(message, ids[at]) }))
    return { Successful: sent, Failed: read.Failed }
  } catch (error) {
    // A failure of the queue or the store fails the whole request, which clients repeat.
    if (!isFailure(error, "entityTooLarge")) throw error
    return { Successful: [], Failed: [...read.Failed, ...[...messages.keys()].map(id => failedEntry(id, error))] }
  }
}

async function receiveMessage(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("ReceiveMessage", name.name)
  const { queue } = await needed(call, name)
  const count = input.whole("MaxNumberOfMessages", 1, RECEIVED_MAX) ?? 1
  const visibilitySeconds = input.whole("VisibilityTimeout", 0, VISIBILITY_SECONDS_MAX)
  const waitSeconds = input.whole("WaitTimeSeconds", 0, WAIT_SECONDS_MAX) ?? queue.settings.waitSeconds
  const wanted = {
    ofSystem: [...input.texts("AttributeNames"), ...input.texts("MessageSystemAttributeNames")],
    ofMessage: input.texts("MessageAttributeNames"),
  }
  const reception = { account: name.account, queues: [name.name], count, visibilitySeconds }
  const found = await receive(call, reception, waitSeconds)
  return found.length === 0 ? {} : { Messages: found.map(each => shownDelivery(call, each, wanted)) }
}

const RECEIPT = /^(\d{1,15})\.(.+)$/

/** The delivery that a receipt names. Throws `ReceiptHandleIsInvalid`. */
function receiptIn(input: SqsInput): { readonly id: MessageId; readonly delivery: number } {
  const text = input.text("ReceiptHandle")
  const [, delivery, id] = RECEIPT.exec(text) ?? []
  try {
    if (delivery !== undefined && id !== undefined) return { id: messageIdOf(id), delivery: Number(delivery) }
  } catch (error) {
    if (!isFailure(error)) throw error
  }
  throw new SqsRefusal("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
}

/** The messages that are of another queue are not acknowledged there. Those that are gone need not be. */
async function remove(call: QueueCall, { account, name }: QueueName, id: MessageId): Promise<void> {
  const [shown] = await call.queues.named(account, [id])
  if (shown?.message.queueName === name) await call.queues.acknowledge(account, [id])
}

async function deleteMessage(call: QueueCall, input: SqsInput): Promise<void> {
  const name = namedQueue(call, input)
  call.require("DeleteMessage", name.name)
  await needed(call, name)
  await remove(call, name, receiptIn(input).id)
}

async function deleteMessageBatch(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("DeleteMessage", name.name)
  await needed(call, name)
  return batchOf(entriesOf(input, "ReceiptHandle"), async entry => {
    await remove(call, name, receiptIn(entry).id)
    return {}
  })
}

async function changeVisibility(call: QueueCall, name: QueueName, input: SqsInput): Promise<SqsResult> {
  const { id, delivery } = receiptIn(input)
  const seconds = input.whole("VisibilityTimeout", 0, VISIBILITY_SECONDS_MAX)
  if (seconds === undefined) throw missingParameter("VisibilityTimeout")
  const [shown] = await call.queues.named(name.account, [id])
  const isThere = shown?.message.queueName === name.name
  const change = { kind: "visibility", seconds, delivery } as const
  const [outcome] = isThere ? await call.queues.reschedule(name.account, [{ id, change }]) : []
  if (outcome?.kind !== "done")
    throw fail("notInFlight", { message: "The message is not in flight with this receipt handle." })
  return {}
}

async function changeMessageVisibility(call: QueueCall, input: SqsInput): Promise<void> {
  const name = namedQueue(call, input)
  call.require("ChangeMessageVisibility", name.name)
  await needed(call, name)
  await changeVisibility(call, name, input)
}

async function changeMessageVisibilityBatch(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("ChangeMessageVisibility", name.name)
  await needed(call, name)
  const entries = entriesOf(input, "ReceiptHandle VisibilityTimeout")
  return batchOf(entries, entry => changeVisibility(call, name, entry))
}

/** Throws `TagLimitExceeded` and others. */
function checkedTags(tags: ReadonlyMap<string, string>): QueueSettings["tags"] {
  if (tags.size > QUEUE_LIMITS.tagsMax) throw invalidValue(`A queue has at most ${QUEUE_LIMITS.tagsMax} tags.`)
  for (const [name, value] of tags)
    if (name === "" || name.length > 128 || value.length > 256 || /^aws:/i.test(name) || !isCarried(name + value))
      throw invalidValue(`The tag ${name.slice(0, 128)} is not valid.`)
  return [...tags].sort(([a], [b]) => (a < b ? -1 : 1))
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Throws `queueExists` if the queue that is there has other settings than those that the request states. */
async function createQueue(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const { name, account } = queueOf(call, input.text("QueueName"))
  call.require("CreateQueue", name)
  const stated = settingsOf(call, input.map("Attributes"))
  const tags = checkedTags(input.map("tags"))
  const { queue, isNew } = await call.queues.create({ account, name }, { ...DEFAULT_SETTINGS, ...stated, tags })
  const differing = Object.entries(stated).find(([member, value]) => {
    const [, there] = Object.entries(queue.settings).find(([each]) => each === member) ?? []
    return !isSame(there, value)
  })
  if (!isNew && differing !== undefined) {
    const message = `A queue already exists with the same name and a different value for ${differing[0]}.`
    throw fail("queueExists", { message })
  }
  return { QueueUrl: urlOf(call, name) }
}

async function getQueueUrl(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = queueOf(call, input.text("QueueName"))
  const owner = input.optional("QueueOwnerAWSAccountId") ?? call.caller.number
  call.require("GetQueueUrl", name.name)
  if (owner !== call.caller.number) throw fail("noSuchQueue", { message: "Queues of other accounts cannot be used." })
  await needed(call, name)
  return { QueueUrl: urlOf(call, name.name) }
}

async function listQueues(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  call.require("ListQueues")
  const stated = input.whole("MaxResults", 1, LISTED_MAX)
  const [prefix, after] = [input.optional("QueueNamePrefix") ?? "", input.optional("NextToken")]
  const { found, after: next } = await call.queues.list(call.caller.account, prefix, after, stated ?? LISTED_MAX)
  const urls = found.map(({ name }) => urlOf(call, name))
  // SQS gives a token only to requests that state a number.
  const isMore = next !== undefined && stated !== undefined
  return { ...(urls.length > 0 && { QueueUrls: urls }), ...(isMore && { NextToken: next }) }
}

async function getQueueAttributes(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("GetQueueAttributes", name.name)
  const found = await needed(call, name)
  const names = input.texts("AttributeNames")
  if (names.length === 0) return {}
  const attributes = chosen(names, attributesOf(call, found, await call.queues.lengths(found)))
  return Object.keys(attributes).length === 0 ? {} : { Attributes: attributes }
}

async function setQueueAttributes(call: QueueCall, input: SqsInput): Promise<void> {
  const name = namedQueue(call, input)
  call.require("SetQueueAttributes", name.name)
  if (!input.has("Attributes")) throw missingParameter("Attributes")
  await call.queues.change(name, { settings: settingsOf(call, input.map("Attributes")) })
}

async function deleteQueue(call: QueueCall, input: SqsInput): Promise<void> {
  const name = namedQueue(call, input)
  call.require("DeleteQueue", name.name)
  await call.queues.remove(name)
}

async function purgeQueue(call: QueueCall, input: SqsInput): Promise<void> {
  const name = namedQueue(call, input)
  call.require("PurgeQueue", name.name)
  const isEmpty = await call.queues.empty(name, PURGE_REST_MS)
  if (!isEmpty)
    throw new SqsRefusal(
      "PurgeQueueInProgress",
      `Only one PurgeQueue operation on ${name.name} is allowed every 60 seconds.`,
    )
}

async function tagQueue(call: QueueCall, input: SqsInput): Promise<void> {
  const name = namedQueue(call, input)
  call.require("TagQueue", name.name)
  const { queue } = await needed(call, name)
  const added = input.map("Tags")
  if (added.size === 0) throw missingParameter("Tags")
  const tags = checkedTags(new Map([...queue.settings.tags, ...added]))
  await call.queues.change(name, { settings: { tags } })
}

async function untagQueue(call: QueueCall, input: SqsInput): Promise<void> {
  const name = namedQueue(call, input)
  call.require("UntagQueue", name.name)
  const { queue } = await needed(call, name)
  const gone = new Set(input.texts("TagKeys"))
  if (gone.size === 0) throw invalidValue("Tag keys must be between 1 and 128 characters in length.")
  await call.queues.change(name, { settings: { tags: queue.settings.tags.filter(([tag]) => !gone.has(tag)) } })
}

async function listQueueTags(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("ListQueueTags", name.name)
  const { tags } = (await needed(call, name)).queue.settings
  return tags.length === 0 ? {} : { Tags: Object.fromEntries(tags) }
}

async function listDeadLetterSourceQueues(call: QueueCall, input: SqsInput): Promise<SqsResult> {
  const name = namedQueue(call, input)
  call.require("ListDeadLetterSourceQueues", name.name)
  await needed(call, name)
  const max = input.whole("MaxResults", 1, LISTED_MAX) ?? LISTED_MAX
  const page = await call.queues.list(name.account, "", input.optional("NextToken"), max)
  const sources = page.found.filter(({ queue }) => queue.settings.redrive?.deadQueue === name.name)
  const next = page.after
  return { queueUrls: sources.map(source => urlOf(call, source.name)), ...(next !== undefined && { NextToken: next }) }
}

const RECEIVED =
  "QueueUrl AttributeNames MessageSystemAttributeNames MessageAttributeNames MaxNumberOfMessages VisibilityTimeout WaitTimeSeconds"

export const SQS_OPERATIONS: Readonly<Record<string, SqsOperation>> = {
  SendMessage: operation(`QueueUrl ${OF_MESSAGE}`, sendMessage),
  SendMessageBatch: operation("QueueUrl Entries", sendMessageBatch),
  ReceiveMessage: operation(RECEIVED, receiveMessage),
  DeleteMessage: operation("QueueUrl ReceiptHandle", deleteMessage),
  DeleteMessageBatch: operation("QueueUrl Entries", deleteMessageBatch),
  ChangeMessageVisibility: operation("QueueUrl ReceiptHandle VisibilityTimeout", changeMessageVisibility),
  ChangeMessageVisibilityBatch: operation("QueueUrl Entries", changeMessageVisibilityBatch),
  CreateQueue: operation("QueueName Attributes tags", createQueue),
  GetQueueUrl: operation("QueueName QueueOwnerAWSAccountId", getQueueUrl),
  ListQueues: operation("QueueNamePrefix NextToken MaxResults", listQueues),
  GetQueueAttributes: operation("QueueUrl AttributeNames", getQueueAttributes),
  SetQueueAttributes: operation("QueueUrl Attributes", setQueueAttributes),
  DeleteQueue: operation("QueueUrl", deleteQueue),
  PurgeQueue: operation("QueueUrl", purgeQueue),
  TagQueue: operation("QueueUrl Tags", tagQueue),
  UntagQueue: operation("QueueUrl TagKeys", untagQueue),
  ListQueueTags: operation("QueueUrl", listQueueTags),
  ListDeadLetterSourceQueues: operation("QueueUrl NextToken MaxResults", listDeadLetterSourceQueues),
}

/** Operations that SQS has and this store does not. */
export const REFUSED_OPERATIONS: ReadonlySet<string> = new Set([
  "AddPermission",
  "RemovePermission",
  "StartMessageMoveTask",
  "ListMessageMoveTasks",
  "CancelMessageMoveTask",
])
