/** The unmodified AWS SDK for JavaScript v3 against a real server. */
import { after, before, test } from "node:test"
import assert from "node:assert/strict"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { Agent as HttpAgent } from "node:http"
import { Agent as HttpsAgent } from "node:https"
import type { LookupFunction } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import {
  AbortMultipartUploadCommand,
  ChecksumAlgorithm,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  RenameObjectCommand,
  S3Client,
  UploadPartCommand,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3"
import type { ListObjectVersionsCommandOutput, S3ClientConfig } from "@aws-sdk/client-s3"
import { Upload } from "@aws-sdk/lib-storage"
import { getSignedUrl } from "@aws-sdk/s3-request-presigner"
import { findProgram } from "../harness/commands.js"
import { dataFolders, withFolder } from "../harness/folders.js"
import { CREDENTIALS, isStoreGiven, REGION, ServerProcess, selfSigned, withServer } from "../harness/server.js"
import { KEYS, MIB, SIZES, SIZES_TO_A_BLOCK, bytesFor } from "./material.js"

let folder = ""
let server: ServerProcess
let client: S3Client

const config = (endpoint: string): S3ClientConfig => ({
  endpoint,
  region: REGION,
  credentials: { accessKeyId: CREDENTIALS.accessKey, secretAccessKey: CREDENTIALS.secretKey },
  maxAttempts: 1,
})
const pathStyle = (endpoint: string) => new S3Client({ ...config(endpoint), forcePathStyle: true })

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hayloft-sdk-"))
  server = await ServerProcess.start({ folders: [join(folder, "data")] })
  client = pathStyle(server.endpoint)
})

after(async () => {
  client?.destroy()
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

async function bucketFor(name: string): Promise<string> {
  await client.send(new CreateBucketCommand({ Bucket: name }))
  return name
}

async function bytesOf(from: S3Client, input: { Bucket: string; Key: string; VersionId?: string; Range?: string }) {
  const { Body } = await from.send(new GetObjectCommand(input))
  assert.ok(Body)
  return Buffer.from(await Body.transformToByteArray())
}

const sameBytes = (actual: Buffer, expected: Uint8Array, what: string) =>
  assert.ok(actual.equals(expected), `${what}: ${actual.length} bytes, sent ${expected.length}`)

test("awkward keys round-trip, are listed, and deleted in one batch", async () => {
  const Bucket = await bucketFor("sdk-keys")
  for (const Key of KEYS) await client.send(new PutObjectCommand({ Bucket, Key, Body: `body of ${Key}` }))
  for (const Key of KEYS) assert.equal((await bytesOf(client, { Bucket, Key })).toString(), `body of ${Key}`)
  const listed: string[] = []
  for await (const page of paginateListObjectsV2({ client, pageSize: 3 }, { Bucket })) {
    listed.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ""))
  }
  assert.deepEqual(listed.sort(), [...KEYS].sort())
  const Objects = KEYS.map(Key => ({ Key }))
  const { Deleted, Errors } = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
  assert.deepEqual([Deleted?.length, Errors?.length ?? 0], [KEYS.length, 0])
  await client.send(new DeleteBucketCommand({ Bucket }))
})

test("awkward keys are renamed, with conditions", async () => {
  const Bucket = await bucketFor("sdk-renames")
  for (const key of KEYS) {
    const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: key, Body: `body of ${key}` }))
    const rename = { Bucket, Key: `${key}2`.slice(-1024), RenameSource: `/${Bucket}/${encodeURIComponent(key)}` }
    await assert.rejects(client.send(new RenameObjectCommand({ ...rename, SourceIfMatch: '"other"' })), {
      name: "PreconditionFailed",
    })
    await client.send(new RenameObjectCommand({ ...rename, SourceIfMatch: ETag, DestinationIfNoneMatch: "*" }))
    assert.equal((await bytesOf(client, { Bucket, Key: rename.Key })).toString(), `body of ${key}`)
    await assert.rejects(client.send(new HeadObjectCommand({ Bucket, Key: key })), { name: "NotFound" })
  }
})

