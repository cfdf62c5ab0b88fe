/** Lines 9, 92, 97 as far as they concern settings of buckets: valid ones are stored and returned, others refused. */
import { check, expectError, expectStatus, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"
import { UNSIGNED_PAYLOAD } from "../sign-v4.js"
import { elements, text, texts } from "../xml.js"

const cors = (inside: string) => `<CORSConfiguration>${inside}</CORSConfiguration>`
const rule = (inside: string) =>
  `<CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*</AllowedOrigin>${inside}</CORSRule>`
const tagging = (tags: readonly (readonly [key: string, value: string])[]) =>
  `<Tagging><TagSet>${tags.map(([key, value]) => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`).join("")}</TagSet></Tagging>`
const ownership = (rule: string) =>
  `<OwnershipControls><Rule><ObjectOwnership>${rule}</ObjectOwnership></Rule></OwnershipControls>`
const accessBlock = (inside: string) => `<PublicAccessBlockConfiguration>${inside}</PublicAccessBlockConfiguration>`
const payment = (payer: string) => `<RequestPaymentConfiguration><Payer>${payer}</Payer></RequestPaymentConfiguration>`

const encryption = (inside: string) =>
  `<ServerSideEncryptionConfiguration><Rule>${inside}</Rule></ServerSideEncryptionConfiguration>`
const sse = (algorithm: string, more = "") =>
  `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>${algorithm}</SSEAlgorithm>${more}</ApplyServerSideEncryptionByDefault>`

interface Kind {
  readonly query: string
  readonly document: string
  /** The text that the returned document must contain. */
  readonly shows: readonly (readonly [element: string, values: readonly string[]])[]
  /** The answer of GET after its removal; undefined if it cannot be removed. */
  readonly missing: string | undefined
  readonly putStatus: number
  readonly refused: readonly (readonly [document: string, code: string])[]
}

const KINDS: readonly Kind[] = [
  {
    query: "cors",
    document: cors(
      `<CORSRule><ID>a &amp; b</ID><AllowedMethod>PUT</AllowedMethod><AllowedMethod>GET</AllowedMethod><AllowedOrigin>http://*.example.com</AllowedOrigin><AllowedHeader>x-amz-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>3000</MaxAgeSeconds></CORSRule>${rule("")}`,
    ),
    shows: [
      ["ID", ["a & b"]],
      ["AllowedMethod", ["PUT", "GET", "GET"]],
      ["AllowedOrigin", ["http://*.example.com", "*"]],
      ["AllowedHeader", ["x-amz-*"]],
      ["ExposeHeader", ["ETag"]],
      ["MaxAgeSeconds", ["3000"]],
    ],
    missing: "NoSuchCORSConfiguration",
    putStatus: 200,
    refused: [
      [cors(""), "MalformedXML"],
      [cors("<CORSRule/>"), "MalformedXML"],
      [cors("<CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>"), "MalformedXML"],
      [cors(rule("<AllowedMethod>PATCH</AllowedMethod>")), "InvalidRequest"],
      [cors(rule("<AllowedMethod>get</AllowedMethod>")), "InvalidRequest"],
      [cors(rule("<AllowedOrigin>*example*.com</AllowedOrigin>")), "InvalidRequest"],
      [cors(rule("<AllowedHeader>*a*</AllowedHeader>")), "InvalidRequest"],
      [cors(rule("<ExposeHeader>*</ExposeHeader>")), "InvalidRequest"],
      [cors(rule("<ExposeHeader>a b</ExposeHeader>")), "InvalidRequest"],
      [cors(rule("<MaxAgeSeconds>-1</MaxAgeSeconds>")), "MalformedXML"],
      [cors(rule("<Surprise/>")), "MalformedXML"],
      [cors(rule("").repeat(101)), "InvalidRequest"],
      [cors(rule(`<ID>${"i".repeat(256)}</ID>`)), "InvalidRequest"],
      [cors(rule(`<AllowedOrigin>${"o".repeat(66_000)}</AllowedOrigin>`)), "MalformedXML"],
    ],
  },
  {
    query: "tagging",
    document: tagging(Array.from({ length: 50 }, (_, i) => [`k${99 - i}`, `é ${i}`] as const)),
    shows: [["Value", Array.from({ length: 50 }, (_, i) => `é ${49 - i}`)]],
    missing: "NoSuchTagSet",
    putStatus: 204,
    refused: [
      [tagging(Array.from({ length: 51 }, (_, i) => [`k${i}`, ""] as const)), "InvalidTag"],
      [
        tagging([
          ["a", "1"],
          ["a", "2"],
        ]),
        "InvalidTag",
      ],
      [tagging([["aws:a", "1"]]), "InvalidTag"],
      ["<Tagging/>", "MalformedXML"],
      ["<Tagging><TagSet><Surprise/></TagSet></Tagging>", "MalformedXML"],
      ["<Tagging><TagSet/><Surprise/></Tagging>", "MalformedXML"],
      ["<Tagging><TagSet><Tag><Key>a</Key><Value/><Surprise/></Tag></TagSet></Tagging>", "MalformedXML"],
    ],
  },
  {
    query: "ownershipControls",
    document: ownership("ObjectWriter"),
    shows: [["ObjectOwnership", ["ObjectWriter"]]],
    missing: "OwnershipControlsNotFoundError",
    putStatus: 200,
    refused: [
      [ownership("Nobody"), "MalformedXML"],
      ["<OwnershipControls/>", "MalformedXML"],
    ],
  },
  {
    query: "publicAccessBlock",
    document: accessBlock(
      "<BlockPublicAcls>TRUE</BlockPublicAcls><RestrictPublicBuckets>false</RestrictPublicBuckets>",
    ),
    shows: [
      ["BlockPublicAcls", ["true"]],
      ["IgnorePublicAcls", ["false"]],
      ["BlockPublicPolicy", ["false"]],
      ["RestrictPublicBuckets", ["false"]],
    ],
    missing: "NoSuchPublicAccessBlockConfiguration",
    putStatus: 200,
    refused: [
      [accessBlock("<BlockPublicAcls>yes</BlockPublicAcls>"), "MalformedXML"],
      [accessBlock("<BlockAll>true</BlockAll>"), "MalformedXML"],
    ],
  },
  {
    query: "requestPayment",
    document: payment("Requester"),
    shows: [["Payer", ["Requester"]]],
    missing: undefined,
    putStatus: 200,
    refused: [[payment("Nobody"), "MalformedXML"]],
  },
  {
    query: "encryption",
    document: encryption(`${sse("AES256")}<BucketKeyEnabled>true</BucketKeyEnabled>`),
    shows: [
      ["SSEAlgorithm", ["AES256"]],
      ["BucketKeyEnabled", ["true"]],
    ],
    missing: "ServerSideEncryptionConfigurationNotFoundError",
    putStatus: 200,
    refused: [
      [encryption(sse("aes256")), "MalformedXML"],
      [encryption(sse("AES256", "<KMSMasterKeyID>k</KMSMasterKeyID>")), "InvalidArgument"],
      [encryption(`${sse("AES256")}${sse("AES256")}`), "MalformedXML"],
      [encryption("<BucketKeyEnabled>maybe</BucketKeyEnabled>"), "MalformedXML"],
      [encryption("<BlockedEncryptionTypes/>"), "MalformedXML"],
      [
        encryption("<BlockedEncryptionTypes><EncryptionType>SSE</EncryptionType></BlockedEncryptionTypes>"),
        "MalformedXML",
      ],
      [encryption("<Surprise/>"), "MalformedXML"],
      ["<ServerSideEncryptionConfiguration/>", "MalformedXML"],
    ],
  },
]

