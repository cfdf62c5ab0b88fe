/** The commands for the master key, under which the store seals its secrets. */
import type { Command } from "commander"
import type { z } from "zod"
import { MASTER_KEY } from "../admin/index.js"
import { checked } from "./checked.js"
import type { CliIo } from "./io.js"
import { group, withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { printable, timeText } from "./text.js"

type MasterKeyOptions = StoreOptions & OutputOptions

export function addMasterKeyCommands(program: Command, io: CliIo, signal: AbortSignal): void {
  const masterKey = group(program, "master-key").description("the key under which the store seals its secrets")
  withStore(masterKey.command("show"))
    .description("show the number of the master key, and how long the former one is needed")
    .action(async (options: MasterKeyOptions) => {
      const got = await withAdmin(io, options, signal, client => client.get("/v1/master-key"))
      await print(io, options, got)
    })
  withStore(masterKey.command("rotate"))
    .description("replace the master key of a running store by that of --next-master-key-file")
    .action(async (options: MasterKeyOptions) => {
      const got = await withAdmin(io, options, signal, client => client.post("/v1/master-key/rotate", {}))
      await print(io, options, got)
    })
}

async function print(io: CliIo, options: MasterKeyOptions, got: unknown): Promise<void> {
  const key = checked(MASTER_KEY, got)
  await answer(io, options, key, `${textOf(key)}\n`)
}

function textOf({ number, former, devices }: z.output<typeof MASTER_KEY>): string {
  const until = former === undefined ? "" : `; key ${former.number} needed until ${timeText(former.neededUntilMs)}`
  const behind = devices.map(({ path, node, isOffline }) => {
    const where = `${printable(path)}${node === undefined ? "" : ` on ${printable(node)}`}`
    return `${where}${isOffline ? " (offline)" : ""} may still have a record sealed under an earlier key`
  })
  return [`master key ${number}${until}`, ...behind].join("\n")
}
