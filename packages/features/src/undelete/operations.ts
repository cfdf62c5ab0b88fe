/** The operations of `/v1` on undelete: the setting of a bucket, what is kept of it, and how that is restored or removed. */
import type { z } from "zod"
import { fail } from "@hayloft/base/failures.js"
import { plural } from "@hayloft/base/text/quantity-text.js"
import { byteStringOfText, objectKeyOfText, parseBucketName, textOfObjectKey } from "@hayloft/base/ids.js"
import {
  action,
  CommandProblem,
  operation,
  pagesOf,
  parseBody,
  type Calls,
  type OperatorPart,
  type OperatorServices,
  type Shown,
  type Values,
} from "../operator/index.js"
import type { DeletedObject } from "./deleted-rows-core.js"
import { deletedText, keptPlace, keptText, restoredText } from "./kept-text.js"
import { restoreBelow } from "./restore-below.js"
import * as schema from "./schemas.js"
import { UNDELETE_SERVICE } from "./services.js"

const PATH = "/v1/buckets/{bucket}/undelete"
const PAGE_MAX = 1000
/** Objects that a request removes: about a second. */
const PURGED_MAX = 4_096

const bucketOf = ({ buckets }: OperatorServices, name: string) => Promise.resolve(buckets.open(parseBucketName(name)))

async function shown(services: OperatorServices, name: string) {
  const bucket = await bucketOf(services, name)
  const { kept } = await services.buckets.usage(bucket)
  const { undeleteDays: days } = bucket
  return { ...(days !== undefined && { days }), ...(kept && { kept }) }
}

async function set(services: OperatorServices, name: string, days: number | undefined): Promise<void> {
  await UNDELETE_SERVICE.of(services.core).setUndelete((await bucketOf(services, name)).id, days)
}

const deletedJson = ({ key, ...deleted }: DeletedObject) => ({ key: textOfObjectKey(key), ...deleted })

function wholeNumber(query: ReadonlyMap<string, string>, name: string, max: number): number | undefined {
  const text = query.get(name)
  if (text === undefined) return undefined
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Infinity
  if (value > max) throw fail("invalidArgument", { message: `${name} is a whole number up to ${max}` })
  return value
}

async function listed(services: OperatorServices, name: string, query: ReadonlyMap<string, string>) {
  const limit = wholeNumber(query, "max", PAGE_MAX) ?? PAGE_MAX
  if (limit === 0) throw fail("invalidArgument", { message: "max is at least 1" })
  const [after, sinceMs] = [query.get("after"), wholeNumber(query, "sinceMs", Number.MAX_SAFE_INTEGER)]
  const { items, next } = await UNDELETE_SERVICE.of(services.core).listDeleted((await bucketOf(services, name)).id, {
    prefix: byteStringOfText(query.get("prefix") ?? ""),
    ...(after !== undefined && { after }),
    ...(sinceMs !== undefined && { sinceMs }),
    limit,
  })
  return { deleted: items.map(deletedJson), ...(next !== undefined && { next }) }
}

async function restored(services: OperatorServices, name: string, body: unknown) {
  const { key, id, atMs, over } = parseBody(schema.RESTORE_DELETED, body)
  const { id: bucketId } = await bucketOf(services, name)
  const wanted = { ...(id !== undefined && { id }), ...(atMs !== undefined && { atMs }), over }
  return { outcome: await UNDELETE_SERVICE.of(services.core).undelete(bucketId, objectKeyOfText(key), wanted) }
}

async function restoredPrefix(services: OperatorServices, name: string, body: unknown) {
  const { prefix, ...request } = parseBody(schema.RESTORE_PREFIX, body)
  const { id: bucketId } = await bucketOf(services, name)
  return restoreBelow(UNDELETE_SERVICE.of(services.core), bucketId, { prefix: byteStringOfText(prefix), ...request })
}

async function purged(services: OperatorServices, name: string, body: unknown) {
  const { key, prefix } = parseBody(schema.PURGE_DELETED, body)
  const { id: bucketId } = await bucketOf(services, name)
  const what = key === undefined ? { prefix: byteStringOfText(prefix ?? "") } : { key: objectKeyOfText(key) }
  return UNDELETE_SERVICE.of(services.core).purgeDeleted(bucketId, { ...what, max: PURGED_MAX })
}

type Kept = z.output<typeof schema.UNDELETE>