async function shows(scene: Scene, query: string, expected: Kind["shows"]): Promise<void> {
  const { text: xml } = expectStatus(await scene.list(query), 200)
  for (const [element, values] of expected) same(texts(xml, element), values, element)
}

const rowsOf = (
  { query, document, shows: shown, missing, putStatus, refused }: Kind,
  index: number,
): readonly Row[] => [
  row(`9.${30 + 10 * index}`, `?${query} is put, shown, replaced and taken away`, async scene => {
    expectStatus(await scene.document("PUT", query, document), putStatus)
    await shows(scene, query, shown)
    expectStatus(await scene.document("PUT", query, document), putStatus)
    await shows(scene, query, shown)
    if (missing === undefined) return
    expectStatus(await scene.call("DELETE", { query }), 204)
    expectError(await scene.list(query), 404, missing)
    expectStatus(await scene.call("DELETE", { query }), 204)
    expectError(await scene.list(query), 404, missing)
  }),
  row(`9.${31 + 10 * index}`, `?${query} that is wrong is refused, and what was there stays`, async scene => {
    expectStatus(await scene.document("PUT", query, document), putStatus)
    for (const [wrong, code] of [...refused, ["<Other/>", "MalformedXML"], ["<", "MalformedXML"]] as const) {
      expectError(await scene.document("PUT", query, wrong), 400, code)
    }
    expectError(await scene.document("PUT", query, ""), 400, "MissingRequestBodyError")
    const sign = { payloadHash: UNSIGNED_PAYLOAD }
    expectError(await scene.call("PUT", { query, body: document, sign }), 400, "InvalidRequest")
    await shows(scene, query, shown)
  }),
]

