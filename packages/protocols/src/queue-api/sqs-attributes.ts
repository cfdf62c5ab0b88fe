/**
 * Attributes of queues and messages as SQS has them. Pure.
 *
 * Sources  "SetQueueAttributes", "GetQueueAttributes", "ReceiveMessage", "Amazon SQS message attributes" (the digest of
 *          attributes), Amazon SQS.
 */
import { createHash } from "node:crypto"
import { KIB } from "@hayloft/base/limits.js"
import type { MessageAttribute, MessageContent, QueueSettings, Redrive } from "@hayloft/engine/format/queue-rows.js"
import { QUEUE_LIMITS, type Delivery, type NamedQueue, type QueueLengths } from "@hayloft/features/queues/index.js"
import { parseQueueArn, queueArn } from "./actions.js"
import { queueOf, type QueueCall } from "./call.js"
import { SqsRefusal } from "./failures.js"
import { urlFormOf } from "./rest-route.js"
import { SqsInput, invalidValue, missingParameter } from "./sqs-input.js"

const SECOND_MS = 1_000

interface NumberAttribute {
  readonly member:
    | "delaySeconds"
    | "visibilitySeconds"
    | "retentionSeconds"
    | "messageBytesMax"
    | "waitSeconds"
    | "bytesMax"
  readonly least: number
  readonly most: number
}

const NUMBERS: Readonly<Record<string, NumberAttribute>> = {
  DelaySeconds: { member: "delaySeconds", least: 0, most: 900 },
  VisibilityTimeout: { member: "visibilitySeconds", least: 0, most: 43_200 },
  MessageRetentionPeriod: { member: "retentionSeconds", least: 60, most: 1_209_600 },
  MaximumMessageSize: { member: "messageBytesMax", least: KIB, most: QUEUE_LIMITS.contentBytesMax },
  ReceiveMessageWaitTimeSeconds: { member: "waitSeconds", least: 0, most: 20 },
  // Hayloft's own.
  BytesMax: { member: "bytesMax", least: KIB, most: QUEUE_LIMITS.bytesMaxMost },
}

/** The reason why the store refuses attributes that it does not have. */
const REFUSED: Readonly<Record<string, string>> = {
  FifoQueue: "FIFO queues are not supported: messages may be delivered out of order.",
  ContentBasedDeduplication: "FIFO queues are not supported.",
  DeduplicationScope: "FIFO queues are not supported.",
  FifoThroughputLimit: "FIFO queues are not supported.",
  Policy: "Queues have no policies of their own: attach policies to users and roles.",
  RedriveAllowPolicy: "Any queue of the account may be a dead-letter queue.",
  KmsMasterKeyId:
    "Messages are not encrypted with keys of their own; --encrypt-at-rest encrypts everything on the disks.",
  KmsDataKeyReusePeriodSeconds: "Messages are not encrypted with keys of their own.",
}

function redriveOf(call: Pick<QueueCall, "caller">, text: string): Redrive | undefined {
  if (text === "") return undefined
  const policy = SqsInput.parse(text, "RedrivePolicy")
  policy.checkKnown(["deadLetterTargetArn", "maxReceiveCount"])
  const target = parseQueueArn(policy.text("deadLetterTargetArn"))
  if (target === undefined || target.account !== call.caller.number)
    throw invalidValue("deadLetterTargetArn must be the ARN of a queue of the same account.")
  const maxDeliveries = policy.whole("maxReceiveCount", 1, QUEUE_LIMITS.deliveriesMax)
  if (maxDeliveries === undefined) throw missingParameter("RedrivePolicy.maxReceiveCount")
  return { maxDeliveries, deadQueue: queueOf(call, target.name).name }
}

/** The settings that attributes of a request ask for. Throws `InvalidAttributeName`, `InvalidAttributeValue` and others. */
export function settingsOf(
  call: Pick<QueueCall, "caller">,
  attributes: ReadonlyMap<string, string>,
): Partial<QueueSettings> {
  const settings: { -readonly [Name in keyof QueueSettings]?: QueueSettings[Name] } = {}
  for (const [name, text] of attributes) {
    const number = Object.hasOwn(NUMBERS, name) ? NUMBERS[name] : undefined
    if (number !== undefined) {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN
      if (!(value >= number.least && value <= number.most))
        throw new SqsRefusal("InvalidAttributeValue", `${name} must be between ${number.least} and ${number.most}.`)
      settings[number.member] = value
    } else if (name === "RedrivePolicy") settings.redrive = redriveOf(call, text)
    else if (name === "SqsManagedSseEnabled") {
      if (text !== "false") throw new SqsRefusal("UnsupportedOperation", REFUSED["KmsMasterKeyId"] ?? "")
    } else if (Object.hasOwn(REFUSED, name)) throw new SqsRefusal("UnsupportedOperation", REFUSED[name] ?? "")
    else throw new SqsRefusal("InvalidAttributeName", `Unknown Attribute ${name.slice(0, 100)}.`)
  }
  return settings
}

