/** Amazon's SDK for SQS on a real server: all operations that this store has, and what it refuses by name. */
import assert from "node:assert/strict"
import { join } from "node:path"
import { test } from "node:test"
import {
  AddPermissionCommand,
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListDeadLetterSourceQueuesCommand,
  ListQueuesCommand,
  ListQueueTagsCommand,
  PurgeQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
  TagQueueCommand,
  UntagQueueCommand,
  type ReceiveMessageCommandInput,
} from "@aws-sdk/client-sqs"
import { Client } from "../../conformance/client.js"
import { parseEndpoint } from "../../conformance/raw-client.js"
import { awsEnvironment } from "../harness/aws-environment.js"
import { findProgram, run } from "../harness/commands.js"
import { freePort } from "../harness/free-port.js"
import { forTestsOfFile, withFolder } from "../harness/folders.js"
import { QueueClient } from "../harness/queue-client.js"
import { CREDENTIALS, REGION, ServerProcess } from "../harness/server.js"

let sqs: SQSClient
let rest: QueueClient
let endpoint: string

forTestsOfFile(async folder => {
  const host = `127.0.0.1:${await freePort()}`
  const server = await ServerProcess.start({ folders: [join(folder, "data")], args: ["--queue-listen", host] })
  const credentials = { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey }
  endpoint = `http://${host}`
  sqs = new SQSClient({ endpoint, region: REGION, credentials })
  rest = new QueueClient({ host, ...CREDENTIALS })
  return async () => {
    sqs.destroy()
    rest.close()
    await server.kill()
  }
})

async function created(name: string, attributes: Readonly<Record<string, string>> = {}): Promise<string> {
  const { QueueUrl: url } = await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }))
  assert.ok(url !== undefined && url.endsWith(`/${name}`), url)
  return url
}

async function receive(url: string, more: Partial<ReceiveMessageCommandInput> = {}) {
  return (await sqs.send(new ReceiveMessageCommand({ QueueUrl: url, ...more }))).Messages ?? []
}

async function attribute(url: string, name: "All" | "ApproximateNumberOfMessages" | "QueueArn"): Promise<string> {
  const found = await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: [name] }))
  return found.Attributes?.[name] ?? ""
}

test("queues: made once, found, listed page by page, set, tagged, deleted", async () => {
  const url = await created("life", { DelaySeconds: "0", VisibilityTimeout: "20" })
  assert.equal(await created("life", { VisibilityTimeout: "20" }), url)
  await assert.rejects(created("life", { VisibilityTimeout: "21" }), { name: "QueueNameExists" })
  assert.equal((await sqs.send(new GetQueueUrlCommand({ QueueName: "life" }))).QueueUrl, url)
  await assert.rejects(sqs.send(new GetQueueUrlCommand({ QueueName: "none" })), { name: "QueueDoesNotExist" })
  for (const name of ["list-1", "list-2", "list-3"]) await created(name)
  const names: string[] = []
  let token: string | undefined
  do {
    const page = await sqs.send(
      new ListQueuesCommand({ QueueNamePrefix: "list-", MaxResults: 2, ...(token && { NextToken: token }) }),
    )
    names.push(...(page.QueueUrls ?? []).map(each => each.split("/").at(-1) ?? ""))
    token = page.NextToken
  } while (token !== undefined)
  assert.deepEqual(names, ["list-1", "list-2", "list-3"])
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl: url, Attributes: { MessageRetentionPeriod: "120" } }))
  const { Attributes: all = {} } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ["All"] }),
  )
  assert.deepEqual(
    [all["MessageRetentionPeriod"], all["VisibilityTimeout"], all["MaximumMessageSize"]],
    ["120", "20", "1048576"],
  )
  assert.match(all["QueueArn"] ?? "", /^arn:aws:sqs:us-east-1:\d{12}:life$/)
  await sqs.send(new TagQueueCommand({ QueueUrl: url, Tags: { team: "ä", other: "x" } }))
  await sqs.send(new UntagQueueCommand({ QueueUrl: url, TagKeys: ["other"] }))
  await assert.rejects(sqs.send(new TagQueueCommand({ QueueUrl: url, Tags: {} })), {
    name: "MissingParameter",
    message: "The request must contain the parameter Tags.",
  })
  await assert.rejects(sqs.send(new UntagQueueCommand({ QueueUrl: url, TagKeys: [] })), {
    name: "InvalidParameterValue",
    message: "Tag keys must be between 1 and 128 characters in length.",
  })
  assert.deepEqual((await sqs.send(new ListQueueTagsCommand({ QueueUrl: url }))).Tags, { team: "ä" })
  await sqs.send(new DeleteQueueCommand({ QueueUrl: url }))
  await assert.rejects(receive(url), { name: "QueueDoesNotExist" })
})

