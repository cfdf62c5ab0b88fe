/** The operations of `/v1` on undelete: the setting of a bucket, what is kept of it, and how that is restored or removed. */
import { fail } from "../base/failures.js"
import { byteStringOfText, objectKeyOfText, parseBucketName, textOfObjectKey } from "../base/ids.js"
import { restoreBelow, type DeletedObject } from "../features/undelete/index.js"
import { parseBody, type Operation, type Services } from "./operation.js"
import * as schema from "./undelete-schemas.js"

const PATH = "/v1/buckets/{bucket}/undelete"
const PAGE_MAX = 1000
/** Objects that a request removes: about a second. */
const PURGED_MAX = 4_096

const bucketOf = ({ buckets }: Services, name: string) => Promise.resolve(buckets.open(parseBucketName(name)))

async function shown(services: Services, name: string) {
  const bucket = await bucketOf(services, name)
  const { kept } = await services.buckets.usage(bucket)
  const { undeleteDays: days } = bucket
  return { ...(days !== undefined && { days }), ...(kept && { kept }) }
}

async function set(services: Services, name: string, days: number | undefined): Promise<void> {
  await services.undelete.setUndelete((await bucketOf(services, name)).id, days)
}

const deletedJson = ({ key, ...deleted }: DeletedObject) => ({ key: textOfObjectKey(key), ...deleted })

function wholeNumber(query: ReadonlyMap<string, string>, name: string, max: number): number | undefined {
  const text = query.get(name)
  if (text === undefined) return undefined
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Infinity
  if (value > max) throw fail("invalidArgument", { message: `${name} is a whole number up to ${max}` })
  return value
}

async function listed(services: Services, name: string, query: ReadonlyMap<string, string>) {
  const limit = wholeNumber(query, "max", PAGE_MAX) ?? PAGE_MAX
  if (limit === 0) throw fail("invalidArgument", { message: "max is at least 1" })
  const [after, sinceMs] = [query.get("after"), wholeNumber(query, "sinceMs", Number.MAX_SAFE_INTEGER)]
  const { items, next } = await services.undelete.listDeleted((await bucketOf(services, name)).id, {
    prefix: byteStringOfText(query.get("prefix") ?? ""),
    ...(after !== undefined && { after }),
    ...(sinceMs !== undefined && { sinceMs }),
    limit,
  })
  return { deleted: items.map(deletedJson), ...(next !== undefined && { next }) }
}

async function restored(services: Services, name: string, body: unknown) {
  const { key, id, atMs, over } = parseBody(schema.RESTORE_DELETED, body)
  const { id: bucketId } = await bucketOf(services, name)
  const wanted = { ...(id !== undefined && { id }), ...(atMs !== undefined && { atMs }), over }
  return { outcome: await services.undelete.undelete(bucketId, objectKeyOfText(key), wanted) }
}

async function restoredPrefix(services: Services, name: string, body: unknown) {
  const { prefix, ...request } = parseBody(schema.RESTORE_PREFIX, body)
  const { id: bucketId } = await bucketOf(services, name)
  return restoreBelow(services.undelete, bucketId, { prefix: byteStringOfText(prefix), ...request })
}

async function purged(services: Services, name: string, body: unknown) {
  const { key, prefix } = parseBody(schema.PURGE_DELETED, body)
  const { id: bucketId } = await bucketOf(services, name)
  const what = key === undefined ? { prefix: byteStringOfText(prefix ?? "") } : { key: objectKeyOfText(key) }
  return services.undelete.purgeDeleted(bucketId, { ...what, max: PURGED_MAX })
}

export const UNDELETE_OPERATIONS: readonly Operation[] = [
  {
    ...{ id: "getUndelete", method: "GET", path: PATH, parameters: [], request: undefined },
    summary: "Returns for how long a bucket keeps what is deleted and overwritten, and how much it keeps now.",
    response: { status: 200, schema: schema.UNDELETE },
    run: (services, { segment }) => shown(services, segment("bucket")),
  },
  {
    ...{ id: "setUndelete", method: "POST", path: PATH, parameters: [], request: schema.SET_UNDELETE },
    summary: "Keeps what is deleted and overwritten in a bucket without versioning from now on.",
    isBodyOptional: true,
    response: { status: 200, schema: schema.UNDELETE },
    async run(services, { segment, body }) {
      await set(services, segment("bucket"), parseBody(schema.SET_UNDELETE, body).days)
      return shown(services, segment("bucket"))
    },
  },
  {
    ...{ id: "disableUndelete", method: "DELETE", path: PATH, parameters: [], request: undefined },
    summary: "Keeps nothing more of a bucket; what is kept stays until its time.",
    response: { status: 204, schema: undefined },
    run: (services, { segment }) => set(services, segment("bucket"), undefined),
  },
  {
    ...{ id: "listDeleted", method: "GET", path: `${PATH}/deleted`, request: undefined },
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
    response: { status: 200, schema: schema.DELETED_OBJECTS },
    run: (services, { segment, query }) => listed(services, segment("bucket"), query),
  },
  {
    ...{ id: "restoreDeleted", method: "POST", path: `${PATH}/restore`, parameters: [] },
    summary: "Makes the newest kept version of a key, or that of a time, its object again.",
    request: schema.RESTORE_DELETED,
    response: { status: 200, schema: schema.RESTORED },
    run: (services, { segment, body }) => restored(services, segment("bucket"), body),
  },
  {
    ...{ id: "restoreDeletedPrefix", method: "POST", path: `${PATH}/restore-prefix`, parameters: [] },
    summary: "The same for all keys with a prefix, a page of them at a time.",
    request: schema.RESTORE_PREFIX,
    response: { status: 200, schema: schema.RESTORED_PREFIX },
    run: (services, { segment, body }) => restoredPrefix(services, segment("bucket"), body),
  },
  {
    ...{ id: "purgeDeleted", method: "POST", path: `${PATH}/purge`, parameters: [] },
    summary: "Removes some thousand objects that are kept of a key, or of all keys with a prefix, before their time.",
    request: schema.PURGE_DELETED,
    response: { status: 200, schema: schema.PURGED },
    run: (services, { segment, body }) => purged(services, segment("bucket"), body),
  },
]
