/** Arguments and options of the commands that operations define, and how their texts are read. */
import { resolve } from "node:path"
import { Argument, Option } from "commander"
import {
  CommandProblem,
  type OperatorCommand,
  type CommandInput,
  type AdminOperation,
  type Values,
} from "@hayloft/admin/index.js"
import { bytesOfSize } from "@hayloft/base/text/quantity-text.js"
import { parseDuration } from "@hayloft/node/config/index.js"
import type { AdminClient } from "@hayloft/client/index.js"
import { readBytes, readDocument, readText } from "./document-file.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { momentText } from "./running-store/moment-option.js"
import { devicesOf, namedDevice } from "./stopped-store/named-device.js"
import { collect, numberOf } from "./options.js"
import { byStoreClock, pastMs, type Timed } from "./running-store/past-time.js"

/** The name of an option, or of an argument, in messages: `--rate`, `WEIGHT`. */
const labelOf = (flags: string): string => /^(--[\w-]+)/.exec(flags)?.[1] ?? flags.replace(/[<>[\]]/g, "")

const isOption = ({ flags }: CommandInput): boolean => flags.startsWith("--")

const isSwitch = (input: CommandInput): boolean => isOption(input) && !input.flags.includes("<")

/** The description that the operation has of the part of a request with this name. */
function descriptionIn({ parameters, request }: AdminOperation, name: string): string | undefined {
  const parameter = parameters.find(each => each.name === name)
  if (parameter !== undefined) return parameter.description
  const shape: unknown = request !== undefined && "shape" in request ? request.shape : undefined
  const member: unknown = typeof shape === "object" && shape !== null ? Reflect.get(shape, name) : undefined
  const described = typeof member === "object" && member !== null && "description" in member
  return described && typeof member.description === "string" ? member.description : undefined
}

/** The argument or option of an input. An argument without a description has none in the help. */
export function typedAs(operation: AdminOperation, name: string, input: CommandInput): Argument | Option {
  if (!isOption(input)) return new Argument(input.flags, input.help ?? "")
  const option = new Option(input.flags, input.help ?? descriptionIn(operation, name))
  if (input.preset !== undefined) option.default(input.preset)
  if (input.readsAll !== undefined) option.argParser(collect)
  return option.makeOptionMandatory(input.isRequired === true)
}

/** Values that may be empty: a prefix of all keys, a description that is removed. */
const MAY_BE_EMPTY = /[<[](?:PREFIX|TEXT|ADDRESS)[\]>]/

/** An empty text stands for an unset variable of a shell: `--user "$USER_NAME"` must not mean no user at all. */
function checkNotEmpty(flags: string, text: string): void {
  if (text !== "" || MAY_BE_EMPTY.test(flags)) return
  const remedy = flags.startsWith("--") ? "give it a value, or leave it out" : "give it a value"
  throw new CliError("usage", `${labelOf(flags)} is empty: ${remedy}`)
}

/**
 * The texts that were typed, by the names of inputs; "true" for a switch, and "false" for one that says no. An input that
 * may be given several times has a list.
 */
type Typed = ReadonlyMap<string, string | readonly string[]>

/**
 * Arguments stand in the order of the inputs; options are by the names that the parser gives them. Throws a `CliError` for an
 * empty text.
 */
export function typedTexts(
  { inputs }: Pick<OperatorCommand, "inputs">,
  words: readonly string[],
  options: Readonly<Record<string, unknown>>,
): Typed {
  const typed = new Map<string, string | readonly string[]>()
  let position = 0
  for (const [name, input] of Object.entries(inputs)) {
    const value = isOption(input) ? options[new Option(input.flags).attributeName()] : words[position++]
    const texts = Array.isArray(value) ? value.map(String) : typeof value === "string" ? [value] : []
    for (const text of texts) checkNotEmpty(input.flags, text)
    if (Array.isArray(value)) typed.set(name, texts)
    else if (typeof value === "string") typed.set(name, value)
    else if (typeof value === "boolean") typed.set(name, String(value))
  }
  return typed
}

const textFor = (name: string, input: CommandInput, typed: Typed) => typed.get(name) ?? input.otherwise

/** Reads what was typed, with times by the clock of this machine. Throws a `CliError`. */
export async function valuesOf(io: CliIo, { inputs }: Pick<OperatorCommand, "inputs">, typed: Typed): Promise<Values> {
  const values: Record<string, unknown> = {}
  for (const [name, input] of Object.entries(inputs)) {
    const text = textFor(name, input, typed)
    if (typeof text === "string") values[name] = await valueOf(io, input, text)
    else if (text !== undefined) values[name] = input.readsAll?.(text)
  }
  return values
}

async function valueOf(io: CliIo, input: CommandInput, text: string): Promise<unknown> {
  const { flags, reads } = input
  if (typeof reads === "function") return reads(text)
  const label = labelOf(flags)
  switch (reads) {
    case "number":
      return numberOf(text, label)
    case "past":
    case "moment":
    case "expiry":
      return timeOf(reads, text, label, io)
    case "seconds":
      return parseDuration(text, label) / 1_000
    case "size":
      return sizeOf(text, label)
    case "document":
      return readDocument(io, text)
    case "policy":
      return readDocument(io, text, `; hayloft policy validate ${text} says where`)
    case "fileText":
      return readText(io, text)
    case "bytes":
      return readBytes(io, text)
    case "device":
      return text
    case "folder":
      return resolve(io.workingFolder, text)
    default:
      return isSwitch(input) ? text === "true" : text
  }
}

function timeOf(reads: "past" | "moment" | "expiry", text: string, label: string, timed: Timed): unknown {
  if (reads === "past") return pastMs(text, label, timed)
  return reads === "moment" ? momentText(text, label, timed) : timed.clock.wallMs() + parseDuration(text, label)
}

/** Fills in what only the store knows: the ids of devices, and times by its clock. */
export async function completed(
  io: CliIo,
  client: AdminClient,
  { inputs }: Pick<OperatorCommand, "inputs">,
  values: Values,
  typed: Typed,
): Promise<Values> {
  const named = Object.keys(inputs).filter(name => inputs[name]?.reads === "device" && values[name] !== undefined)
  const devices = named.length === 0 ? [] : await devicesOf(client)
  const timesBy = (timed: Timed) =>
    Object.entries(inputs).flatMap(([name, input]) => {
      const [{ reads, flags }, text] = [input, textFor(name, input, typed)]
      const isTime = reads === "past" || reads === "moment" || reads === "expiry"
      return isTime && typeof text === "string" ? [[name, timeOf(reads, text, labelOf(flags), timed)] as const] : []
    })
  return {
    ...values,
    ...Object.fromEntries(named.map(name => [name, namedDevice(io, devices, String(values[name])).id])),
    ...Object.fromEntries(await byStoreClock(io, () => client.nowMs(), timesBy)),
  }
}

function sizeOf(text: string, label: string): number {
  const bytes = bytesOfSize(text)
  if (bytes === undefined) throw new CliError("usage", `${label} is a size: 500MiB, 10GiB`)
  return bytes
}

/** The problem of a command as an error of the command line; other errors as they are. */
export const asCliError = (error: unknown): unknown =>
  error instanceof CommandProblem ? new CliError(error.exit, error.message) : error
