/** The versions of a remote bucket, which are its pending writes, one after another. */
import type { ObjectKey, VersionId } from "@hayloft/base/ids.js"
import type { Bucket, Objects, VersionEntry } from "@hayloft/objects/index.js"

export type RemoteVersion = Exclude<VersionEntry, { readonly kind: "prefix" }>

const PAGE = 1_000

export const keyOfVersion = (entry: RemoteVersion): ObjectKey =>
  entry.kind === "version" ? entry.object.key : entry.key

/** Versions and delete markers of keys with the prefix, behind a key: by key, and of a key the newest first. */
export async function* versionsOf(
  objects: Pick<Objects, "listVersions">,
  bucket: Bucket,
  { prefix = "", after = "" }: { readonly prefix?: string; readonly after?: string } = {},
): AsyncGenerator<RemoteVersion> {
  let [keyMarker, versionIdMarker]: [string, VersionId | undefined] = [after, undefined]
  for (;;) {
    const request = { bucket, prefix, delimiter: "", keyMarker, versionIdMarker, max: PAGE }
    const page = await objects.listVersions(request)
    for (const entry of page.entries) if (entry.kind !== "prefix") yield entry
    if (page.next === undefined) return
    ;({ keyMarker, versionIdMarker } = page.next)
  }
}

/** The same, but only the versions that readers of the bucket get. */
export async function* latestOf(...of: Parameters<typeof versionsOf>): AsyncGenerator<RemoteVersion> {
  for await (const entry of versionsOf(...of)) if (entry.isLatest) yield entry
}