test("messages: sent with attributes, received, hidden, deleted; the SDK checks every digest", async () => {
  const url = await created("messages")
  const attributes = {
    text: { DataType: "String", StringValue: "ä" },
    count: { DataType: "Number.int", StringValue: "17" },
    bytes: { DataType: "Binary", BinaryValue: Uint8Array.of(0, 255) },
  }
  const sent = await sqs.send(
    new SendMessageCommand({ QueueUrl: url, MessageBody: "hello \u{1f600}", MessageAttributes: attributes }),
  )
  assert.equal(sent.MD5OfMessageAttributes?.length, 32)
  const [found] = await receive(url, { MessageAttributeNames: ["All"], MessageSystemAttributeNames: ["All"] })
  assert.ok(found)
  assert.deepEqual([found.Body, found.MessageId], ["hello \u{1f600}", sent.MessageId])
  assert.equal(found.MD5OfMessageAttributes, sent.MD5OfMessageAttributes)
  assert.deepEqual(
    [found.MessageAttributes?.["text"]?.StringValue, found.MessageAttributes?.["count"]?.DataType],
    ["ä", "Number.int"],
  )
  assert.deepEqual(Buffer.from(found.MessageAttributes?.["bytes"]?.BinaryValue ?? []), Buffer.from([0, 255]))
  assert.equal(found.Attributes?.ApproximateReceiveCount, "1")
  assert.deepEqual(await receive(url), [])
  const handle = { QueueUrl: url, ReceiptHandle: found.ReceiptHandle ?? "" }
  await sqs.send(new ChangeMessageVisibilityCommand({ ...handle, VisibilityTimeout: 0 }))
  const [again] = await receive(url, { MessageAttributeNames: ["te.*"], MessageSystemAttributeNames: ["All"] })
  assert.equal(again?.Attributes?.ApproximateReceiveCount, "2")
  assert.deepEqual(Object.keys(again?.MessageAttributes ?? {}), ["text"], "a prefix")
  await assert.rejects(sqs.send(new ChangeMessageVisibilityCommand({ ...handle, VisibilityTimeout: 5 })), {
    name: "MessageNotInflight",
  })
  // Work that was done is done, whichever delivery it was.
  await sqs.send(new DeleteMessageCommand(handle))
  await sqs.send(new DeleteMessageCommand(handle))
  assert.equal(await attribute(url, "ApproximateNumberOfMessages"), "0")
  await assert.rejects(sqs.send(new DeleteMessageCommand({ QueueUrl: url, ReceiptHandle: "nonsense" })), {
    name: "ReceiptHandleIsInvalid",
  })
})

