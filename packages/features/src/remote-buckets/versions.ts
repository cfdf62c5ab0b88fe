/** The versions of a remote bucket, which are its pending writes, one after another. */
import type { ObjectKey } from "@hayloft/base/ids.js"
import { versionPages, type Bucket, type Objects, type VersionEntry } from "@hayloft/objects/index.js"

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
  const request = { bucket, prefix, delimiter: "", max: PAGE }
  for await (const { entries } of versionPages(objects, request, { keyMarker: after, versionIdMarker: undefined }))
    for (const entry of entries) if (entry.kind !== "prefix") yield entry
}

/** The same, but only the versions that readers of the bucket get. */
export async function* latestOf(...of: Parameters<typeof versionsOf>): AsyncGenerator<RemoteVersion> {
  for await (const entry of versionsOf(...of)) if (entry.isLatest) yield entry
}