/** All attributes of a queue. */
export function attributesOf(
  { caller, region }: Pick<QueueCall, "caller" | "region">,
  { name, queue, bytes }: NamedQueue,
  { due, inFlight, delayed }: QueueLengths,
): ReadonlyMap<string, string> {
  const { settings, createdMs, changedMs } = queue
  const arnOf = (each: string): string => queueArn(region, caller.number, each)
  const { redrive } = settings
  const policy = redrive && { deadLetterTargetArn: arnOf(redrive.deadQueue), maxReceiveCount: redrive.maxDeliveries }
  return new Map([
    ["QueueArn", arnOf(name)],
    ["ApproximateNumberOfMessages", String(due)],
    ["ApproximateNumberOfMessagesNotVisible", String(inFlight)],
    ["ApproximateNumberOfMessagesDelayed", String(delayed)],
    ["ApproximateBytes", String(bytes)],
    ["CreatedTimestamp", String(Math.floor(createdMs / SECOND_MS))],
    ["LastModifiedTimestamp", String(Math.floor(changedMs / SECOND_MS))],
    ...Object.entries(NUMBERS).map(([each, { member }]) => [each, String(settings[member])] as const),
    ["SqsManagedSseEnabled", "false"],
    ...(policy === undefined ? [] : [["RedrivePolicy", JSON.stringify(policy)] as const]),
  ])
}

/** Returns the attributes that a request names; `All` stands for all. Throws `InvalidAttributeName`. */
export function chosen(names: readonly string[], all: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const known = new Set([...all.keys(), "RedrivePolicy", ...Object.keys(REFUSED)])
  const unknown = names.find(name => name !== "All" && !known.has(name))
  if (unknown !== undefined) throw new SqsRefusal("InvalidAttributeName", `Unknown Attribute ${unknown.slice(0, 100)}.`)
  return Object.fromEntries(names.includes("All") ? all : [...all].filter(([name]) => names.includes(name)))
}