test("batches: each entry for itself", async () => {
  const url = await created("batches")
  const { Successful: sent = [], Failed: failed = [] } = await sqs.send(
    new SendMessageBatchCommand({
      QueueUrl: url,
      Entries: [
        { Id: "a", MessageBody: "1" },
        { Id: "b", MessageBody: "bad \u0001" },
        { Id: "c", MessageBody: "3", DelaySeconds: 900 },
      ],
    }),
  )
  assert.deepEqual(
    [sent.map(({ Id }) => Id), failed.map(({ Id, Code }) => [Id, Code])],
    [["a", "c"], [["b", "InvalidMessageContents"]]],
  )
  const [first] = await receive(url, { MaxNumberOfMessages: 10 })
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "4", DelaySeconds: 1 }))
  const [second] = await receive(url, { MaxNumberOfMessages: 10, WaitTimeSeconds: 20 })
  assert.deepEqual([first?.Body, second?.Body], ["1", "4"])
  const entry = (id: string, handle = "") => ({ Id: id, ReceiptHandle: handle })
  const changed = await sqs.send(
    new ChangeMessageVisibilityBatchCommand({
      QueueUrl: url,
      Entries: [
        { ...entry("a", first?.ReceiptHandle), VisibilityTimeout: 100 },
        { ...entry("b", "nonsense"), VisibilityTimeout: 1 },
      ],
    }),
  )
  assert.deepEqual([changed.Successful?.length, changed.Failed?.[0]?.Code], [1, "ReceiptHandleIsInvalid"])
  const deleted = await sqs.send(
    new DeleteMessageBatchCommand({
      QueueUrl: url,
      Entries: [entry("a", first?.ReceiptHandle), entry("b", second?.ReceiptHandle)],
    }),
  )
  assert.equal(deleted.Successful?.length, 2)
  await assert.rejects(sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: [] })), {
    name: "EmptyBatchRequest",
  })
  const eleven = Array.from({ length: 11 }, (_, n) => ({ Id: `${n}`, MessageBody: "x" }))
  await assert.rejects(sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: eleven })), {
    name: "TooManyEntriesInBatchRequest",
  })
  const twice = [...eleven.slice(0, 1), ...eleven.slice(0, 1)]
  await assert.rejects(sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: twice })), {
    name: "BatchEntryIdsNotDistinct",
  })
  const large = "x".repeat(600 * 1024)
  const both = ["a", "b"].map(id => ({ Id: id, MessageBody: large }))
  await assert.rejects(sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries: both })), {
    name: "BatchRequestTooLong",
  })
  // The error with the queue is the answer to the request.
  const Entries = [{ Id: "a", MessageBody: "x" }]
  const nowhere = new SendMessageBatchCommand({ QueueUrl: url.replace(/[^/]+$/, "nowhere"), Entries })
  await assert.rejects(sqs.send(nowhere), { name: "QueueDoesNotExist" })
})

test("the ids of messages may be those of entries in a batch", async () => {
  const url = await created("entries")
  const Entries = Array.from({ length: 10 }, (_, n) => ({ Id: `${n}`, MessageBody: "x" }))
  const sent: (string | undefined)[] = []
  for (let round = 0; round < 4; round += 1) {
    const { Successful = [] } = await sqs.send(new SendMessageBatchCommand({ QueueUrl: url, Entries }))
    sent.push(...Successful.map(each => each.MessageId))
    const found = await receive(url, { MaxNumberOfMessages: 10 })
    const entries = found.map(each => ({ Id: each.MessageId, ReceiptHandle: each.ReceiptHandle }))
    const deleted = await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: url, Entries: entries }))
    assert.deepEqual([deleted.Successful?.length, deleted.Failed?.length ?? 0], [10, 0])
  }
  for (const id of sent) assert.match(id ?? "", /^[A-Za-z0-9_-]{1,80}$/)
})

test("a message that is received too often moves to the dead-letter queue; a purge removes all", async () => {
  const dead = await created("dead")
  const arn = await attribute(dead, "QueueArn")
  const url = await created("source", {
    VisibilityTimeout: "0",
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: 2 }),
  })
  const sources = await sqs.send(new ListDeadLetterSourceQueuesCommand({ QueueUrl: dead }))
  assert.deepEqual(sources.queueUrls, [url])
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "poison" }))
  for (const _ of [1, 2]) assert.equal((await receive(url)).length, 1)
  assert.deepEqual(await receive(url), [])
  const [moved] = await receive(dead, { MessageSystemAttributeNames: ["All"] })
  assert.equal(moved?.Body, "poison")
  assert.match(moved?.Attributes?.DeadLetterQueueSourceArn ?? "", /:source$/)
  await sqs.send(new PurgeQueueCommand({ QueueUrl: dead }))
  assert.deepEqual(await receive(dead, { VisibilityTimeout: 0 }), [])
  await sqs.send(new SendMessageCommand({ QueueUrl: dead, MessageBody: "later" }))
  await assert.rejects(sqs.send(new PurgeQueueCommand({ QueueUrl: dead })), { name: "PurgeQueueInProgress" })
  assert.equal((await receive(dead)).length, 1, "a purge that is refused removes nothing")
})

