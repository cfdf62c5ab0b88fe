/**
 * Objects that the store keeps for itself, in the system bucket: what features make and cache. They are written, repaired
 * and encrypted like all other objects, and belong to no account.
 */
import { concatBytes } from "@hayloft/base/bytes.js"
import { isFailure } from "@hayloft/base/failures.js"
import { byteStringOfText, objectKeyOfText, textOfObjectKey } from "@hayloft/base/ids.js"
import { NEVER } from "@hayloft/base/never.js"
import { asPromise } from "@hayloft/base/soon.js"
import { walkPages } from "@hayloft/base/walk-pages.js"
import type { Metadata } from "@hayloft/engine/metadata/index.js"
import type {
  BodySource,
  Conditions,
  GetRequest,
  ListedObject,
  ObjectBody,
  Objects,
  PutRequest,
  UserMetadata,
} from "../contract.js"
import { ensureSystemBucket, SYSTEM_BUCKET } from "../buckets/system-bucket.js"

const PAGE = 1_000

interface StoredParts {
  readonly objects: Pick<Objects, "get" | "put" | "remove" | "list" | "setAttributes">
  readonly metadata: Pick<Metadata, "run">
}

export interface NewStored extends Pick<PutRequest, "encryption" | "makesSpace"> {
  readonly bytes: Uint8Array
  readonly userMetadata: UserMetadata
  /** If absent, whatever has the name is replaced. */
  readonly conditions?: Pick<Conditions, "ifMatch" | "ifNoneMatch">
}

export class StoredObjects {
  private isEnsured = false

  constructor(
    private readonly parts: StoredParts,
    private readonly prefix: string,
  ) {}

  /** Returns undefined if no object has this name. */
  async open(name: string, wanted: Pick<GetRequest, "range" | "headersOnly"> = {}): Promise<ObjectBody | undefined> {
    try {
      return await asPromise(() => this.parts.objects.get({ ...this.place(name), ...wanted, conditions: {} }))
    } catch (error) {
      if (isFailure(error, "noSuchKey")) return undefined
      throw error
    }
  }

  /** Returns its ETag. Throws as `Objects.put`. */
  async put(
    name: string,
    { bytes, userMetadata, encryption, makesSpace, conditions = {} }: NewStored,
  ): Promise<string> {
    if (!this.isEnsured) await this.parts.metadata.run(ensureSystemBucket())
    this.isEnsured = true
    const { etag } = await this.parts.objects.put({
      ...this.place(name),
      attributes: { headers: {}, userMetadata },
      tags: [],
      encryption,
      makesSpace,
      conditions,
      signal: NEVER,
      body: bodyOfBytes(bytes),
    })
    return etag
  }

  /** Throws as `Objects.remove`. */
  async remove(name: string): Promise<void> {
    await this.parts.objects.remove({ ...this.place(name), conditions: {} })
  }

  /** Sets its time of modification, which listings show, to now. It must have no user metadata. */
  async touch(name: string): Promise<void> {
    const attributes = { headers: {}, userMetadata: [] }
    await this.parts.objects.setAttributes({ ...this.place(name), attributes, conditions: {} })
  }

  /** Those whose names begin with `begin`, after the name `from`, in the order of their names. */
  async *list(begin = "", from?: string): AsyncGenerator<ListedObject & { readonly name: string }> {
    const prefix = byteStringOfText(`${this.prefix}${begin}`)
    const first = from === undefined ? "" : byteStringOfText(`${this.prefix}${from}`)
    const pages = walkPages(first, after => {
      const request = { bucket: SYSTEM_BUCKET, prefix, delimiter: "", after, max: PAGE }
      return this.parts.objects.list(request)
    })
    for await (const page of pages) {
      for (const entry of page.entries)
        if (entry.kind === "object")
          yield { ...entry.object, name: textOfObjectKey(entry.object.key).slice(this.prefix.length) }
    }
  }

  private place(name: string) {
    return { bucket: SYSTEM_BUCKET, key: objectKeyOfText(`${this.prefix}${name}`) }
  }
}

/** Bytes in memory as a body, which is streamed. */
export const bodyOfBytes = (bytes: Uint8Array): BodySource => ({
  lengthBytes: bytes.length,
  declaredChecksum: () => undefined,
  gather: () => undefined,
  async *open() {
    yield bytes
  },
})

/** All bytes of a body, in memory of their own. Closes it. */
export async function gathered(body: ObjectBody, signal: AbortSignal): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  try {
    // Lent pieces are valid until the next one.
    for await (const piece of body.read(signal)) pieces.push(Uint8Array.from(piece))
  } finally {
    body.close()
  }
  return concatBytes(pieces)
}