function disabledText(name: string, { kept }: Kept): string {
  const amount = kept === undefined ? "what is kept" : keptText(kept)
  const rest = kept?.objects === 0 ? "" : `; ${amount}: until their time, or until a purge`
  return `${name} keeps nothing more that is deleted or overwritten${rest}\n`
}

/** Throws a `CommandProblem`. */
function daysIn(text: string): number {
  const days = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (days >= 1 && days <= 365) return days
  throw new CommandProblem("usage", "--days is a whole number from 1 to 365")
}

const BUCKET = { flags: "<BUCKET>" }

/** The place that was typed: a bucket, a key of it, or all keys with a prefix, which may be empty. */
function typedPlace({ given, values }: Calls): string {
  const typed = (name: string) => (values[name] === undefined ? undefined : given(name))
  return keptPlace(given("bucket"), { key: typed("key"), prefix: typed("prefix") })
}

/** Prints page by page, since a bucket may keep millions of objects. */
async function showDeleted(
  calls: Calls,
  list: (more: Values) => Promise<z.output<typeof schema.DELETED_OBJECTS>>,
): Promise<Shown> {
  let isFirst = true
  for await (const { deleted } of pagesOf(list)) {
    if (deleted.length === 0) continue
    const text = deletedText(deleted, isFirst)
    await calls.print({ json: deleted, isEach: true, text })
    isFirst = false
  }
  return { json: [], isEach: true, text: isFirst ? `nothing is kept of ${typedPlace(calls)}\n` : "" }
}

const nothingKept = (calls: Calls): CommandProblem => {
  const ofTime = calls.values["atMs"] === undefined ? "" : " of that time"
  return new CommandProblem("notFound", `nothing is kept of ${typedPlace(calls)}${ofTime}`)
}

/** Throws a `CommandProblem` if the key was not restored. */
function shownKey(calls: Calls, { outcome }: z.output<typeof schema.RESTORED>): Shown {
  const { given } = calls
  const place = typedPlace(calls)
  if (outcome === "nothingKept") throw nothingKept(calls)
  if (outcome === "exists") {
    const advice = "add --over to replace it: what is there now is kept in turn"
    throw new CommandProblem("conflict", `${place} exists; ${advice}`)
  }
  return { json: { bucket: given("bucket"), key: given("key"), restored: 1 }, text: `restored ${place}\n` }
}

/** Restores page by page. Throws a `CommandProblem` if nothing is kept. */
async function restorePrefix(calls: Calls): Promise<Shown> {
  const { given, call } = calls
  const sum = { restored: 0, exist: 0, nothingKept: 0 }
  for await (const page of pagesOf(more => call(RESTORE_PREFIX, more))) {
    sum.restored += page.restored
    sum.exist += page.exist
    sum.nothingKept += page.nothingKept
  }
  if (sum.restored + sum.exist === 0) throw nothingKept(calls)
  const json = { bucket: given("bucket"), prefix: given("prefix"), ...sum }
  return { json, text: restoredText(typedPlace(calls), sum) }
}

const GET_UNDELETE = operation("getUndelete", `GET ${PATH}`, {
  summary: "Returns for how long a bucket keeps what is deleted and overwritten, and how much it keeps now.",
  answer: schema.UNDELETE,
  run: (services, { segment }) => shown(services, segment("bucket")),
})

const RESTORE_PREFIX = operation("restoreDeletedPrefix", `POST ${PATH}/restore-prefix`, {
  summary: "The same for all keys with a prefix, a page of them at a time.",
  request: schema.RESTORE_PREFIX,
  answer: schema.RESTORED_PREFIX,
  run: (services, { segment, body }) => restoredPrefix(services, segment("bucket"), body),
})