const MESSAGE_ATTRIBUTE_NAME = /^(?!\.)(?!.*\.\.)(?!.*\.$)[A-Za-z0-9_.-]{1,256}$/
const RESERVED_NAME = /^(aws|amazon)\./i
const TYPE = /^(String|Number|Binary)(\..{1,249})?$/
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$/
/** The characters that XML can carry. */
const UNCARRIED = /[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/u

/** Other texts would be received with other characters, and with another digest. */
export const isCarried = (text: string): boolean => !UNCARRIED.test(text)

/** Throws `InvalidMessageContents`. */
function checkedText(text: string): string {
  if (isCarried(text)) return text
  throw new SqsRefusal("InvalidMessageContents", "The message contains characters outside of the allowed set.")
}

function messageAttributeOf(name: string, input: SqsInput): MessageAttribute {
  input.checkKnown(["DataType", "StringValue", "BinaryValue", "StringListValues", "BinaryListValues"])
  if (!MESSAGE_ATTRIBUTE_NAME.test(name) || RESERVED_NAME.test(name))
    throw invalidValue(`The name of the message attribute ${name.slice(0, 100)} is not valid.`)
  const type = input.text("DataType")
  const [, kind] = TYPE.exec(type) ?? []
  if (kind === undefined || !isCarried(type))
    throw invalidValue(`The type of the message attribute ${name} must be Binary, Number or String.`)
  const [text, bytes] = [input.optional("StringValue"), input.blob("BinaryValue")]
  const value = kind === "Binary" ? bytes : text === undefined ? undefined : Buffer.from(checkedText(text))
  if (value === undefined || value.length === 0)
    throw invalidValue(`The message attribute ${name} with type ${type} must have a value of this type.`)
  if (kind === "Number" && !NUMBER.test(text ?? ""))
    throw invalidValue(`The value of the message attribute ${name} is not a number.`)
  return { name, type, value }
}

/** Parses a message of a request. Throws `MissingParameter`, `InvalidMessageContents` and others. */
export function contentOf(input: SqsInput): MessageContent {
  const body = input.text("MessageBody")
  const attributes = [...input.mapOfObjects("MessageAttributes")].map(([name, each]) => messageAttributeOf(name, each))
  if (attributes.length > QUEUE_LIMITS.attributesMax)
    throw invalidValue(`A message has at most ${QUEUE_LIMITS.attributesMax} attributes.`)
  const ofSystem = input.mapOfObjects("MessageSystemAttributes")
  const unknown = [...ofSystem.keys()].find(name => name !== "AWSTraceHeader")
  if (unknown !== undefined) throw invalidValue(`Message system attribute ${unknown.slice(0, 100)} is invalid.`)
  const header = ofSystem.get("AWSTraceHeader")
  return { body: Buffer.from(checkedText(body)), attributes, trace: header && checkedText(header.text("StringValue")) }
}

export const md5Of = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex")

const LOGICAL_STRING = 1
const LOGICAL_BINARY = 2

function sized(bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

/** Returns undefined if there are no attributes. */
export function md5OfAttributes(attributes: readonly MessageAttribute[]): string | undefined {
  if (attributes.length === 0) return undefined
  const sorted = [...attributes].sort((a, b) => (a.name < b.name ? -1 : 1))
  const parts = sorted.flatMap(({ name, type, value }) => [
    sized(Buffer.from(name)),
    sized(Buffer.from(type)),
    Buffer.from([isBinary(type) ? LOGICAL_BINARY : LOGICAL_STRING]),
    sized(value),
  ])
  return md5Of(Buffer.concat(parts))
}

const isBinary = (type: string): boolean => type.startsWith("Binary")

const shownAttribute = ({ type, value }: MessageAttribute) => ({
  DataType: type,
  ...(isBinary(type)
    ? { BinaryValue: Buffer.from(value).toString("base64") }
    : { StringValue: Buffer.from(value).toString() }),
})

const isChosen = (name: string, wanted: readonly string[]): boolean =>
  wanted.some(
    each =>
      each === "All" || each === ".*" || each === name || (each.endsWith(".*") && name.startsWith(each.slice(0, -2))),
  )

/** The attributes that a receiver asked for. */
interface WantedAttributes {
  readonly ofSystem: readonly string[]
  /** Names, or prefixes with `.*`. */
  readonly ofMessage: readonly string[]
}

/** The encoding of a body that is not UTF-8, which the REST API accepts. */
const ENCODED: MessageAttribute = { name: "hayloft.encoding", type: "String", value: Buffer.from("base64") }

function textOf({ body, attributes }: MessageContent): {
  readonly text: string
  readonly attributes: readonly MessageAttribute[]
} {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body), attributes }
  } catch {
    return { text: Buffer.from(body).toString("base64"), attributes: [...attributes, ENCODED] }
  }
}

/** A message as its receiver gets it. */
export function shownDelivery(
  { caller, region }: Pick<QueueCall, "caller" | "region">,
  { id, message, content }: Delivery,
  wanted: WantedAttributes,
): Readonly<Record<string, unknown>> {
  const { text, attributes } = textOf(content)
  const all = new Map([
    ["SenderId", message.sender],
    ["SentTimestamp", String(message.createdMs)],
    ["ApproximateReceiveCount", String(message.deliveries)],
    ["ApproximateFirstReceiveTimestamp", String(message.firstDeliveredMs ?? 0)],
    ...(content.trace === undefined ? [] : [["AWSTraceHeader", content.trace] as const]),
    ...(message.movedFrom === undefined
      ? []
      : [["DeadLetterQueueSourceArn", queueArn(region, caller.number, message.movedFrom)] as const]),
  ])
  const ofSystem = Object.fromEntries([...all].filter(([name]) => isChosen(name, wanted.ofSystem)))
  const ofMessage = attributes.filter(({ name }) => isChosen(name, wanted.ofMessage))
  const digest = md5OfAttributes(ofMessage)
  return {
    MessageId: urlFormOf(id),
    ReceiptHandle: receiptOf(id, message.deliveries),
    MD5OfBody: md5Of(Buffer.from(text)),
    Body: text,
    ...(Object.keys(ofSystem).length > 0 && { Attributes: ofSystem }),
    ...(digest !== undefined && {
      MD5OfMessageAttributes: digest,
      MessageAttributes: Object.fromEntries(ofMessage.map(each => [each.name, shownAttribute(each)])),
    }),
  }
}

/** The receipt handle of a delivery: its number, and the id of the message. */
const receiptOf = (id: string, delivery: number): string => `${delivery}.${id}`