async function sizesRoundTrip(s3: S3Client, Bucket: string, sizes: readonly number[]): Promise<void> {
  await s3.send(new CreateBucketCommand({ Bucket }))
  for (const size of sizes) {
    const [Key, Body] = [`${size}`, bytesFor(`${size}`, size)]
    const put = await s3.send(new PutObjectCommand({ Bucket, Key, Body }))
    assert.ok(put.ChecksumCRC32 ?? put.ChecksumCRC64NVME, "the default checksum is returned")
    sameBytes(await bytesOf(s3, { Bucket, Key }), Body, `${size} bytes`)
    if (size < 5000) continue
    const first = Math.floor(size / 3)
    const range = await bytesOf(s3, { Bucket, Key, Range: `bytes=${first}-${first + 99_999}` })
    sameBytes(range, Body.subarray(first, first + 100_000), `a range of ${size} bytes`)
  }
}

test("bodies of all sizes round-trip with the default checksums, one folder", () =>
  sizesRoundTrip(client, "sdk-sizes", SIZES))

test("every checksum algorithm, for single objects and for parts", async () => {
  const Bucket = await bucketFor("sdk-checksums")
  const Body = bytesFor("checksums", 5 * MIB + 1)
  const single = Body.subarray(0, 200_000)
  const known = [
    ChecksumAlgorithm.CRC32,
    ChecksumAlgorithm.CRC32C,
    ChecksumAlgorithm.SHA1,
    ChecksumAlgorithm.SHA256,
  ] as const
  for (const algorithm of known) {
    await client.send(new PutObjectCommand({ Bucket, Key: algorithm, Body: single, ChecksumAlgorithm: algorithm }))
    sameBytes(await bytesOf(client, { Bucket, Key: algorithm }), single, algorithm)
    const params = { Bucket, Key: `${algorithm} parts`, Body: Buffer.from(Body), ChecksumAlgorithm: algorithm }
    const done = await new Upload({ client, params, partSize: 5 * MIB }).done()
    assert.match(done.ETag ?? "", /-2"$/)
    sameBytes(await bytesOf(client, { Bucket, Key: `${algorithm} parts` }), Body, `${algorithm} parts`)
  }
})

test("a stream of unknown length is uploaded in parts; an aborted upload leaves nothing", async () => {
  const Bucket = await bucketFor("sdk-streams")
  const body = Buffer.from(bytesFor("stream", 10 * MIB + 5))
  function* pieces(failing: boolean) {
    for (let at = 0; at < body.length; at += 700_001) {
      if (failing && at > 6 * MIB) throw new Error("the source broke")
      yield body.subarray(at, at + 700_001)
    }
  }
  const params = (failing: boolean) => ({ Bucket, Key: "k", Body: Readable.from(pieces(failing)) })
  await assert.rejects(new Upload({ client, params: params(true) }).done(), /the source broke/)
  await assert.rejects(client.send(new HeadObjectCommand({ Bucket, Key: "k" })))
  await new Upload({ client, params: params(false) }).done()
  sameBytes(await bytesOf(client, { Bucket, Key: "k" }), body, "the stream")
})

test("a stream of known length is uploaded in one request with a trailing checksum", async () => {
  const Bucket = await bucketFor("sdk-trailer")
  const body = Buffer.from(bytesFor("trailer", 3 * MIB + 1))
  const Body = Readable.from([body.subarray(0, 100), body.subarray(100, 2_000_000), body.subarray(2_000_000)])
  await client.send(new PutObjectCommand({ Bucket, Key: "k", Body, ContentLength: body.length }))
  sameBytes(await bytesOf(client, { Bucket, Key: "k" }), body, "the stream")
})

test("presigned PUT and GET work with fetch", async () => {
  const Bucket = await bucketFor("sdk-presigned")
  for (const Key of ["plain", "with space+é"]) {
    const put = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key }), { expiresIn: 60 })
    assert.equal((await fetch(put, { method: "PUT", body: "presigned" })).status, 200)
    const get = await getSignedUrl(client, new GetObjectCommand({ Bucket, Key, ResponseContentType: "text/x-own" }))
    const response = await fetch(get)
    assert.deepEqual(
      [response.status, await response.text(), response.headers.get("content-type")],
      [200, "presigned", "text/x-own"],
    )
  }
})

