/** The commands that make a bucket remote, show where its objects are, and end it: they are of its setting `remote`. */
import { z } from "zod"
import { printable, tableText } from "@hayloft/base/text/report-text.js"
import {
  CommandProblem,
  type Answering,
  type CommandOf,
  type Given,
  type SettingCommands,
  type ShownSetting,
} from "../operator/index.js"
import { LIST_PENDING_WRITES } from "./operations.js"
import { PENDING_COUNTED_MAX } from "./schemas.js"
import { countedText } from "./text.js"

/** Operations of the admin API on buckets. */
const CREATE_BUCKET: Answering<unknown> = { id: "createBucket", answer: z.unknown() }
const DELETE_BUCKET: Answering<unknown> = { id: "deleteBucket", answer: z.unknown() }

const BUCKET = { flags: "<BUCKET>" }

/** By the words of the option. */
const WRITES: ReadonlyMap<string, string> = new Map([
  ["through", "Through"],
  ["back", "Back"],
  ["none", "None"],
])

/** The setting that is typed. Throws a `CommandProblem`. */
function settingIn(given: Given): Readonly<Record<string, unknown>> {
  const [prefix, writes] = [given("prefix"), given("writes") || "through"]
  const chosen = WRITES.get(writes)
  if (chosen === undefined) throw new CommandProblem("usage", `--writes is through, back or none, not "${writes}"`)
  return {
    Store: given("store"),
    Bucket: given("remoteBucket"),
    ...(prefix !== "" && { Prefix: prefix }),
    Writes: chosen,
    Freshness: freshnessOf(given("freshness") || "never"),
    ServeStale: given("serveStale") === "true",
    OpaqueETags: given("opaqueEtags") === "true",
  }
}

function freshnessOf(text: string): Readonly<Record<string, unknown>> {
  if (text === "never") return { Check: "Never" }
  if (text === "always") return { Check: "Always" }
  if (/^\d{1,8}$/.test(text)) return { Check: "Age", MaxAgeSeconds: Number(text) }
  throw new CommandProblem("usage", `--freshness is never, always, or a number of seconds, not "${text}"`)
}

const SET_REMOTE: CommandOf<ShownSetting> = {
  name: "remote set",
  help: "make an empty bucket remote, or change how its objects are read and written",
  inputs: {
    bucket: BUCKET,
    store: { flags: "--store <NAME>", help: "the remote store, as the operator's file names it", isRequired: true },
    remoteBucket: { flags: "--bucket <REMOTE_BUCKET>", help: "the bucket there", isRequired: true },
    prefix: { flags: "--prefix <PREFIX>", help: "what precedes each key there (default: nothing)" },
    writes: {
      flags: "--writes <through|back|none>",
      help: "before the answer, later, or not at all (default: through)",
    },
    freshness: {
      flags: "--freshness <AGE>",
      help: "when a cached object is compared with the remote's: never, always, or once it is so many seconds old (default: never)",
    },
    serveStale: { flags: "--serve-stale", help: "a cached object is read also while the remote does not respond" },
    opaqueEtags: { flags: "--opaque-etags", help: "ETags of the remote are not the MD5 of the bytes" },
    create: { flags: "--create", help: "create the bucket first" },
  },
  sends: given => ({ setting: "remote", value: settingIn(given) }),
  async run({ given, call }, own) {
    const [bucket, creates] = [given("bucket"), given("create") === "true"]
    if (creates) await call(CREATE_BUCKET, { name: bucket })
    const set = await own().catch(async (error: unknown) => {
      // So that the same command can be tried again.
      const isGone =
        !creates ||
        (await call(DELETE_BUCKET).then(
          () => true,
          () => false,
        ))
      if (isGone) throw error
      const reason = error instanceof Error ? error.message : String(error)
      throw new CommandProblem("failed", `${reason}; the bucket ${bucket} was created, and could not be removed again`)
    })
    const where = printable(`${given("remoteBucket")}/${given("prefix")}`)
    return { json: { bucket, ...set }, text: `the objects of ${bucket} are in ${where} of ${given("store")}\n` }
  },
}

/** Members of the setting in words; others as they are. */
function settingText(bucket: string, value: NonNullable<ShownSetting["value"]>, pending: string): string {
  const facts = Object.entries(value).map(([name, fact]) => [
    name,
    printable(typeof fact === "string" ? fact : JSON.stringify(fact)),
  ])
  return tableText(["remote", printable(bucket)], [...facts, ["pending writes", pending]])
}

const SHOW_REMOTE: CommandOf<ShownSetting> = {
  name: "remote show",
  help: "where the objects of a bucket are, and how many writes are pending",
  inputs: { bucket: BUCKET },
  sends: { setting: "remote" },
  async run({ given, call }, own) {
    const [bucket, { value }] = [given("bucket"), await own()]
    if (value === undefined) throw new CommandProblem("notFound", `${bucket} is not a remote bucket`)
    const { pending, hasMore } = await call(LIST_PENDING_WRITES, { max: PENDING_COUNTED_MAX })
    const counted = { pending: pending.length, hasMore }
    return { json: { bucket, value, ...counted }, text: settingText(bucket, value, countedText(counted)) }
  },
}

const UNSET_REMOTE: CommandOf<undefined> = {
  name: "remote unset",
  help: "make a remote bucket an ordinary one, which is empty; objects of the remote stay there",
  inputs: { bucket: BUCKET },
  sends: { setting: "remote" },
  json: (_, given) => ({ bucket: given("bucket"), deleted: true }),
  text: (_, given) => `${given("bucket")} is not remote any more\n`,
}

export const REMOTE_COMMANDS: SettingCommands = { get: [SHOW_REMOTE], put: [SET_REMOTE], remove: [UNSET_REMOTE] }