test("both APIs see the same messages", async () => {
  const url = await created("shared")
  await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "by SQS" }))
  const [job] = await rest.get("shared")
  assert.equal(job?.body, "by SQS")
  assert.equal(await rest.ack([job.id]), 1)
  const { MessageId: id = "" } = await sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "by its id" }))
  assert.equal(await rest.ack([id]), 1)
  await rest.request("POST", "/queue/shared", { body: Buffer.from([0xff]) })
  const [found] = await receive(url, { MessageAttributeNames: ["All"] })
  assert.equal(found?.Body, Buffer.from([0xff]).toString("base64"))
  assert.equal(found.MessageAttributes?.["hayloft.encoding"]?.StringValue, "base64")
})

const aws = findProgram("aws")
test(
  "the older protocol, as an AWS CLI of before 2024 has it",
  { skip: aws === undefined && "aws is not installed" },
  () =>
    withFolder(async home => {
      const env = awsEnvironment({ endpoint, home })
      const call = async (...args: readonly string[]): Promise<string> => {
        const { code, stdout, stderr } = await run(aws ?? "", ["--endpoint-url", endpoint, "sqs", ...args], { env })
        return code === 0 ? stdout : stderr
      }
      const url = await created("cli", { VisibilityTimeout: "0" })
      // The client fails if the answer has no result, even an empty one.
      assert.equal((await call("receive-message", "--queue-url", url)).trim(), "")
      const attributes = JSON.stringify({ k: { DataType: "String", StringValue: "<v>" } })
      const of = ["--queue-url", url] as const
      await call("send-message", ...of, "--message-body", "hi <there>", "--message-attributes", attributes)
      await call("send-message-batch", ...of, "--entries", "Id=1,MessageBody=one", "Id=2,MessageBody=two")
      const all = ["--attribute-names", "All", "--message-attribute-names", "All", "--max-number-of-messages", "10"]
      const text = await call("receive-message", ...of, ...all)
      for (const part of [
        '"Body": "hi <there>"',
        '"StringValue": "<v>"',
        '"Body": "two"',
        '"ApproximateReceiveCount": "1"',
      ])
        assert.ok(text.includes(part), text)
      assert.match(await call("get-queue-url", "--queue-name", "nope"), /NonExistentQueue/)
    }),
)

/** A request of the older protocol by hand; returns its answer. */
async function asked(Action: string, values: Readonly<Record<string, string>>, expected = 200): Promise<string> {
  const client = new Client(parseEndpoint(endpoint), CREDENTIALS, REGION)
  const body = new URLSearchParams({ Action, Version: "2012-11-05", ...values }).toString()
  const headers = { "content-type": "application/x-www-form-urlencoded" }
  const { status, text } = await client.call("POST", { path: "/", headers, body, sign: { service: "sqs" } })
  assert.equal(status, expected, text)
  return text
}

test("the older protocol: names with thousands of parts are refused by name", async () => {
  const refused = await asked("ListQueues", { [`A${".a".repeat(20_000)}`]: "x" }, 400)
  assert.match(refused, /<Code>MalformedQueryString<\/Code>/)
})

test("the older protocol: a form of more parameters than any operation has is refused", async () => {
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`Tag.${at}.Key`, "x"]))
  assert.match(await asked("ListQueues", many, 400), /more than 10000 parameters/)
})

