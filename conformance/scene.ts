/**
 * The context of a row: a bucket of its own, clients, and short forms of the common requests.
 *
 * A row leaves nothing behind: at its end every bucket that it made is emptied (all versions) and removed, except what
 * object lock keeps in compliance mode.
 */
import { randomBytes } from "node:crypto"
import type { Call, Client, HeaderInput } from "./client.js"
import { expectStatus, present } from "./expect.js"
import type { RawResponse } from "./raw-client.js"
import { encodeText, UNSIGNED_PAYLOAD } from "./sign-v4.js"
import { md5Base64 } from "./checksums.js"
import { elements, escapeXml, text } from "./xml.js"

/** Endings of the virtual hosts that the endpoint serves. */
export interface Surroundings {
  readonly domain: string
  /** A client of another account; rows that need it are left out, and counted, without. */
  readonly other: Client | undefined
}

type Options = Omit<Call, "bucket" | "key" | "body">
export type Body = Uint8Array | string

export const PART_BYTES = 5 * 1024 * 1024
/** A body of one smallest part; shared, never changed. */
export const PART: Buffer = Buffer.alloc(PART_BYTES, "Hayloft conformance part, five mebibytes. ")

const headersOf = (input: HeaderInput | undefined): Options => (input === undefined ? {} : { headers: input })
const CLEANING_ROUNDS_MAX = 50

interface Deletion {
  readonly key: string
  readonly versionId?: string
  readonly etag?: string
  readonly modified?: string
  readonly size?: string
}

export class Scene {
  private readonly buckets: string[] = []

  private constructor(
    readonly client: Client,
    readonly surroundings: Surroundings,
  ) {}

  static async open(client: Client, surroundings: Surroundings): Promise<Scene> {
    const scene = new Scene(client, surroundings)
    await scene.newBucket()
    return scene
  }

  /** The row's bucket. */
  get bucket(): string {
    return present(this.buckets[0], "bucket")
  }

  get other(): Client {
    return present(this.surroundings.other, "client of another account")
  }

  uniqueName(): string {
    return `conf-${randomBytes(8).toString("hex")}`
  }

  /** Remembers a bucket for cleaning up. */
  adopt(name: string): string {
    this.buckets.push(name)
    return name
  }

  async newBucket(call: Options & { name?: string; body?: Body } = {}): Promise<string> {
    const { name = this.uniqueName(), ...rest } = call
    expectStatus(await this.client.call("PUT", { ...rest, bucket: name }), 200)
    return this.adopt(name)
  }

  /** A request to the row's bucket (or a key in it). */
  call(method: string, call: Call = {}): Promise<RawResponse> {
    return this.client.call(method, { bucket: this.bucket, ...call })
  }

  put(key: string, body: Body = "", headers?: HeaderInput): Promise<RawResponse> {
    return this.call("PUT", { key, body, ...headersOf(headers) })
  }

  /** A PUT that is part of the setting, not of the question. */
  async stored(key: string, body: Body = "", headers?: HeaderInput): Promise<RawResponse> {
    return expectStatus(await this.put(key, body, headers), 200)
  }

  get(key: string, headers?: HeaderInput, query?: string): Promise<RawResponse> {
    return this.call("GET", { key, ...headersOf(headers), ...(query === undefined ? {} : { query }) })
  }

  head(key: string, headers?: HeaderInput, query?: string): Promise<RawResponse> {
    return this.call("HEAD", { key, ...headersOf(headers), ...(query === undefined ? {} : { query }) })
  }

  remove(key: string, headers?: HeaderInput, query?: string): Promise<RawResponse> {
    return this.call("DELETE", { key, ...headersOf(headers), ...(query === undefined ? {} : { query }) })
  }

  /** GET on the bucket. */
  list(query = "list-type=2"): Promise<RawResponse> {
    return this.call("GET", { query })
  }

  /** Keys of all pages, V2, decoded. */
  async keys(query = ""): Promise<string[]> {
    const page = expectStatus(await this.list(`list-type=2&encoding-type=url${query === "" ? "" : `&${query}`}`), 200)
    return elements(page.text, "Contents").map(entry => decodeURIComponent(text(entry, "Key") ?? ""))
  }

  copy(source: string, key: string, headers: Record<string, string> = {}): Promise<RawResponse> {
    return this.put(key, "", { "x-amz-copy-source": `/${this.bucket}/${encodeText(source, true)}`, ...headers })
  }

  /** A configuration or delete document, with the Content-MD5 that they need. */
  document(method: string, query: string, xml: string, call: Call = {}): Promise<RawResponse> {
    return this.call(method, { query, body: xml, headers: { "Content-MD5": md5Base64(Buffer.from(xml)) }, ...call })
  }

  async setVersioning(state: "Enabled" | "Suspended"): Promise<void> {
    const xml = `<VersioningConfiguration><Status>${state}</Status></VersioningConfiguration>`
    expectStatus(await this.document("PUT", "versioning", xml), 200)
  }