const OPERATIONS = [
  GET_UNDELETE,
  operation("setUndelete", `POST ${PATH}`, {
    request: schema.SET_UNDELETE,
    summary: "Keeps what is deleted and overwritten in a bucket without versioning from now on.",
    isBodyOptional: true,
    answer: schema.UNDELETE,
    async run(services, { segment, body }) {
      await set(services, segment("bucket"), parseBody(schema.SET_UNDELETE, body).days)
      return shown(services, segment("bucket"))
    },
    commands: [
      {
        name: "bucket undelete enable",
        help: "keep what is deleted and overwritten in a bucket without versioning from now on",
        inputs: {
          bucket: BUCKET,
          days: {
            flags: "--days <N>",
            help: "for how long, 1 to 365; what is kept already stays until its time",
            preset: "3",
            reads: daysIn,
          },
        },
        json: (kept, given) => ({ bucket: given("bucket"), ...kept }),
        text: (_, given) =>
          `${given("bucket")} keeps what is deleted and overwritten for ${plural(Number(given("days")), "day")} from now on\n`,
      },
    ],
  }),
  action("disableUndelete", `DELETE ${PATH}`, {
    summary: "Keeps nothing more of a bucket; what is kept stays until its time.",
    run: (services, { segment }) => set(services, segment("bucket"), undefined),
    commands: [
      {
        name: "bucket undelete disable",
        help: "keep nothing more; what is kept stays until its time",
        inputs: { bucket: BUCKET },
        async run({ call, given }, own) {
          await own()
          const [bucket, kept] = [given("bucket"), await call(GET_UNDELETE)]
          return { json: { bucket, ...kept }, text: disabledText(bucket, kept) }
        },
      },
    ],
  }),
  operation("listDeleted", `GET ${PATH}/deleted`, {
    summary: "Lists what is kept of a bucket, by key. A page may be empty although others follow.",
    parameters: [
      { name: "prefix", description: "of keys" },
      {
        name: "sinceMs",
        description: "only what was deleted or overwritten then or later, in milliseconds since 1970",
      },
      { name: "after", description: "`next` of the previous page" },
      { name: "max", description: `page size, up to ${PAGE_MAX} (default ${PAGE_MAX})` },
    ],
    answer: schema.DELETED_OBJECTS,
    run: (services, { segment, query }) => listed(services, segment("bucket"), query),
    commands: [
      {
        name: "bucket undelete list",
        help: "what is kept of a bucket, by key",
        inputs: {
          bucket: BUCKET,
          prefix: { flags: "--prefix <PREFIX>", help: "only keys that begin with it" },
          sinceMs: {
            flags: "--since <TIME>",
            help: "only what was deleted or overwritten since: 2h, 2026-01-31T09:30:00Z",
            reads: "past",
          },
        },
        run: showDeleted,
      },
    ],
  }),
  operation("restoreDeleted", `POST ${PATH}/restore`, {
    summary: "Makes the newest kept version of a key, or that of a time, its object again.",
    request: schema.RESTORE_DELETED,
    answer: schema.RESTORED,
    run: (services, { segment, body }) => restored(services, segment("bucket"), body),
    commands: [
      {
        name: "bucket undelete restore",
        help: "make the newest kept version of a key, or of all keys with a prefix, its object again",
        inputs: {
          bucket: BUCKET,
          key: { flags: "[KEY]" },
          prefix: { flags: "--prefix <PREFIX>", help: "all keys that begin with it" },
          atMs: {
            flags: "--at <TIME>",
            help: "what was the object at this time: 2h, 2026-01-31T09:30:00Z",
            reads: "past",
          },
          over: { flags: "--over", help: "also over existing objects, which are kept in turn" },
        },
        sends(_, { key, prefix }) {
          if ((key === undefined) !== (prefix === undefined)) return {}
          throw new CommandProblem("usage", `name a key, or --prefix PREFIX; --prefix "" is the whole bucket`)
        },
        run: async (calls, own) =>
          calls.values["key"] === undefined ? restorePrefix(calls) : shownKey(calls, await own()),
      },
    ],
  }),
  RESTORE_PREFIX,
  operation("purgeDeleted", `POST ${PATH}/purge`, {
    summary: "Removes some thousand objects that are kept of a key, or of all keys with a prefix, before their time.",
    scope: "all",
    request: schema.PURGE_DELETED,
    answer: schema.PURGED,
    run: (services, { segment, body }) => purged(services, segment("bucket"), body),
  }),
]

export const UNDELETE_OPERATOR: OperatorPart = {
  operations: OPERATIONS,
  bucketSettings: {
    undelete: {
      actions: { GET: "hayloft:GetUndelete", PUT: "hayloft:SetUndelete", DELETE: "hayloft:DisableUndelete" },
      get: async (_, { undeleteDays: days }) => (days === undefined ? undefined : { days }),
      put: ({ core }, { id }, value) =>
        UNDELETE_SERVICE.of(core).setUndelete(id, parseBody(schema.SET_UNDELETE, value).days),
      remove: ({ core }, { id }) => UNDELETE_SERVICE.of(core).setUndelete(id, undefined),
    },
  },
}