export const settingRows: readonly Row[] = [
  ...KINDS.flatMap(rowsOf),
  row("9.90", "a bucket begins with everything public blocked, and its owner owning", async scene => {
    const names = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"]
    await shows(
      scene,
      "publicAccessBlock",
      names.map(name => [name, ["true"]]),
    )
    await shows(scene, "ownershipControls", [["ObjectOwnership", ["BucketOwnerEnforced"]]])
  }),
  row("9.91", "settings of one bucket are not another's, and go with their bucket", async scene => {
    const other = await scene.newBucket()
    for (const { query, document, putStatus } of KINDS) {
      expectStatus(await scene.document("PUT", query, document), putStatus)
    }
    expectError(await scene.client.call("GET", { bucket: other, query: "cors" }), 404, "NoSuchCORSConfiguration")
    expectStatus(await scene.call("DELETE"), 204)
    expectStatus(await scene.call("PUT"), 200)
    expectError(await scene.list("cors"), 404, "NoSuchCORSConfiguration")
    expectError(await scene.list("tagging"), 404, "NoSuchTagSet")
    await shows(scene, "publicAccessBlock", [["BlockPublicAcls", ["true"]]])
    await shows(scene, "requestPayment", [["Payer", ["BucketOwner"]]])
  }),
  row("92.10", "a bucket is made with tags and with its ownership", async scene => {
    const tags = "<Tags><Tag><Key>team</Key><Value>é @ b</Value></Tag></Tags>"
    const body = `<CreateBucketConfiguration>${tags}</CreateBucketConfiguration>`
    const bucket = await scene.newBucket({ body, headers: { "x-amz-object-ownership": "BucketOwnerPreferred" } })
    const { text: xml } = expectStatus(await scene.client.call("GET", { bucket, query: "tagging" }), 200)
    same([text(xml, "Key"), text(xml, "Value")], ["team", "é @ b"], "tag")
    const controls = await scene.client.call("GET", { bucket, query: "ownershipControls" })
    same(text(controls.text, "ObjectOwnership"), "BucketOwnerPreferred", "ObjectOwnership")
    const twice = scene.adopt(scene.uniqueName())
    const wrong = body.replace("</Tags>", "<Tag><Key>team</Key><Value/></Tag></Tags>")
    expectError(await scene.client.call("PUT", { bucket: twice, body: wrong }), 400, "InvalidTag")
    expectStatus(await scene.client.call("HEAD", { bucket: twice }), 404)
  }),
  row("92.11", "the list of buckets is filtered by prefix and region, page by page", async scene => {
    const prefix = `${scene.uniqueName()}-`
    const location = (region: string) =>
      `<CreateBucketConfiguration><LocationConstraint>${region}</LocationConstraint></CreateBucketConfiguration>`
    for (const [name, region] of [
      ["a", "eu-west-1"],
      ["b", "eu-west-3"],
      ["c", "eu-west-1"],
    ] as const) {
      await scene.newBucket({ name: `${prefix}${name}`, body: location(region) })
    }
    const found: string[] = []
    let token = ""
    for (let pages = 0; pages === 0 || token !== ""; pages += 1) {
      check(pages < 10, "the pages end")
      const query = `prefix=${prefix}&bucket-region=eu-west-1&max-buckets=1${token === "" ? "" : `&continuation-token=${token}`}`
      const { text: xml } = expectStatus(await scene.client.call("GET", { query }), 200)
      for (const one of elements(xml, "Bucket")) found.push(text(one, "Name") ?? "")
      token = text(xml, "ContinuationToken") ?? ""
    }
    same(found, [`${prefix}a`, `${prefix}c`], "buckets")
    expectError(await scene.client.call("GET", { query: "max-buckets=0" }), 400, "InvalidArgument")
  }),
]
