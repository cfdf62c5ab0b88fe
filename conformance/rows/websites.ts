/** Line 99: the website of a bucket as a setting, and redirects of objects. The website endpoint is another listener. */
import { check, expectBody, expectError, expectHeader, expectStatus, same } from "../expect.js"
import { row } from "../row.js"
import type { Row } from "../row.js"
import type { Scene } from "../scene.js"

const INDEX = "<IndexDocument><Suffix>index.html</Suffix></IndexDocument>"
const PAGES =
  `${INDEX}<ErrorDocument><Key>errors/404.html</Key></ErrorDocument><RoutingRules><RoutingRule>` +
  "<Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>" +
  "<Redirect><HostName>new.example.com</HostName><HttpRedirectCode>302</HttpRedirectCode><Protocol>https</Protocol>" +
  "<ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules>"
const ALL = "<RedirectAllRequestsTo><HostName>example.com</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>"
const NAME = "x-amz-website-redirect-location"

const put = (scene: Scene, content: string) =>
  scene.document("PUT", "website", `<WebsiteConfiguration>${content}</WebsiteConfiguration>`)

const rule = (inside: string): string => `${INDEX}<RoutingRules><RoutingRule>${inside}</RoutingRule></RoutingRules>`

const headOf = async (scene: Scene, key: string) => (await scene.head(key)).header(NAME)

export const websiteRows: readonly Row[] = [
  // PutBucketWebsite, GetBucketWebsite, DeleteBucketWebsite (API Reference): 200, 200, 204.
  row("99.1", "the website of a bucket is put, shown as it is, and deleted", async scene => {
    expectError(await scene.call("GET", { query: "website" }), 404, "NoSuchWebsiteConfiguration")
    for (const content of [PAGES, ALL, INDEX]) {
      expectStatus(await put(scene, content), 200)
      const { text } = expectStatus(await scene.call("GET", { query: "website" }), 200)
      check(text.includes(`>${content}</WebsiteConfiguration>`), text)
    }
    expectStatus(await scene.call("DELETE", { query: "website" }), 204)
    expectStatus(await scene.call("DELETE", { query: "website" }), 204)
    expectError(await scene.call("GET", { query: "website" }), 404, "NoSuchWebsiteConfiguration")
  }),
  // (API) "Container for redirect information … If you specify this property, you can't specify any other property."
  row("99.2", "a website that contradicts itself is refused, and the former one stays", async scene => {
    expectStatus(await put(scene, INDEX), 200)
    expectError(await put(scene, ""), 400, "InvalidArgument")
    expectError(await put(scene, "<IndexDocument><Suffix>a/b</Suffix></IndexDocument>"), 400, "InvalidArgument")
    expectError(await put(scene, INDEX + ALL), 400, "InvalidRequest")
    expectError(await put(scene, rule("<Redirect><Protocol>ftp</Protocol></Redirect>")), 400, "InvalidRequest")
    const both = "<ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith>"
    expectError(await put(scene, rule(`<Redirect>${both}</Redirect>`)), 400, "InvalidRequest")
    expectError(await put(scene, rule("")), 400, "MalformedXML")
    expectError(await put(scene, `${INDEX}<Surprise/>`), 400, "MalformedXML")
    check((await scene.call("GET", { query: "website" })).text.includes(INDEX), "the former one stays")
  }),
  row("99.3", "the REST endpoint never shows an index document", async scene => {
    await scene.stored("index.html", "home")
    await scene.stored("docs/index.html", "docs")
    expectStatus(await put(scene, INDEX), 200)
    check(expectStatus(await scene.call("GET"), 200).text.includes("<ListBucketResult"), "a list")
    expectError(await scene.get("docs/"), 404, "NoSuchKey")
    expectError(await scene.get("docs"), 404, "NoSuchKey")
  }),
  // (PutObject) "If the bucket is configured as a website, redirects requests for this object to another object in the
  // same bucket or to an external URL. Amazon S3 stores the value of this header in the object metadata."
  row("99.4", "the redirect of an object is stored, also without a website, and shown", async scene => {
    expectStatus(await scene.put("k", "body", { [NAME]: "https://example.com/a?b=c" }), 200)
    expectBody(await scene.get("k"), "body")
    expectHeader(await scene.get("k"), NAME, "https://example.com/a?b=c")
    same(await headOf(scene, "k"), "https://example.com/a?b=c", "HEAD")
    expectStatus(await scene.put("k", "body"), 200)
    same(await headOf(scene, "k"), undefined, "after an overwrite")
  }),
  // (User Guide) "The redirect location … must be prefixed by "/", "http://", or "https://"" and is at most 2 KB.
  row("99.5", "a redirect that is neither a URL nor a path is refused", async scene => {
    for (const value of ["index.html", "ftp://example.com/", `/${"a".repeat(2_048)}`, "/a b"]) {
      expectError(await scene.put("k", "body", { [NAME]: value }), 400, "InvalidRedirectLocation")
    }
    expectError(await scene.get("k"), 404, "NoSuchKey")
  }),
  // (CopyObject) "This value is unique to each object and is not copied when using the x-amz-metadata-directive."
  row("99.6", "a copy has only the redirect of its own request", async scene => {
    const meta = { "x-amz-meta-a": "1" }
    expectStatus(await scene.put("k", "body", { [NAME]: "/a", ...meta }), 200)
    expectStatus(await scene.copy("k", "plain"), 200)
    same(await headOf(scene, "plain"), undefined, "a copy")
    expectHeader(await scene.head("plain"), "x-amz-meta-a", "1")
    expectStatus(await scene.copy("k", "own", { [NAME]: "/b" }), 200)
    same(await headOf(scene, "own"), "/b", "a copy with a redirect")
    expectHeader(await scene.head("own"), "x-amz-meta-a", "1")
    expectError(await scene.copy("k", "k"), 400, "InvalidRequest")
    expectStatus(await scene.copy("k", "k", { [NAME]: "/c" }), 200)
    same(await headOf(scene, "k"), "/c", "a copy onto itself")
  }),
  row("99.7", "a multipart upload keeps its redirect", async scene => {
    const uploadId = await scene.createUpload("k", { [NAME]: "/elsewhere" })
    const etag = (await scene.part("k", uploadId, 1, "part")).header("etag") ?? ""
    expectStatus(await scene.complete("k", uploadId, [[1, etag]]), 200)
    same(await headOf(scene, "k"), "/elsewhere", "HEAD")
  }),
]
