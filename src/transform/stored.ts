/**
 * Modules and cached results as objects of the system bucket. They are written, repaired and encrypted like all other objects,
 * and belong to no account.
 */
import { concatBytes } from "../base/bytes.js"
import { isFailure } from "../base/failures.js"
import { objectKeyOfText, textOfObjectKey } from "../base/ids.js"
import { asPromise } from "../base/soon.js"
import {
  ensureSystemBucket,
  SYSTEM_BUCKET,
  type GetRequest,
  type ListedObject,
  type ObjectBody,
  type Objects,
  type PutRequest,
  type UserMetadata,
} from "../object/index.js"
import type { Metadata } from "../metadata/index.js"

const PAGE = 1_000
const NEVER = new AbortController().signal

interface StoredParts {
  readonly objects: Pick<Objects, "get" | "put" | "remove" | "list">
  readonly metadata: Pick<Metadata, "run">
}

export interface NewStored extends Pick<PutRequest, "encryption"> {
  readonly bytes: Uint8Array
  readonly userMetadata: UserMetadata
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

  async put(name: string, { bytes, userMetadata, encryption }: NewStored): Promise<void> {
    if (!this.isEnsured) await this.parts.metadata.run(ensureSystemBucket())
    this.isEnsured = true
    await this.parts.objects.put({
      ...this.place(name),
      ...{ attributes: { headers: {}, userMetadata }, tags: [], encryption, conditions: {}, signal: NEVER },
      body: {
        lengthBytes: bytes.length,
        declaredChecksum: () => undefined,
        gather: () => undefined,
        async *open() {
          yield bytes
        },
      },
    })
  }

  async remove(name: string): Promise<void> {
    await this.parts.objects.remove({ ...this.place(name), conditions: {} })
  }

  /** In the order of their names. */
  async *list(): AsyncGenerator<ListedObject & { readonly name: string }> {
    for (let after: string | undefined = ""; after !== undefined;) {
      const request = { bucket: SYSTEM_BUCKET, prefix: this.prefix, delimiter: "", after, max: PAGE }
      const page: Awaited<ReturnType<Objects["list"]>> = await this.parts.objects.list(request)
      for (const entry of page.entries)
        if (entry.kind === "object")
          yield { ...entry.object, name: textOfObjectKey(entry.object.key).slice(this.prefix.length) }
      after = page.next
    }
  }

  private place(name: string) {
    return { bucket: SYSTEM_BUCKET, key: objectKeyOfText(`${this.prefix}${name}`) }
  }
}

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
