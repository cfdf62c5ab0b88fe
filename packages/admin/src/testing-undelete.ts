/** The objects that undelete keeps, in memory, for tests of the admin API. Keys that end in "exists" have an object. */
import { objectKeyOfText, textOfObjectKey, type ObjectKey } from "@hayloft/base/ids.js"
import type { DeletedObject, UNDELETE_SERVICE } from "@hayloft/features/undelete/index.js"

export const deletedOf = (key: string): DeletedObject => ({
  key: objectKeyOfText(key),
  id: "0a",
  deletedMs: 2_000,
  untilMs: 9_000,
  reason: "deleted",
  sizeBytes: 5,
  etag: "e",
  modifiedMs: 1_000,
})

type Service = ReturnType<typeof UNDELETE_SERVICE.of>

const PAGE_ROWS = 2

export class FakeUndelete implements Service {
  /** In order of keys. */
  readonly deleted: DeletedObject[] = []

  constructor(private readonly touch: (what: string) => void) {}

  async setUndelete(_: unknown, days: number | undefined): Promise<void> {
    this.touch(`setUndelete ${days}`)
  }

  async listDeleted(
    _: unknown,
    { prefix = "", sinceMs = 0, after = "0", limit }: Parameters<Service["listDeleted"]>[1],
  ) {
    const found = this.deleted.filter(({ key, deletedMs }) => key.startsWith(prefix) && deletedMs >= sinceMs)
    const end = Number(after) + Math.min(limit, PAGE_ROWS)
    return { items: found.slice(Number(after), end), ...(end < found.length && { next: String(end) }) }
  }

  async undelete(_: unknown, key: ObjectKey, { id, atMs, over = false }: Parameters<Service["undelete"]>[2]) {
    if (!this.deleted.some(each => each.key === key && (id ?? each.id) === each.id)) return "nothingKept"
    if (key.endsWith("exists") && !over) return "exists"
    this.touch(`undelete ${textOfObjectKey(key)}${atMs === undefined ? "" : ` at ${atMs}`}`)
    return "restored"
  }

  async purgeDeleted(_: unknown, { key, prefix }: Parameters<Service["purgeDeleted"]>[1]) {
    const isMeant = (each: DeletedObject) => each.key === key || (prefix !== undefined && each.key.startsWith(prefix))
    const meant = this.deleted.filter(isMeant)
    const gone = meant.slice(0, PAGE_ROWS)
    for (const each of gone) this.deleted.splice(this.deleted.indexOf(each), 1)
    this.touch(key === undefined ? `purge ${prefix}*` : `purge ${key}`)
    const bytes = gone.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    return { objects: gone.length, bytes, hasMore: meant.length > gone.length }
  }
}
