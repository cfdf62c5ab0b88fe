/** The options of `layout plan` and `layout apply`: several changes that are made together. */
import { readFile } from "node:fs/promises"
import { resolve } from "node:path"
import type { Command } from "commander"
import type { z } from "zod"
import { STORE_SCHEMAS } from "@hayloft/admin/index.js"
import { CliError } from "../exit-codes.js"
import { collect, numberOf } from "../options.js"

type StagedChange = z.output<typeof STORE_SCHEMAS.STAGED_CHANGE>

export interface StagedOptions {
  readonly weight?: readonly string[]
  readonly drain?: readonly string[]
  readonly remove?: readonly string[]
  readonly use?: readonly string[]
  readonly drainNode?: readonly string[]
  readonly removeNode?: readonly string[]
  readonly useNode?: readonly string[]
  readonly file?: string
}

export const withStaged = (command: Command): Command =>
  command
    .option("--weight <DEVICE=NUMBER>", "set the share of a device (may be repeated, as the next six)", collect)
    .option("--drain <DEVICE>", "move all shards of a device to the others", collect)
    .option("--remove <DEVICE>", "drain a device, and remove it once it is empty", collect)
    .option("--use <DEVICE>", "take a drained device back into use", collect)
    .option("--drain-node <NODE>", "move all shards of a node to other nodes", collect)
    .option("--remove-node <NODE>", "drain a node, and remove it once it is empty", collect)
    .option("--use-node <NODE>", "take the devices of a node back into use", collect)
    .option("--file <FILE>", 'a JSON file of changes: [{"kind": "drainNode", "node": "n1"}, ...]')

/** The changes with devices as the operator names them. Throws a usage error if there are none. */
export async function stagedOf(options: StagedOptions, workingFolder: string): Promise<readonly StagedChange[]> {
  const { weight = [], drain = [], remove = [], use = [], drainNode = [], removeNode = [], useNode = [] } = options
  const changes: readonly StagedChange[] = [
    ...(options.file === undefined ? [] : await changesIn(resolve(workingFolder, options.file))),
    ...weight.map(weightOf),
    ...drain.map(id => ({ kind: "drainDevice", id }) as const),
    ...remove.map(id => ({ kind: "removeDevice", id }) as const),
    ...use.map(id => ({ kind: "useDevice", id }) as const),
    ...drainNode.map(node => ({ kind: "drainNode", node }) as const),
    ...removeNode.map(node => ({ kind: "removeNode", node }) as const),
    ...useNode.map(node => ({ kind: "useNode", node }) as const),
  ]
  if (changes.length === 0) throw new CliError("usage", "name at least one change, such as --drain-node NODE")
  return changes
}

/** The last "=" separates: a folder may contain one. */
function weightOf(text: string): StagedChange {
  const at = text.lastIndexOf("=")
  if (at <= 0) throw new CliError("usage", `--weight: "${text}" is not DEVICE=NUMBER`)
  return { kind: "setWeight", id: text.slice(0, at), weight: numberOf(text.slice(at + 1), "--weight") }
}

async function changesIn(path: string): Promise<readonly StagedChange[]> {
  const text = await readFile(path, "utf8").catch(() => {
    throw new CliError("notFound", `cannot read ${path}`)
  })
  try {
    return STORE_SCHEMAS.STAGED_CHANGE.array().parse(JSON.parse(text))
  } catch {
    throw new CliError("usage", `${path} is not a JSON list of changes; hayloft layout plan --help shows one`)
  }
}
