/** Forms that browsers send by POST: line 100. */
import { check, expectBody, expectError, expectHeader, expectStatus, same } from "../expect.js"
import { FORM_BOUNDARY, formBody, signForm, signOldForm } from "../forms.js"
import type { Fields, FormFile } from "../forms.js"
import type { RawResponse } from "../raw-client.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { text } from "../xml.js"

interface Form {
  readonly fields: Fields
  readonly file?: FormFile
  /** Default: the value in the fields. */
  readonly conditions?: readonly unknown[]
  readonly expiresMs?: number
}

const send = (scene: Scene, { fields, file = { name: "f", bytes: "body" }, ...terms }: Form): Promise<RawResponse> => {
  const { client, bucket } = scene
  const conditions = terms.conditions ?? fields.map(([name]) => ["starts-with", `$${name}`, ""])
  const signed = signForm(client.credentials, { bucket, region: client.region, ...terms, conditions })
  return sendBody(scene, formBody([...fields, ...signed], file))
}

const sendBody = (scene: Scene, body: Buffer): Promise<RawResponse> =>
  scene.call("POST", {
    body,
    headers: { "Content-Type": `multipart/form-data; boundary=${FORM_BOUNDARY}` },
    anonymous: true,
  })

async function refused(scene: Scene, form: Form, status: number, code: string): Promise<void> {
  expectError(await send(scene, form), status, code)
  check((await scene.keys()).length === 0, "nothing was stored")
}

