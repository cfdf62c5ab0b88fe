/** The commands for queues: `queue list`, `show`, `create`, `pause`, `resume`, `purge` and `delete`. */
import type { Command } from "commander"
import type { z } from "zod"
import { MESSAGES, QUEUE, QUEUES } from "../admin/index.js"
import type { AdminClient } from "../client/index.js"
import { checked } from "./checked.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { countText, plural, printable, sizeText, tableText } from "./text.js"

type Queue = z.output<typeof QUEUE>

interface QueueOptions extends StoreOptions, OutputOptions {
  readonly account?: string
}

interface PauseOptions extends QueueOptions {
  readonly in?: true
  readonly out?: true
}

const ACCOUNT = ["--account <ID>", "account of the queue (default: the root account)"] as const

export function addQueueCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const queue = group(program, "queue").description("queues: what they hold, pausing and emptying them")
  const one = (name: string, text: string) =>
    withStore(queue.command(name))
      .description(text)
      .argument("<QUEUE>")
      .option(...ACCOUNT)
  withStore(queue.command("list"))
    .description("queues of all accounts, with what they hold")
    .option("--account <ID>", "only those of this account")
    .action((options: QueueOptions) => list(io, options, signal))
  one("show", "one queue, and the oldest messages that are due").action((name: string, options: QueueOptions) =>
    show(io, name, options, signal),
  )
  one("create", "make a queue, unless it is there").action(async (name: string, options: QueueOptions) => {
    const { account } = options
    const body = { name, ...(account !== undefined && { account }) }
    const made = await withAdmin(io, options, signal, client => client.post("/v1/queues", body))
    await answer(io, options, checked(QUEUE, made), `the queue ${name} is there\n`)
  })
  one("pause", "accept and deliver no messages")
    .option("--in", "only accept none")
    .option("--out", "only deliver none")
    .action((name: string, options: PauseOptions) => {
      const isBoth = options.in === options.out
      return setPause(io, name, isBoth ? "all" : options.in === true ? "in" : "out", options, signal)
    })
  one("resume", "accept and deliver messages again").action((name: string, options: QueueOptions) =>
    setPause(io, name, "none", options, signal),
  )
  one("purge", "remove all messages of a queue, those in flight too").action(
    async (name: string, options: QueueOptions) => {
      await onQueue(io, name, options, signal, (client, path) => client.post(`${path}/purge`, {}))
      await answer(io, options, { name, purged: true }, `removed all messages of ${name}\n`)
    },
  )
  one("delete", "delete a queue with all of its messages").action(async (name: string, options: QueueOptions) => {
    await onQueue(io, name, options, signal, (client, path) => client.remove(path))
    await answer(io, options, { name, deleted: true }, `deleted the queue ${name}\n`)
  })
}

async function onQueue<T>(
  io: CliIo,
  name: string,
  options: QueueOptions,
  signal: AbortSignal,
  ask: (client: AdminClient, path: string) => Promise<T>,
): Promise<T> {
  const account = options.account ?? "-"
  return withAdmin(io, options, signal, client =>
    ask(client, `/v1/queues/${encodeURIComponent(account)}/${encodeURIComponent(name)}`),
  )
}

async function list(io: CliIo, options: QueueOptions, signal: AbortSignal): Promise<void> {
  const found: Queue[] = []
  await withAdmin(io, options, signal, async client => {
    let after: string | undefined
    do {
      const { account } = options
      const query = { ...(account !== undefined && { account }), ...(after !== undefined && { after }) }
      const page = checked(QUEUES, await client.get("/v1/queues", query))
      found.push(...page.queues)
      after = page.next
    } while (after !== undefined)
  })
  const rows = found.map(each => [
    ...[each.account, each.name, countText(each.due), countText(each.inFlight), countText(each.delayed)],
    ...[sizeText(each.bytes), each.pause === "none" ? "" : `paused: ${each.pause}`],
  ])
  const table = tableText(["account", "queue", "due", "in flight", "delayed", "bytes", ""], rows)
  await answer(io, options, { queues: found }, found.length === 0 ? "there are no queues\n" : table)
}

async function show(io: CliIo, name: string, options: QueueOptions, signal: AbortSignal): Promise<void> {
  const { queue, messages } = await onQueue(io, name, options, signal, async (client, path) => ({
    queue: checked(QUEUE, await client.get(path)),
    messages: checked(MESSAGES, await client.get(`${path}/messages`)).messages,
  }))
  const { due, inFlight, delayed, bytes, pause, redrive } = queue
  const lines = [
    `${name}: ${plural(due, "message")} due, ${countText(inFlight)} in flight, ${countText(delayed)} delayed, ${sizeText(bytes)}`,
    ...(pause === "none" ? [] : [`paused: ${pause}`]),
    ...(redrive ? [`after ${plural(redrive.maxDeliveries, "delivery")} messages move to ${redrive.deadQueue}`] : []),
    ...messages.map(({ id, deliveries, body }) => `${id}  ${deliveries}  ${printable(body.slice(0, 60))}`),
  ]
  await answer(io, options, { queue, messages }, lines.map(line => `${line}\n`).join(""))
}

async function setPause(
  io: CliIo,
  name: string,
  pause: Queue["pause"],
  options: QueueOptions,
  signal: AbortSignal,
): Promise<void> {
  const changed = await onQueue(io, name, options, signal, (client, path) => client.post(path, { pause }))
  const text = pause === "none" ? `${name} goes on\n` : `${name} is paused: ${pause}\n`
  await answer(io, options, checked(QUEUE, changed), text)
}
