/** The commands for limits of rates: `account limit` and `key limit`. */
import type { Command } from "commander"
import type { z } from "zod"
import { ACCOUNTS, KEYS, type LIMITS } from "../admin/index.js"
import { bytesOfSize } from "../config/index.js"
import { checked } from "./checked.js"
import { CliError } from "./exit-codes.js"
import type { CliIo } from "./io.js"
import { withStore } from "./options.js"
import { answer, type OutputOptions } from "./output.js"
import { withAdmin, type StoreOptions } from "./stores.js"
import { sizeText, tableText } from "./text.js"

type Limits = z.output<typeof LIMITS>
type Holder = "account" | "key"

interface LimitOptions extends StoreOptions, OutputOptions {
  readonly requests?: string
  readonly burst?: string
  readonly bytes?: string
  readonly none?: boolean
}

const PATHS: Readonly<Record<Holder, string>> = { account: "/v1/accounts", key: "/v1/keys" }

export function addLimitCommand(parent: Command, holder: Holder, io: CliIo, signal: AbortSignal): void {
  withStore(parent.command("limit"))
    .description(
      holder === "account"
        ? "set the limits of rates of an account, all of its keys together; without options show them"
        : "set the limits of rates of a key, in addition to its account's; without options show them",
    )
    .argument(holder === "account" ? "<ID>" : "<ACCESS_KEY>")
    .option("--requests <N>", "requests a second; more are answered 503 SlowDown")
    .option("--burst <N>", "requests that may arrive at once (default: those of a second)")
    .option("--bytes <SIZE>", "bytes a second of bodies in both directions: 20MiB; they move more slowly")
    .option("--none", "remove all limits")
    .action((id: string, options: LimitOptions) => limitCommand(io, holder, id, options, signal))
}

async function limitCommand(
  io: CliIo,
  holder: Holder,
  id: string,
  options: LimitOptions,
  signal: AbortSignal,
): Promise<void> {
  const wanted = limitsOf(options)
  const limits = await withAdmin(io, options, signal, async client => {
    if (wanted !== undefined) await client.post(`${PATHS[holder]}/${encodeURIComponent(id)}/limits`, wanted)
    return wanted ?? presentLimits(holder, id, await client.get(PATHS[holder]))
  })
  await answer(io, options, { holder, id, limits }, limitsText(holder, id, limits))
}

/** Returns undefined if the present limits are to be shown. */
function limitsOf({ requests, burst, bytes, none }: LimitOptions): Limits | undefined {
  const requestsPerSecond = requests === undefined ? undefined : wholeNumber(requests, "--requests")
  const bytesPerSecond = bytes === undefined ? undefined : bytesOfSize(bytes)
  if (bytes !== undefined && !bytesPerSecond) throw new CliError("usage", "--bytes is a size: 500KiB, 20MiB")
  const limits = {
    ...(requestsPerSecond !== undefined && { requestsPerSecond }),
    ...(burst !== undefined && { burst: wholeNumber(burst, "--burst") }),
    ...(bytesPerSecond !== undefined && { bytesPerSecond }),
  }
  const isEmpty = Object.keys(limits).length === 0
  if (none === true && !isEmpty) throw new CliError("usage", "--none removes all limits: give it alone")
  if (burst !== undefined && requests === undefined) throw new CliError("usage", "--burst needs --requests")
  return isEmpty && none !== true ? undefined : limits
}

function wholeNumber(text: string, option: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new CliError("usage", `${option} is a whole number from 1`)
  return Number(text)
}

function presentLimits(holder: Holder, id: string, listed: unknown): Limits {
  const found =
    holder === "account"
      ? checked(ACCOUNTS, listed).accounts.find(account => account.id === id)
      : checked(KEYS, listed).keys.find(key => key.accessKeyId === id)
  if (found === undefined) throw new CliError("notFound", `there is no ${holder} ${id}`)
  return found.limits ?? {}
}

function limitsText(holder: Holder, id: string, { requestsPerSecond, burst, bytesPerSecond }: Limits): string {
  const rows = [
    ["requests", requestsPerSecond === undefined ? "no limit" : `${requestsPerSecond} a second`],
    ...(requestsPerSecond === undefined ? [] : [["at once", String(burst ?? requestsPerSecond)]]),
    ["bytes", bytesPerSecond === undefined ? "no limit" : `${sizeText(bytesPerSecond)} a second`],
  ]
  return tableText([holder, id], rows)
}
