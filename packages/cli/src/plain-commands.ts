/**
 * The commands that operations define, built from the definitions: arguments, options, help and action. A command of an
 * operation with a plan shows that and asks; one that starts a job waits until that has ended.
 */
import type { Command as Parser } from "commander"
import { Argument } from "commander"
import {
  COMMAND_GROUPS,
  FEATURE_COMMAND_GROUPS,
  itemsOf,
  OPERATIONS,
  requestOf,
  type Calls,
  type OperatorCommand,
  type AdminOperation,
  type Shown,
  type Values,
} from "@hayloft/admin/index.js"
import { must } from "@hayloft/base/assert.js"
import { RemoteFailure, type AdminClient } from "@hayloft/client/index.js"
import { checked } from "./checked.js"
import { asCliError, typedAs, completed, typedTexts, valuesOf } from "./command-inputs.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { group, withChange, withStore } from "./options.js"
import { answer, answerList, type OutputOptions } from "./output.js"
import { planAndChange, type ChangeOptions } from "./running-store/plan-changes.js"
import { runRowsJob, withRowsJob, type RowsJobOptions } from "./running-store/rows-job.js"
import { nowOf, withAdmin, type StoreOptions } from "./stores.js"

const NOT_FOUND = 404

/** Items of a page; a list is read with as few requests as possible. */
const PAGE_ITEMS = "1000"

/** `queue` and `purge` of `queue purge`; the group of `status` is "". */
function placeOf(name: string): { readonly group: string; readonly word: string } {
  const words = name.split(" ")
  return { group: words.slice(0, -1).join(" "), word: words.at(-1) ?? "" }
}

/** Adds commands of operations to the program, a group at a time. */
export class PlainCommands {
  constructor(
    private readonly io: CliIo,
    private readonly signal: AbortSignal,
  ) {}

  /** Adds a group with all of its commands that operations define. */
  group(parent: Parser, name: keyof typeof COMMAND_GROUPS): Parser {
    const made = group(parent, placeOf(name).word).description(COMMAND_GROUPS[name])
    this.addTo(made, name)
    return made
  }

  /** The same for all groups of features; `others` adds commands that are no operations. */
  featureGroups(parent: Parser, others: Readonly<Record<string, (made: Parser) => void>>): void {
    for (const [name, text] of FEATURE_COMMAND_GROUPS) {
      const made = group(parent, name).description(text)
      this.addTo(made, name)
      others[name]?.(made)
    }
  }

  /** Adds the commands of a group, or one of them. */
  addTo(parent: Parser, groupName: string, only?: string): void {
    for (const operation of OPERATIONS)
      for (const command of operation.commands ?? []) {
        const place = placeOf(command.name)
        if (place.group === groupName && (only ?? place.word) === place.word) this.#add(parent, operation, command)
      }
  }

  #add(parent: Parser, operation: AdminOperation, command: OperatorCommand): void {
    const { word } = placeOf(command.name)
    const parser = withShared(parent.command(word), operation, command).description(command.help)
    for (const [name, input] of Object.entries(command.inputs)) {
      const typed = typedAs(operation, name, input)
      if (typed instanceof Argument) parser.addArgument(typed)
      else parser.addOption(typed)
    }
    parser.action(() =>
      this.#run(operation, command, parser).catch((error: unknown) => Promise.reject(asCliError(error))),
    )
  }

  /** Reads what was typed before it contacts the store. */
  async #run(operation: AdminOperation, command: OperatorCommand, parser: Parser): Promise<void> {
    const { io, signal } = this
    const typed = typedTexts(command, parser.args, parser.opts())
    const options = parser.opts<StoreOptions & OutputOptions>()
    const given = (name: string): string => String(typed.get(name) ?? "")
    const read = await valuesOf(io, command, typed)
    const sent = command.sends(given, read)
    await withAdmin(io, options, signal, async client => {
      const values = await completed(io, client, command, read, typed)
      const send = (more: Values) => client.ask(requestOf(operation, { ...values, ...sent, ...more }))
      if (operation.mayPlan === true) return planAndChange(io, client, parser.opts<ChangeOptions>(), signal, send)
      if (command.isJob) return runRowsJob(io, client, parser.opts<RowsJobOptions>(), signal, send)
      const sleep = async (durationMs: number): Promise<void> => {
        await io.clock.sleep(durationMs, signal)
        signal.throwIfAborted()
      }
      const print = (part: Shown) => printed(io, options, part)
      const calls = callsOf(client, values)
      const nowMs = () => nowOf(io, client)
      const shown = await command.run({ given, values, nowMs, print, sleep, ...calls })
      await print(shown)
      if (shown.failure !== undefined) throw new CliError("failed", shown.failure)
    })
  }
}

/** The options that a command has beside its own. */
function withShared(parser: Parser, { mayPlan = false }: AdminOperation, { isJob }: OperatorCommand): Parser {
  if (mayPlan) return withChange(parser)
  return isJob ? withRowsJob(parser) : withStore(parser)
}

async function printed(io: CliIo, options: OutputOptions, { json, isEach = false, text }: Shown): Promise<void> {
  const shown = options.json === true ? "" : typeof text === "string" ? text : text()
  await (isEach && Array.isArray(json) ? answerList(io, options, json, shown) : answer(io, options, json, shown))
}

/** Calls of operations with what was typed. Throws `BrokenAnswer`. */
function callsOf(client: AdminClient, values: Values): Pick<Calls, "call" | "find" | "all"> {
  const ask = (operation: AdminOperation, more: Values = {}) => client.ask(requestOf(operation, { ...values, ...more }))
  const call: Calls["call"] = async ({ id, answer: schema }, more) => checked(schema, await ask(operationOf(id), more))
  return {
    call,
    find: (operation, more) =>
      call(operation, more).catch((error: unknown) => {
        if (error instanceof RemoteFailure && error.status === NOT_FOUND) return undefined
        throw error
      }),
    async all({ id, answer: schema }, member, more) {
      const operation = operationOf(id)
      const isPaged = operation.parameters.some(({ name }) => name === "after")
      const items: unknown[] = []
      for (let after: unknown; ;) {
        const page = await ask(operation, isPaged ? { max: PAGE_ITEMS, ...more, after } : more)
        // A list that is missing is not an empty list. Only the page as it came says which one is next.
        checked(schema, page)
        items.push(...itemsOf(page, member))
        after = isPaged ? nextOf(page) : undefined
        if (after === undefined) return checked(schema, { ...objectOf(page), [member]: items })
      }
    },
  }
}

const operationOf = (id: string): AdminOperation =>
  must(
    OPERATIONS.find(operation => operation.id === id),
    `${id} is an operation`,
  )

const objectOf = (page: unknown): object => (typeof page === "object" && page !== null ? page : {})
const nextOf = (page: unknown): unknown => Reflect.get(objectOf(page), "next")
