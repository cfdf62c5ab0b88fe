/** Planted bugs of reads at moments, restores and differences, which tests must catch. */
import type { Edit, TestedPlant } from "./plants.js"

const CORE = "packages/features/src/history/moments-core.ts"
const SERVICE = "packages/features/src/history/moments.ts"
const RESTORE = "packages/features/src/user-jobs/restore-core.ts"
const [MODEL, ENGINES, REQUESTS] = [
  "packages/features/src/history/moments",
  "tests/engines/moments",
  "tests/s3/moments",
]

const plant = (bug: string, caughtBy: string, ...edits: readonly Edit[]): TestedPlant => ({
  bug: `moments: ${bug}`,
  edits,
  caughtBy,
})

export const MOMENT_PLANTS: readonly TestedPlant[] = [
  plant("a listing does not close its moment before it reads", ENGINES, {
    file: SERVICE,
    find: "async list(request: ListRequest, atUs: number): Promise<ListPage> {\n    await this.close(request.bucket, atUs)",
    put: "async list(request: ListRequest, atUs: number): Promise<ListPage> {",
  }),
  plant("a version of the moment itself is not shown", MODEL, {
    file: CORE,
    find: 'if (orderOfVersion(top[1].value) <= atUs) return matchOf("versions", top)',
    put: 'if (orderOfVersion(top[1].value) < atUs) return matchOf("versions", top)',
  }),
  plant("the current version hides what it replaced", MODEL, {
    file: CORE,
    find: "if (current && head && head.order <= atUs) return",
    put: "if (current && head) return",
  }),
  plant("moments before the history are read all the same", MODEL, {
    file: SERVICE,
    find: "if (atUs < sinceUs)",
    put: "if (atUs < sinceUs - sinceUs)",
  }),
  plant("delete markers are listed", MODEL, {
    file: CORE,
    find: "if (found === undefined || found.head.isMarker) return undefined",
    put: "if (found === undefined) return undefined",
  }),
  plant("objects that had expired are there", MODEL, {
    file: CORE,
    find: "expiresAtSeconds * SECOND_US <= atUs ? undefined : found",
    put: "expiresAtSeconds * SECOND_US < 0 ? undefined : found",
  }),
  plant("a seek passes the version that it looks for", MODEL, {
    file: CORE,
    find: "this.seekOlder(versionRowKey(row, atUs))",
    put: "this.seekOlder(versionRowKey(row, atUs - 1_000_000))",
  }),
  plant("a page that ends inside a common prefix forgets the rest of it", MODEL, {
    file: CORE,
    find: "const from = afterExactly ? afterObjectKey(bucket.id, after) : startAfter(request, after)",
    put: "const from = afterExactly ? startAfter(request, after) : startAfter(request, after)",
  }),
  plant("a restored version counts as another object", REQUESTS, {
    file: CORE,
    find: "a.head.order === b.head.order || describedText(view, row, a) === describedText(view, row, b)",
    put: "a.head.order === b.head.order",
  }),
  plant("objects whose headers have changed count as unchanged", REQUESTS, {
    file: CORE,
    find: "return JSON.stringify([sizeBytes, etag, storageClass, headers, userMetadata, tags])",
    put: "return JSON.stringify([sizeBytes, etag, storageClass, headers.length < 0, userMetadata.length < 0, tags.length < 0])",
  }),
  plant("a restore overwrites what was written after its start", REQUESTS, {
    file: RESTORE,
    find: "    ifUnchanged,\n    headers: [",
    put: "    headers: [",
  }),
  plant("a restore loses the storage class", REQUESTS, {
    file: RESTORE,
    find: '["x-amz-storage-class", storageClass],',
    put: "",
  }),
  plant("the right to read objects is enough for deleted ones", REQUESTS, {
    file: "packages/protocols/src/s3/run-operation.ts",
    find: "const isOfVersion = place.versionId !== undefined || call.moment !== undefined",
    put: "const isOfVersion = place.versionId !== undefined && call.moment === undefined",
  }),
  plant("callers without rights learn since when a bucket has a history", REQUESTS, {
    file: "packages/protocols/src/s3/run-operation.ts",
    find: "    call.moment = found\n",
    put: "    if (found.refusal !== undefined) throw found.refusal\n    call.moment = found\n",
  }),
]
