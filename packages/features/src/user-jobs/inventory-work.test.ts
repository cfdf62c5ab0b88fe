/** The work of an inventory whose bucket goes away meanwhile. */
import assert from "node:assert/strict"
import { test } from "node:test"
import { fail } from "@hayloft/base/failures.js"
import { parseAccountId, parseBucketId, parseBucketName } from "@hayloft/base/ids.js"
import type { Bucket } from "@hayloft/objects/contract.js"
import { textOfInventory } from "./inventory-core.js"
import { openInventoryWork } from "./inventory-work.js"

const unused = () => Promise.reject(fail("notImplemented"))

const bucket: Bucket = {
  id: parseBucketId(7),
  name: parseBucketName("listed"),
  owner: parseAccountId("main"),
  createdMs: 0,
  location: "",
  versioning: "never",
  settings: [],
  settingsVersion: 1,
}

test("an inventory whose bucket goes away as the upload begins knows the upload, and can discard it", async () => {
  const uploads = new Set<string>()
  const services = {
    buckets: {
      confirm: async () => undefined,
      async open(name: string) {
        if (name === bucket.name && uploads.size > 0) throw fail("noSuchBucket")
        return bucket
      },
    },
    requests: {
      as: async () => ({
        async send({ method }: { readonly method: string }) {
          if (method === "POST") uploads.add("u1")
          if (method === "DELETE") uploads.delete("u1")
          const document = "<UploadId>u1</UploadId>"
          return { status: 200, code: "", message: "", failure: undefined, document, header: () => undefined }
        },
      }),
    },
    objects: { listVersions: unused },
    moments: { check: unused, list: unused },
    list: unused,
  }
  const request = textOfInventory({
    bucket: bucket.name,
    bucketId: bucket.id,
    request: { toBucket: "reports", toKey: "inventory", versions: false },
  })
  const starter = { kind: "operator", id: "", name: "" } as const
  const work = await openInventoryWork(services, { kind: "inventory", request, starter, startedMs: 0 })
  const begun = await work.begin()
  assert.equal(uploads.size, 1)
  await work.discard(begun)
  assert.equal(uploads.size, 0)
})