test("the older protocol: each answer has a result, even an empty one", async () => {
  const attributes = { "Attribute.1.Name": "VisibilityTimeout", "Attribute.1.Value": "0" }
  await asked("CreateQueue", { QueueName: "old", ...attributes, "Tag.1.Key": "a", "Tag.1.Value": "b" })
  const found = await asked("GetQueueUrl", { QueueName: "old" })
  const QueueUrl = /<GetQueueUrlResult><QueueUrl>([^<]+)</.exec(found)?.[1] ?? assert.fail(found)
  assert.match(await asked("ListQueues", { QueueNamePrefix: "none" }), /<ListQueuesResult ?(\/>|><\/ListQueuesResult>)/)
  for (const MessageBody of ["one", "two", "three"]) await asked("SendMessage", { QueueUrl, MessageBody })
  const received = await asked("ReceiveMessage", { QueueUrl })
  const handle = /<ReceiptHandle>([^<]+)</.exec(received)?.[1] ?? assert.fail(received)
  await asked("DeleteMessage", { QueueUrl, ReceiptHandle: handle })
  const count = await asked("GetQueueAttributes", { QueueUrl, "AttributeName.1": "ApproximateNumberOfMessages" })
  assert.match(count, /<Attribute><Name>ApproximateNumberOfMessages<\/Name><Value>2<\/Value><\/Attribute>/)
  assert.match(await asked("ListQueueTags", { QueueUrl }), /<Tag><Key>a<\/Key><Value>b<\/Value><\/Tag>/)
})

test("what the store does not have is refused by name", async () => {
  const cases = [
    ["x.fifo", {}, "UnsupportedOperation"],
    ["x", { FifoQueue: "true" }, "UnsupportedOperation"],
    ["x", { KmsMasterKeyId: "k" }, "UnsupportedOperation"],
    ["x", { Policy: "{}" }, "UnsupportedOperation"],
    ["x", { SqsManagedSseEnabled: "true" }, "UnsupportedOperation"],
    ["x", { Nonsense: "1" }, "InvalidAttributeName"],
    ["x", { DelaySeconds: "901" }, "InvalidAttributeValue"],
    ["x y", {}, "InvalidParameterValue"],
  ] as const
  for (const [name, attributes, error] of cases)
    await assert.rejects(created(name, attributes), { name: error }, `${name} ${JSON.stringify(attributes)}`)
  const url = await created("refusals")
  await assert.rejects(
    sqs.send(new AddPermissionCommand({ QueueUrl: url, Label: "l", AWSAccountIds: ["1"], Actions: ["*"] })),
    { name: "UnsupportedOperation" },
  )
  await assert.rejects(sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "x", MessageGroupId: "g" })), {
    name: "InvalidParameterValue",
  })
})

test("long runs of slashes and digits are refused at once", async () => {
  const url = await created("runs")
  const [slashes, digits] = ["/".repeat(1_000_000), "1".repeat(1_000_000)]
  const MessageAttributes = { n: { DataType: "Number", StringValue: `${digits}x` } }
  for (const input of [{ QueueUrl: `${url}${slashes}x y` }, { QueueUrl: url, MessageAttributes }])
    await assert.rejects(sqs.send(new SendMessageCommand({ ...input, MessageBody: "x" })), {
      name: "InvalidParameterValue",
    })
})

test("texts that XML cannot carry are refused: they would be received as others, with another digest", async () => {
  const url = await created("uncarried")
  for (const text of ["a\u0000b", "\u0001", "\ud800", "a\udc00", "\ufffe"]) {
    const attributes = [
      { n: { DataType: `String.${text}`, StringValue: "x" } },
      { n: { DataType: "String", StringValue: text } },
      { [text]: { DataType: "String", StringValue: "x" } },
    ]
    for (const MessageAttributes of attributes)
      await assert.rejects(sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "x", MessageAttributes })), {
        name: /^Invalid(?:ParameterValue|MessageContents)$/,
      })
    const MessageSystemAttributes = { AWSTraceHeader: { DataType: "String", StringValue: text } }
    await assert.rejects(
      sqs.send(new SendMessageCommand({ QueueUrl: url, MessageBody: "x", MessageSystemAttributes })),
      { name: "InvalidMessageContents" },
    )
    for (const Tags of [{ [text]: "x" }, { x: text }])
      await assert.rejects(sqs.send(new TagQueueCommand({ QueueUrl: url, Tags })), { name: "InvalidParameterValue" })
  }
  const { Tags } = await sqs.send(new ListQueueTagsCommand({ QueueUrl: url }))
  assert.equal(Tags, undefined)
})