/** Resolves every name to loopback, as systems that support *.localhost do. */
const lookup: LookupFunction = (_name, options, done) =>
  options.all === true ? done(null, [{ address: "127.0.0.1", family: 4 }]) : done(null, "127.0.0.1", 4)

test("virtual-host style on http://localhost", async () => {
  const httpAgent = new HttpAgent({ keepAlive: true, lookup })
  const virtual = new S3Client({ ...config(`http://localhost:${server.port}`), requestHandler: { httpAgent } })
  const Bucket = "sdk-virtual"
  await virtual.send(new CreateBucketCommand({ Bucket }))
  for (const Key of KEYS) await virtual.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
  for (const Key of KEYS) assert.equal((await bytesOf(virtual, { Bucket, Key })).toString(), Key)
  for (const Key of KEYS) assert.equal((await bytesOf(client, { Bucket, Key })).toString(), Key, "by path style")
  virtual.destroy()
})

const openssl = findProgram("openssl")
// In a store of several nodes it would be a node more, which is nothing to this client.
const noTls = openssl ? isStoreGiven() : "openssl is not installed"
test(
  "TLS with a self-signed certificate: bodies of sizes up to a block and a byte round-trip, seven folders",
  { skip: noTls },
  () =>
    withFolder(async data => {
      assert.ok(openssl)
      const Bucket = "sdk-tls"
      const tls = await selfSigned(openssl, data, [Bucket])
      const ca = await readFile(tls.ca, "utf8")
      await withServer({ folders: dataFolders(data, 7), tls: { ...tls, ca } }, async secure => {
        const httpsAgent = new HttpsAgent({ keepAlive: true, ca, lookup })
        const s3 = new S3Client({ ...config(`https://localhost:${secure.port}`), requestHandler: { httpsAgent } })
        await sizesRoundTrip(s3, Bucket, SIZES_TO_A_BLOCK)
        await assert.rejects(fetch(`http://127.0.0.1:${secure.port}/`), "a TLS port does not accept plain HTTP")
        s3.destroy()
      })
    }),
)

test("versions: kept, listed, read, restored, deleted", async () => {
  const Bucket = await bucketFor("sdk-versions")
  const VersioningConfiguration = { Status: "Enabled" } as const
  await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  const ids: string[] = []
  for (const Body of ["one", "two", "three"]) {
    ids.push((await client.send(new PutObjectCommand({ Bucket, Key: "k", Body }))).VersionId ?? "")
  }
  const removed = await client.send(new DeleteObjectCommand({ Bucket, Key: "k" }))
  assert.equal(removed.DeleteMarker, true)
  await assert.rejects(client.send(new GetObjectCommand({ Bucket, Key: "k" })), { name: "NoSuchKey" })
  const [first = ""] = ids
  const CopySource = `${Bucket}/k?versionId=${encodeURIComponent(first)}`
  await client.send(new CopyObjectCommand({ Bucket, Key: "k", CopySource }))
  assert.equal((await bytesOf(client, { Bucket, Key: "k" })).toString(), "one")
  assert.equal((await bytesOf(client, { Bucket, Key: "k", VersionId: ids[1] ?? "" })).toString(), "two")
  const Objects: { Key: string; VersionId: string }[] = []
  for (let next: { KeyMarker?: string; VersionIdMarker?: string } | undefined = {}; next;) {
    const page: ListObjectVersionsCommandOutput = await client.send(
      new ListObjectVersionsCommand({ Bucket, MaxKeys: 2, ...next }),
    )
    for (const entry of [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]) {
      Objects.push({ Key: entry.Key ?? "", VersionId: entry.VersionId ?? "" })
    }
    const { NextKeyMarker: KeyMarker = "", NextVersionIdMarker: VersionIdMarker = "" } = page
    next = page.IsTruncated ? { KeyMarker, VersionIdMarker } : undefined
  }
  assert.equal(Objects.length, 5)
  await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }))
  await client.send(new DeleteBucketCommand({ Bucket }))
})