  deleteMany(keys: readonly (string | Deletion)[], quiet = false) {
    const objects = keys.map(entry => {
      const { key, versionId, etag, modified, size }: Deletion = typeof entry === "string" ? { key: entry } : entry
      const elements = { Key: key, VersionId: versionId, ETag: etag, LastModifiedTime: modified, Size: size }
      const texts = Object.entries(elements).map(([name, value]) =>
        value === undefined ? "" : `<${name}>${escapeXml(value)}</${name}>`,
      )
      return `<Object>${texts.join("")}</Object>`
    })
    return this.document("POST", "delete", `<Delete>${quiet ? "<Quiet>true</Quiet>" : ""}${objects.join("")}</Delete>`)
  }

  async createUpload(key: string, headers?: HeaderInput): Promise<string> {
    const created = await this.call("POST", { key, query: "uploads", ...headersOf(headers) })
    return present(text(expectStatus(created, 200).text, "UploadId"), "UploadId")
  }

  part(
    key: string,
    uploadId: string,
    number: number | string,
    body: Body,
    headers?: HeaderInput,
  ): Promise<RawResponse> {
    const query = `partNumber=${number}&uploadId=${encodeText(uploadId)}`
    const sign = { payloadHash: UNSIGNED_PAYLOAD }
    return this.call("PUT", { key, query, body, sign, ...headersOf(headers) })
  }

  /** A part that is part of the setting; gives its quoted ETag. */
  async storedPart(key: string, uploadId: string, number: number, body: Body, headers?: HeaderInput): Promise<string> {
    const response = expectStatus(await this.part(key, uploadId, number, body, headers), 200)
    return present(response.header("etag"), "ETag of a part")
  }

  complete(
    key: string,
    uploadId: string,
    parts: readonly (readonly [number: number, etag: string, more?: string])[],
    headers?: HeaderInput,
  ): Promise<RawResponse> {
    const list = parts.map(
      ([number, etag, more]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>${escapeXml(etag)}</ETag>${more ?? ""}</Part>`,
    )
    const body = `<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`
    return this.call("POST", { key, query: `uploadId=${encodeText(uploadId)}`, body, ...headersOf(headers) })
  }

  /** Uploads a multipart object of these parts; returns the answer to Complete. */
  async multipart(key: string, bodies: readonly Body[], headers?: HeaderInput): Promise<RawResponse> {
    const uploadId = await this.createUpload(key, headers)
    const parts: [number, string][] = []
    for (const [index, body] of bodies.entries()) {
      parts.push([index + 1, await this.storedPart(key, uploadId, index + 1, body)])
    }
    return expectStatus(await this.complete(key, uploadId, parts), 200)
  }

  async close(): Promise<void> {
    for (const name of this.buckets) await this.wipe(name)
  }

  /** Past a lock in governance mode and a legal hold. */
  private async wipeVersion(bucket: string, entry: string): Promise<boolean> {
    const path = `/${bucket}/${text(entry, "Key") ?? ""}`
    const query = `versionId=${text(entry, "VersionId") ?? ""}`
    const headers = { "x-amz-bypass-governance-retention": "true" }
    if ((await this.client.call("DELETE", { path, query, headers })).status === 204) return true
    await this.document("PUT", `legal-hold&${query}`, "<LegalHold><Status>OFF</Status></LegalHold>", { bucket, path })
    return (await this.client.call("DELETE", { path, query, headers })).status === 204
  }

  /** Returns how many it removed with one request: not those that XML cannot name, nor those under a legal hold. */
  private async wipeTogether(bucket: string, entries: readonly string[]): Promise<number> {
    const objects = entries.flatMap(entry => {
      const key = decodeURIComponent(text(entry, "Key") ?? "")
      if (!/^[ -~]+$/.test(key)) return []
      const id = escapeXml(text(entry, "VersionId") ?? "")
      return [`<Object><Key>${escapeXml(key)}</Key><VersionId>${id}</VersionId></Object>`]
    })
    if (objects.length === 0) return 0
    const body = `<Delete><Quiet>true</Quiet>${objects.join("")}</Delete>`
    const md5 = md5Base64(Buffer.from(body))
    const headers = { "Content-MD5": md5, "x-amz-bypass-governance-retention": "true" }
    const answer = await this.client.call("POST", { bucket, query: "delete", body, headers })
    return answer.status === 200 ? objects.length - elements(answer.text, "Error").length : 0
  }

  private async wipe(bucket: string): Promise<void> {
    for (let round = 0; round < CLEANING_ROUNDS_MAX; round += 1) {
      const { status } = await this.client.call("DELETE", { bucket })
      if (status !== 409) return
      const page = await this.client.call("GET", { bucket, query: "versions&encoding-type=url" })
      if (page.status !== 200) return
      const entries = [...elements(page.text, "Version"), ...elements(page.text, "DeleteMarker")]
      if (entries.length === 0) return
      if ((await this.wipeTogether(bucket, entries)) > 0) continue
      let removed = 0
      for (const entry of entries) removed += (await this.wipeVersion(bucket, entry)) ? 1 : 0
      if (removed === 0) return
    }
  }
}
