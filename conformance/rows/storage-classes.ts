/**
 * Storage classes of objects, on a server whose operator has mapped none.
 *
 * Each row quotes the sentence that it holds the server to: (API) stands for the Amazon S3 API Reference, (UG) for the
 * Amazon S3 User Guide.
 */
import { expectBody, expectError, expectHeader, expectStatus, present, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { elements, text, topText } from "../xml.js"

const HEADER = "x-amz-storage-class"
/** The classes of objects that can be read at once. */
const CLASSES = ["REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"] as const
/** More than fits a row of metadata. */
const LARGE = Buffer.alloc(100_000, "class")

const listed = async (scene: Scene, query: string, entry: string): Promise<readonly (readonly string[])[]> =>
  elements(expectStatus(await scene.list(query), 200).text, entry).map(xml => [
    present(text(xml, "Key"), "Key"),
    present(text(xml, "StorageClass"), "StorageClass"),
  ])

export const storageClassRows: readonly Row[] = [
  // (API, PutObject) "By default, Amazon S3 uses the STANDARD Storage Class to store newly created objects." (API,
  // HeadObject) "Amazon S3 returns this header for all objects except for S3 Standard storage class objects."
  row("12.201", "reads show the class of an object, and none where it is STANDARD", async scene => {
    for (const storageClass of CLASSES) {
      for (const body of [Buffer.from("small"), LARGE]) {
        const key = `${storageClass}-${body.length}`
        await scene.stored(key, body, { [HEADER]: storageClass })
        expectHeader(expectStatus(await scene.head(key), 200), HEADER, storageClass)
        const got = expectStatus(await scene.get(key), 200)
        expectHeader(got, HEADER, storageClass)
        expectBody(got, body)
      }
    }
    await scene.stored("stated", "body", { [HEADER]: "STANDARD" })
    await scene.stored("silent", "body")
    for (const key of ["stated", "silent"]) expectHeader(expectStatus(await scene.head(key), 200), HEADER, undefined)
    // A later version has the class of its own request.
    await scene.stored("STANDARD_IA-5", "body")
    expectHeader(expectStatus(await scene.head("STANDARD_IA-5"), 200), HEADER, undefined)
  }),
  // (API, Object) "StorageClass: The class of storage used to store the object."
  row("12.202", "listings, versions and attributes show the class", async scene => {
    await scene.setVersioning("Enabled")
    const expected = CLASSES.map(storageClass => [storageClass, storageClass]).sort()
    for (const [key = "", storageClass = ""] of expected) await scene.stored(key, key, { [HEADER]: storageClass })
    await scene.stored("plain", "body")
    const all = [...expected, ["plain", "STANDARD"]]
    same(await listed(scene, "list-type=2", "Contents"), all, "version 2")
    same(await listed(scene, "", "Contents"), all, "version 1")
    same(await listed(scene, "versions", "Version"), all, "versions")
    const headers = { "x-amz-object-attributes": "StorageClass" }
    for (const [key = "", storageClass = ""] of all) {
      const attributes = expectStatus(await scene.get(key, headers, "attributes"), 200)
      same(text(attributes.text, "StorageClass"), storageClass, key)
    }
  }),
  // (API, CopyObject) "If the x-amz-storage-class header is not used, the copied object will be stored in the STANDARD
  // Storage Class by default." and "You can use the CopyObject action to change the storage class of an object that is
  // already stored in Amazon S3 by using the x-amz-storage-class header."
  row("12.203", "a copy has the class of its request, also onto itself", async scene => {
    for (const body of [Buffer.from("small"), LARGE]) {
      await scene.stored("source", body, { [HEADER]: "STANDARD_IA" })
      expectStatus(await scene.copy("source", "copy"), 200)
      expectHeader(await scene.head("copy"), HEADER, undefined)
      expectStatus(await scene.copy("source", "copy", { [HEADER]: "GLACIER_IR" }), 200)
      expectHeader(await scene.head("copy"), HEADER, "GLACIER_IR")
      expectError(await scene.copy("source", "source", { [HEADER]: "STANDARD_IA" }), 400, "InvalidRequest")
      expectStatus(await scene.copy("source", "source", { [HEADER]: "ONEZONE_IA" }), 200)
      const moved = expectStatus(await scene.get("source"), 200)
      expectHeader(moved, HEADER, "ONEZONE_IA")
      expectBody(moved, body)
      expectStatus(await scene.copy("source", "source"), 200)
      expectHeader(await scene.head("source"), HEADER, undefined)
    }
  }),
  // (API, ListParts) "StorageClass: The class of storage used to store the uploaded object."
  row("12.204", "a multipart upload gives its class to the object", async scene => {
    const headers = { [HEADER]: "INTELLIGENT_TIERING" }
    const uploadId = await scene.createUpload("k", headers)
    same(await listed(scene, "uploads", "Upload"), [["k", "INTELLIGENT_TIERING"]], "uploads")
    const etag = await scene.storedPart("k", uploadId, 1, LARGE)
    const parts = expectStatus(await scene.get("k", undefined, `uploadId=${uploadId}`), 200)
    same(topText(parts.text, "StorageClass"), "INTELLIGENT_TIERING", "parts")
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    const got = expectStatus(await scene.get("k"), 200)
    expectHeader(got, HEADER, "INTELLIGENT_TIERING")
    expectBody(got, LARGE)
  }),
  // (API, Error responses) "InvalidStorageClass: The storage class you specified is not valid."
  row("12.205", "classes of other services and unknown ones are refused", async scene => {
    for (const storageClass of ["OUTPOSTS", "SNOW", "EXPRESS_ONEZONE", "FSX_OPENZFS", "NOPE", ""])
      expectError(await scene.put("k", "body", { [HEADER]: storageClass }), 400, "InvalidStorageClass")
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  // (API, HeadObject) "x-amz-restore: If the object is an archived object …, the response includes this header if … the archive
  // restoration is in progress or an archive copy is already restored." A store that has no archives has all copies at hand.
  row(
    "12.240",
    "an object of an archive class without archives is read at once, under the class's name",
    async scene => {
      for (const storageClass of ["GLACIER", "DEEP_ARCHIVE"]) {
        await scene.stored("k", "body", { [HEADER]: storageClass })
        const got = expectStatus(await scene.get("k"), 200)
        same(got.text, "body", "body")
        for (const answer of [got, expectStatus(await scene.head("k"), 200)]) {
          expectHeader(answer, HEADER, storageClass)
          same(
            /ongoing-request="false", expiry-date="/.test(answer.header("x-amz-restore") ?? ""),
            true,
            "x-amz-restore",
          )
        }
        const listed = expectStatus(await scene.call("GET", { query: "list-type=2" }), 200)
        same(
          [text(listed.text, "StorageClass"), text(listed.text, "RestoreStatus")],
          [storageClass, undefined],
          "entry",
        )
        const headers = { "x-amz-optional-object-attributes": "RestoreStatus" }
        const more = expectStatus(await scene.call("GET", { query: "list-type=2", headers }), 200)
        same(text(more.text, "IsRestoreInProgress"), "false", "RestoreStatus")
        expectStatus(await scene.copy("k", "zcopy", { [HEADER]: storageClass }), 200)
        expectHeader(expectStatus(await scene.head("zcopy"), 200), HEADER, storageClass)
        const restored = await scene.call("POST", {
          key: "k",
          query: "restore",
          body: "<RestoreRequest><Days>1</Days></RestoreRequest>",
        })
        expectStatus(restored, [200, 202])
        expectStatus(await scene.get("k"), 200)
      }
    },
  ),
  // (UG, "Bucket policy examples using condition keys") "s3:x-amz-storage-class": a statement applies where the request
  // states the class.
  row("12.206", "a policy can depend on the class of a request", async scene => {
    const statement = {
      Effect: "Deny",
      Principal: "*",
      Action: "s3:PutObject",
      Resource: `arn:aws:s3:::${scene.bucket}/*`,
      Condition: { StringEquals: { "s3:x-amz-storage-class": "ONEZONE_IA" } },
    }
    const body = JSON.stringify({ Version: "2012-10-17", Statement: [statement] })
    expectStatus(await scene.call("PUT", { query: "policy", body }), [200, 204])
    expectError(await scene.put("k", "body", { [HEADER]: "ONEZONE_IA" }), 403, "AccessDenied")
    // Another spelling must not pass by the policy.
    expectError(await scene.put("k", "body", { [HEADER]: "OneZone_IA" }), [400, 403])
    await scene.stored("k", "body", { [HEADER]: "STANDARD_IA" })
    await scene.stored("k", "body")
    expectStatus(await scene.call("DELETE", { query: "policy" }), 204)
  }),
]