export const formRows: readonly Row[] = [
  row("100.1", "a form answers 204 and is stored with its content type and metadata", async scene => {
    const fields: Fields = [
      ["key", "a b"],
      ["Content-Type", "text/x-own"],
      ["x-amz-meta-note", "n"],
    ]
    const response = expectStatus(await send(scene, { fields }), 204)
    expectHeader(response, "etag", /^"[0-9a-f]{32}"$/)
    const stored = await scene.get("a b")
    expectBody(stored, "body")
    expectHeader(stored, "content-type", "text/x-own")
    expectHeader(stored, "x-amz-meta-note", "n")
  }),
  row("100.2", "the name of the file takes the place of its variable, and 201 tells where it went", async scene => {
    const fields: Fields = [
      ["key", `u/\${filename}`],
      ["success_action_status", "201"],
    ]
    const response = expectStatus(await send(scene, { fields, file: { name: "dir/é.txt", bytes: "x" } }), 201)
    same([text(response.text, "Bucket"), text(response.text, "Key")], [scene.bucket, "u/é.txt"], "PostResponse")
    expectBody(await scene.get("u/é.txt"), "x")
  }),
  row("100.3", "a redirect is 303, with bucket, key and etag", async scene => {
    const fields: Fields = [
      ["key", "k"],
      ["success_action_redirect", "http://example.com/done"],
    ]
    const response = expectStatus(await send(scene, { fields }), 303)
    expectHeader(
      response,
      "location",
      new RegExp(`^http://example\\.com/done\\?bucket=${scene.bucket}&key=k&etag=%22[0-9a-f]{32}%22$`),
    )
  }),
  row("100.4", "a field that the policy does not cover, or contradicts, is AccessDenied", async scene => {
    await refused(scene, { fields: [["key", "k"]], conditions: [] }, 403, "AccessDenied")
    await refused(scene, { fields: [["key", "k"]], conditions: [["starts-with", "$key", "u/"]] }, 403, "AccessDenied")
    await refused(
      scene,
      { fields: [["key", "k"]], conditions: [{ key: "k" }, { acl: "private" }] },
      403,
      "AccessDenied",
    )
    expectStatus(
      await send(scene, {
        fields: [
          ["key", "k"],
          ["x-ignore-a", ""],
        ],
        conditions: [{ key: "k" }],
      }),
      204,
    )
  }),
  row("100.5", "an expired policy is AccessDenied, a malformed one InvalidPolicyDocument", async scene => {
    await refused(scene, { fields: [["key", "k"]], expiresMs: Date.now() - 60_000 }, 403, "AccessDenied")
    await refused(scene, { fields: [["key", "k"]], conditions: [{}] }, 400, "InvalidPolicyDocument")
  }),
  row("100.6", "the size range of a policy is exact", async scene => {
    const sized = (bytes: string): Form => ({
      fields: [["key", "k"]],
      file: { bytes },
      conditions: [{ key: "k" }, ["content-length-range", 2, 3]],
    })
    await refused(scene, sized("x"), 400, "EntityTooSmall")
    await refused(scene, sized("xxxx"), 400, "EntityTooLarge")
    expectStatus(await send(scene, sized("xx")), 204)
    expectStatus(await send(scene, sized("xxx")), 204)
  }),
  row("100.8", "a field bucket that differs from the request is AccessDenied by the policy", async scene => {
    const fields = (bucket: string): Fields => [
      ["key", "k"],
      ["bucket", bucket],
    ]
    const conditions = [{ key: "k" }]
    await refused(scene, { fields: fields("another"), conditions }, 403, "AccessDenied")
    await refused(scene, { fields: fields(""), conditions }, 403, "AccessDenied")
    expectStatus(await send(scene, { fields: fields(scene.bucket), conditions }), 204)
  }),
  row("100.9", "a form signed with version 2 is held to its policy as well", async scene => {
    const sendOld = (conditions: readonly unknown[], secretKey: string) => {
      const credentials = { ...scene.client.credentials, secretKey }
      const signed = signOldForm(credentials, { bucket: scene.bucket, conditions })
      return sendBody(scene, formBody([["key", "k"], ...signed], { bytes: "body" }))
    }
    const { secretKey } = scene.client.credentials
    expectError(await sendOld([{ key: "other" }], secretKey), 403, "AccessDenied")
    expectError(await sendOld([{ key: "k" }], "wrong"), 403, "SignatureDoesNotMatch")
    check((await scene.keys()).length === 0, "nothing was stored")
    expectStatus(await sendOld([{ key: "k" }], secretKey), 204)
    expectBody(await scene.get("k"), "body")
  }),
  row("100.7", "a form without a signature is refused, and so is a body that is no form", async scene => {
    expectError(await sendBody(scene, formBody([["key", "k"]], { bytes: "x" })), 403, "AccessDenied")
    expectError(
      await scene.call("POST", { body: "key=k", headers: { "Content-Type": "text/plain" } }),
      412,
      "PreconditionFailed",
    )
    check((await scene.keys()).length === 0, "nothing was stored")
  }),
  // (API, POST Object) "x-amz-storage-class: The storage class to use for storing the object. If you don't specify a class,
  // Amazon S3 uses the default storage class, STANDARD." (API, Error responses) "InvalidStorageClass".
  row("100.10", "a form states the storage class of its object, and is refused as a put is", async scene => {
    const field = "x-amz-storage-class"
    const withClass = (key: string, storageClass: string): Form => ({
      fields: [
        ["key", key],
        [field, storageClass],
      ],
    })
    await refused(scene, withClass("k", "NOPE"), 400, "InvalidStorageClass")
    await refused(scene, { ...withClass("k", "STANDARD_IA"), conditions: [["eq", "$key", "k"]] }, 403, "AccessDenied")
    expectStatus(await send(scene, withClass("cold", "STANDARD_IA")), 204)
    expectStatus(await send(scene, withClass("archived", "GLACIER")), 204)
    expectStatus(await send(scene, withClass("stated", "STANDARD")), 204)
    expectStatus(await send(scene, { fields: [["key", "silent"]] }), 204)
    const classes = [
      ["cold", "STANDARD_IA"],
      ["archived", "GLACIER"],
      ["stated", undefined],
      ["silent", undefined],
    ] as const
    for (const [key, shown] of classes) expectHeader(expectStatus(await scene.head(key), 200), field, shown)
  }),
]