test("copies keep or replace metadata; tags are copied", async () => {
  const Bucket = await bucketFor("sdk-copies")
  const Body = bytesFor("copy", 5 * MIB + 3)
  await client.send(
    new PutObjectCommand({
      Bucket,
      Key: "a b",
      Body,
      Metadata: { note: "kept" },
      Tagging: "a=1",
      ContentType: "text/x-a",
    }),
  )
  await client.send(new CopyObjectCommand({ Bucket, Key: "kept", CopySource: `${Bucket}/a%20b` }))
  const kept = await client.send(new HeadObjectCommand({ Bucket, Key: "kept" }))
  assert.deepEqual([kept.Metadata, kept.ContentType], [{ note: "kept" }, "text/x-a"])
  const tags = await client.send(new GetObjectTaggingCommand({ Bucket, Key: "kept" }))
  assert.deepEqual(tags.TagSet, [{ Key: "a", Value: "1" }])
  const replace = { MetadataDirective: "REPLACE", Metadata: { note: "new" } } as const
  await client.send(new CopyObjectCommand({ Bucket, Key: "a b", CopySource: `${Bucket}/a%20b`, ...replace }))
  assert.deepEqual((await client.send(new HeadObjectCommand({ Bucket, Key: "a b" }))).Metadata, { note: "new" })
  await client.send(new DeleteObjectCommand({ Bucket, Key: "a b" }))
  sameBytes(await bytesOf(client, { Bucket, Key: "kept" }), Body, "the copy")
  const Tagging = { TagSet: [{ Key: "b", Value: "2" }] }
  await client.send(new PutObjectTaggingCommand({ Bucket, Key: "kept", Tagging }))
  const after = await client.send(new GetObjectTaggingCommand({ Bucket, Key: "kept" }))
  assert.deepEqual(after.TagSet, Tagging.TagSet)
})

test("a multipart upload is listed, and gone after its abort", async () => {
  const Bucket = await bucketFor("sdk-abort")
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: "k" }))
  const upload = { Bucket, Key: "k", UploadId }
  await client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: bytesFor("part", 5 * MIB) }))
  assert.equal((await client.send(new ListPartsCommand(upload))).Parts?.[0]?.Size, 5 * MIB)
  const listed = await client.send(new ListMultipartUploadsCommand({ Bucket }))
  assert.deepEqual(
    listed.Uploads?.map(entry => [entry.Key, entry.UploadId]),
    [["k", UploadId]],
  )
  await client.send(new AbortMultipartUploadCommand(upload))
  await assert.rejects(client.send(new ListPartsCommand(upload)), { name: "NoSuchUpload" })
  assert.equal((await client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads, undefined)
})

test("conditions and attributes work through the SDK's own fields", async () => {
  const Bucket = await bucketFor("sdk-conditions")
  const put = (Body: string, more: object) => client.send(new PutObjectCommand({ Bucket, Key: "k", Body, ...more }))
  const first = await put("one", { IfNoneMatch: "*" })
  await assert.rejects(put("two", { IfNoneMatch: "*" }), { name: "PreconditionFailed" })
  await put("two", { IfMatch: first.ETag })
  await assert.rejects(put("three", { IfMatch: first.ETag }), { name: "PreconditionFailed" })
  const ObjectAttributes = ["ETag", "ObjectSize", "Checksum"] as const
  const attributes = await client.send(
    new GetObjectAttributesCommand({ Bucket, Key: "k", ObjectAttributes: [...ObjectAttributes] }),
  )
  assert.equal(attributes.ObjectSize, 3)
  assert.ok(attributes.Checksum)
})
