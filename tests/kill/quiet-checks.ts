/**
 * Checks that hold while no client writes: listings, reads and counters of each bucket agree.
 */
import type { Client } from "../../conformance/client.js"
import { expectStatus } from "../../conformance/expect.js"
import { encodeText } from "../../conformance/sign-v4.js"
import { elements, text, topText } from "../../conformance/xml.js"
import type { BucketUsage } from "../harness/server.js"
import { bare } from "./record.js"
import type { Bucket, Record } from "./record.js"

const PAGES_MAX = 500
/** The number of objects read whole in each round of checks, chosen at random. */
export const SAMPLE_KEYS = 24

interface Page {
  readonly text: string
}

/** Reads all pages of a listing; `next` returns the query of the following page. */
async function pages(client: Client, bucket: string, query: string, next: (xml: string) => string): Promise<Page[]> {
  const all: Page[] = []
  let more = ""
  while (all.length < PAGES_MAX) {
    const page = expectStatus(await client.call("GET", { bucket, query: `${query}&encoding-type=url${more}` }), 200)
    all.push(page)
    if (topText(page.text, "IsTruncated") !== "true") return all
    more = next(page.text)
  }
  throw new Error(`more than ${PAGES_MAX} pages`)
}

const marked = (parameter: string, value: string | undefined) =>
  value === undefined || value === "" ? "" : `&${parameter}=${encodeText(decodeURIComponent(value))}`

const entriesOf = (all: readonly Page[], name: string): string[] => all.flatMap(page => elements(page.text, name))
const keyOf = (entry: string): string => decodeURIComponent(text(entry, "Key") ?? "")
const sum = (entries: readonly string[]): number =>
  entries.reduce((bytes, entry) => bytes + Number(text(entry, "Size")), 0)

export interface Listed {
  readonly key: string
  readonly etag: string
  readonly sizeBytes: number
}

export async function listObjects(client: Client, bucket: string): Promise<Listed[]> {
  const all = await pages(client, bucket, "list-type=2", xml =>
    marked("continuation-token", topText(xml, "NextContinuationToken")),
  )
  return entriesOf(all, "Contents").map(entry => ({
    key: keyOf(entry),
    etag: bare(text(entry, "ETag")),
    sizeBytes: Number(text(entry, "Size")),
  }))
}

export interface ListedVersion {
  readonly key: string
  readonly versionId: string
}

async function versionPages(client: Client, bucket: string): Promise<Page[]> {
  return pages(client, bucket, "versions", xml =>
    [
      marked("key-marker", topText(xml, "NextKeyMarker")),
      marked("version-id-marker", topText(xml, "NextVersionIdMarker")),
    ].join(""),
  )
}

export async function listVersions(client: Client, bucket: string): Promise<ListedVersion[]> {
  const entries = entriesOf(await versionPages(client, bucket), "Version")
  return entries.map(entry => ({ key: keyOf(entry), versionId: text(entry, "VersionId") ?? "" }))
}

/** Compares the counters of the admin API with listings. */
export async function checkCounters(
  server: { usage(bucket: string): Promise<BucketUsage> },
  client: Client,
  bucket: Bucket,
  record: Record,
): Promise<void> {
  const usage = await server.usage(bucket.name)
  const objects = await listObjects(client, bucket.name)
  const versioned = await versionPages(client, bucket.name)
  const versions = entriesOf(versioned, "Version")
  const uploads = await pages(client, bucket.name, "uploads", xml =>
    [
      marked("key-marker", topText(xml, "NextKeyMarker")),
      marked("upload-id-marker", topText(xml, "NextUploadIdMarker")),
    ].join(""),
  )
  const listed = {
    objects: objects.length,
    versions: versions.length + entriesOf(versioned, "DeleteMarker").length,
    bytes: sum(versions),
    uploads: entriesOf(uploads, "Upload").length,
  }
  const counted = { objects: usage.objects, versions: usage.versions, bytes: usage.bytes, uploads: usage.uploads }
  if (JSON.stringify(counted) !== JSON.stringify(listed)) {
    record.violation(`${bucket.name}: counters ${JSON.stringify(counted)}, listings ${JSON.stringify(listed)}`)
  }
}

/** Checks that listed objects are readable, whole, and match the listing. */
export async function checkReads(
  client: Client,
  bucket: Bucket,
  record: Record,
  pick: (of: number) => readonly number[],
) {
  const objects = await listObjects(client, bucket.name)
  for (const at of pick(objects.length)) {
    const object = objects[at]
    if (!object) continue
    const response = await client.call("GET", { bucket: bucket.name, key: object.key })
    if (response.status !== 200)
      record.violation(`${bucket.name}/${object.key} is listed, but reads ${response.status}`)
    else if (record.inspect(bucket, object.key, response)) {
      const same = bare(response.header("etag")) === object.etag && response.body.length === object.sizeBytes
      if (!same) record.violation(`${bucket.name}/${object.key}: the listing shows another ETag or size`)
    }
  }
}

/** Checks that every listed version is readable by its id, and whole. */
export async function checkVersions(client: Client, bucket: Bucket, record: Record): Promise<void> {
  for (const { key, versionId } of await listVersions(client, bucket.name)) {
    const query = `versionId=${encodeText(versionId)}`
    const response = await client.call("GET", { bucket: bucket.name, key, query })
    if (response.status !== 200) {
      record.violation(`${bucket.name}/${key} version ${versionId} is listed, but reads ${response.status}`)
    } else record.inspect(bucket, key, response)
  }
}
