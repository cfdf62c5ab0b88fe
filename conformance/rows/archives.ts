/**
 * Archives and their restores (line 9), as far as they need no operator: which requests are refused, and how. What a store
 * does whose operator has mapped the archives is tested in `tests/s3/transitions.test.ts`.
 *
 * Each row quotes the sentence that it holds the server to: (API) stands for the Amazon S3 API Reference.
 */
import { expectError, expectHeader, expectStatus, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { text } from "../xml.js"

const request = (inside: string): string => `<RestoreRequest>${inside}</RestoreRequest>`
const DAYS = "<Days>1</Days>"
const tier = (name: string): string => `<GlacierJobParameters><Tier>${name}</Tier></GlacierJobParameters>`

const restore = (scene: Scene, key: string, body: string, more = "") =>
  scene.call("POST", { key, query: `restore${more}`, body })

export const archiveRows: readonly Row[] = [
  // (API, RestoreObject) "Restores an archived copy of an object back into Amazon S3"; (API, Error responses)
  // InvalidObjectState, 403: "The operation is not valid for the current state of the object."
  row("9.150", "an object that is in no archive cannot be restored", async scene => {
    await scene.stored("k")
    const refused = expectError(await restore(scene, "k", request(DAYS + tier("Bulk"))), 403, "InvalidObjectState")
    same(text(refused.text, "StorageClass"), "STANDARD", "StorageClass")
    expectHeader(expectStatus(await scene.head("k"), 200), "x-amz-restore", undefined)
    expectError(await restore(scene, "absent", request(DAYS)), 404, "NoSuchKey")
  }),
  // (API, RestoreObject) "Days: Lifetime of the active copy in days"; "GlacierJobParameters: … Tier: Retrieval tier at which
  // the restore will be processed. Valid Values: Standard | Bulk | Expedited".
  row("9.151", "a restore needs whole days from 1 on, and a tier that there is", async scene => {
    await scene.stored("k")
    expectError(await restore(scene, "k", ""), 400, "MissingRequestBodyError")
    for (const wrong of [
      "<RestoreRequest>",
      "<Other/>",
      request(""),
      request(tier("Bulk")),
      request("<Days>one</Days>"),
      request("<Days>1.5</Days>"),
      request(DAYS + tier("Slow")),
      request(`${DAYS}<GlacierJobParameters/>`),
      request(`${DAYS}<Surprise/>`),
    ]) {
      expectError(await restore(scene, "k", wrong), 400, "MalformedXML")
    }
    for (const count of ["0", "-1"]) {
      expectError(await restore(scene, "k", request(`<Days>${count}</Days>`)), 400, "InvalidArgument")
    }
  }),
  // (API, RestoreObject) "OutputLocation: Describes the location where the restore job's output is stored";
  // "SelectParameters: Amazon S3 Select is no longer available to new customers."
  row("9.152", "a restore to another place and a query of an archive are refused by name", async scene => {
    await scene.stored("k")
    for (const name of ["OutputLocation", "SelectParameters"]) {
      const refused = await restore(scene, "k", request(`${DAYS}<${name}></${name}>`))
      expectError(refused, 501, "NotImplemented")
      same(refused.text.includes(name), true, "the message names it")
    }
  }),
  // (API, Transition) "StorageClass: The storage class to which you want the object to transition." An archive is one only
  // where an operator has mapped it.
  row("9.153", "archives without a place are refused by name in rules", async scene => {
    for (const name of ["GLACIER", "DEEP_ARCHIVE"]) {
      const to = `<Days>90</Days><StorageClass>${name}</StorageClass>`
      const rule = `<Rule><Filter></Filter><Status>Enabled</Status><Transition>${to}</Transition></Rule>`
      const refused = await scene.document(
        "PUT",
        "lifecycle",
        `<LifecycleConfiguration>${rule}</LifecycleConfiguration>`,
      )
      expectError(refused, 501, "NotImplemented")
      same(refused.text.includes(name), true, "the message names it")
    }
    expectError(await scene.list("lifecycle"), 404, "NoSuchLifecycleConfiguration")
  }),
  // (API, ListObjectsV2) "x-amz-optional-object-attributes: Specifies the optional fields that you want returned in the
  // response. Fields that you do not specify are not returned. Valid Values: RestoreStatus".
  row("9.154", "a listing shows no restore of objects that are in no archive", async scene => {
    await scene.stored("k")
    for (const query of ["list-type=2", "", "versions"]) {
      const headers = { "x-amz-optional-object-attributes": "RestoreStatus" }
      const listed = expectStatus(await scene.call("GET", { query, headers }), 200)
      same([text(listed.text, "Key"), text(listed.text, "RestoreStatus")], ["k", undefined], "entry")
      const other = { "x-amz-optional-object-attributes": "Other" }
      expectError(await scene.call("GET", { query, headers: other }), 400, "InvalidArgument")
    }
  }),
]
